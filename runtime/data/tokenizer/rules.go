package tokenizer

// joiner says what two neighbours join to.
type joiner interface {
	// single is the piece of one character, or -1.
	single(text string) int32
	// join gives the piece that l and its neighbour r make and the rank of
	// joining them, none if they never do.
	join(m *merger, l, r *symbol) (id, rank int32)
	// resolve appends the ids of a symbol that is not joined any further.
	resolve(m *merger, s *symbol)
	// forget takes a piece out, which is renamed.
	forget(text string)
	// spelled reports whether the text of what is joined is that of its piece, whatever
	// the symbols are.
	spelled(pieces []piece) bool
	// bytes is the memory it takes, about.
	bytes() int
}

// mapBytes is the memory of a map of Go: its tables double where more than seven
// eighths of their places would be taken, each with a byte beside it.
func mapBytes(entries, entry int) int {
	n := 8
	for n*7/8 < entries {
		n *= 2
	}
	return n * (entry + 1)
}

// byText is SentencePiece's rule: two symbols join if their text together is a
// piece.
type byText struct {
	ids       map[string]int32 // of the pieces joining can make
	rank      []int32          // by id
	pieces    []piece
	hasUnused bool
}

func (b *byText) single(text string) int32 {
	if id, ok := b.ids[text]; ok {
		return id
	}
	return -1
}

func (b *byText) join(m *merger, l, r *symbol) (id, rank int32) {
	text := m.text[l.from:r.to]
	id, ok := b.ids[text]
	if !ok {
		return -1, none
	}
	if b.hasUnused && b.pieces[id].kind == unused {
		if m.splits == nil {
			m.splits = map[string]string{}
		}
		m.splits[text] = m.text[l.from:l.to]
	}
	return id, b.rank[id]
}

func (b *byText) resolve(m *merger, s *symbol) { b.output(m, m.text[s.from:s.to], s.id) }

// output appends a piece; an unused one helps joining, but comes out as the two
// it was joined from.
func (b *byText) output(m *merger, text string, id int32) {
	if id < 0 {
		m.emitUnknown(text)
		return
	}
	left, ok := m.splits[text]
	if b.pieces[id].kind != unused || !ok {
		m.emit(id)
		return
	}
	b.output(m, left, b.single(left))
	b.output(m, text[len(left):], b.single(text[len(left):]))
}

func (b *byText) spelled([]piece) bool { return true }

func (b *byText) forget(text string) { delete(b.ids, text) }

func (b *byText) bytes() int { return 4*len(b.rank) + mapBytes(len(b.ids), 24) }

// byPair is the rule of tokenizer.json: a list of pairs, in the order in which
// they join.
type byPair struct {
	vocab  map[string]int32
	merges map[[2]int32]merge
}

type merge struct{ id, rank int32 }

func (b *byPair) spelled(pieces []piece) bool {
	for pair := range b.merges {
		if pieces[pair[0]].kind == byteValue || pieces[pair[1]].kind == byteValue {
			return false
		}
	}
	return true
}

func (b *byPair) forget(text string) { delete(b.vocab, text) }

func (b *byPair) bytes() int { return mapBytes(len(b.vocab), 24) + mapBytes(len(b.merges), 16) }

func (b *byPair) single(text string) int32 {
	if id, ok := b.vocab[text]; ok {
		return id
	}
	return -1
}

func (b *byPair) join(_ *merger, l, r *symbol) (id, rank int32) {
	if x, ok := b.merges[[2]int32{l.id, r.id}]; ok {
		return x.id, x.rank
	}
	return -1, none
}

func (b *byPair) resolve(m *merger, s *symbol) {
	if s.id >= 0 {
		m.emit(s.id)
	} else {
		m.emitUnknown(m.text[s.from:s.to])
	}
}
