package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// symbol is a stretch of the text during encoding. Symbols form a list; joining
// two puts the right one's text into the left one and takes it out.
type symbol struct {
	from, to   int32 // bytes of the text; empty once joined into the left
	prev, next int32 // -1 at the ends
	id         int32 // its piece, -1 for none
	rank       int32 // of joining it with next: least first, none for never
	joined     int32 // the piece that makes
}

const none = 1<<31 - 1

// merger encodes one text by byte-pair merges: lowest rank first, leftmost among
// equals (Sennrich et al. 2016; sentencepiece bpe_model.cc; tokenizers
// models/bpe/word.rs).
type merger struct {
	t    *Tokenizer
	text string
	syms []symbol
	heap []candidate
	out  []int32
	each func([]int32) // receives the ids in out from time to time; may be nil

	afterUnk bool              // the last id stands for unknown characters
	splits   map[string]string // of unused pieces: their left half

	known map[string][]int32 // words of this text and their ids, for long texts

	peak int // bytes of the longest part while it is joined
}

// symbolBytes is what a character takes while it is joined: a symbol and a candidate.
const symbolBytes = 28 + 12

// long is the length of a text, in bytes, from which remembering its words pays;
// no more than manyWords of them are kept.
const (
	long      = 1 << 12
	manyWords = 1 << 14
)

// manyIDs is the approximate number of ids passed to each at once.
const manyIDs = 1 << 12

// few is the number of symbols up to which a linear search for the next pair is faster
// than a heap.
const few = 24

// word encodes text that joins with nothing around it, part by part where it is long.
func (m *merger) word(text string) {
	for {
		n := m.t.cutWord(text)
		m.part(text[:n])
		if text = text[n:]; text == "" {
			return
		}
	}
}

// part encodes text that joins with nothing around it.
func (m *merger) part(text string) {
	if m.each != nil && len(m.out) >= manyIDs {
		m.each(m.out)
		m.out = m.out[:0]
	}
	if ids, ok := m.known[text]; ok {
		m.out = append(m.out, ids...)
		m.afterUnk = false
		return
	}
	m.text = text
	m.split()
	if len(m.syms) == 0 {
		return
	}
	if len(m.syms) <= few {
		m.joinFew()
	} else {
		m.joinMany()
	}
	at := len(m.out)
	for i := int32(0); i >= 0; i = m.syms[i].next {
		m.t.rules.resolve(m, &m.syms[i])
	}
	// Where unknown characters fuse, ids depend on what comes before.
	if m.known != nil && len(m.known) < manyWords && len(m.syms) <= few && (m.t.unkOut.allBytes || m.t.level != nil) {
		m.known[text] = slices.Clone(m.out[at:])
	}
}

// split makes a symbol of every character.
func (m *merger) split() {
	m.syms = m.syms[:0]
	if n := len(m.text); n > longWord && n > cap(m.syms) { // once, as large as it will be
		if m.t.level == nil && !m.t.unkOut.early {
			n = utf8.RuneCountInString(m.text)
		}
		m.syms = make([]symbol, 0, n)
	}
	for at := 0; at < len(m.text); {
		_, n := utf8.DecodeRuneInString(m.text[at:])
		id := m.t.rules.single(m.text[at : at+n])
		if id < 0 && m.t.unkOut.early && m.t.hasBytes(m.text[at:at+n]) {
			for i := at; i < at+n; i++ {
				m.push(i, i+1, m.t.bytes[m.text[i]])
			}
		} else if id >= 0 || !m.t.unkOut.skip {
			m.push(at, at+n, id)
		}
		at += n
	}
	if len(m.syms) > 0 {
		m.syms[len(m.syms)-1].next = -1
	}
}

func (m *merger) push(from, to int, id int32) {
	i := int32(len(m.syms))
	m.syms = append(m.syms, symbol{int32(from), int32(to), i - 1, i + 1, id, none, -1})
}

// look finds the rank of joining symbol i with its neighbour.
func (m *merger) look(i int32) int32 {
	l := &m.syms[i]
	l.joined, l.rank = -1, none
	if l.next >= 0 {
		l.joined, l.rank = m.t.rules.join(m, l, &m.syms[l.next])
	}
	return l.rank
}

// take joins symbol i with its neighbour.
func (m *merger) take(i int32) {
	l := &m.syms[i]
	r := &m.syms[l.next]
	l.id, l.to, l.next = l.joined, r.to, r.next
	r.from, r.to = 0, 0
	if l.next >= 0 {
		m.syms[l.next].prev = i
	}
}

func (m *merger) joinFew() {
	for i := range m.syms {
		m.look(int32(i))
	}
	for {
		best, rank := int32(-1), int32(none)
		for i := int32(0); i >= 0; i = m.syms[i].next {
			if m.syms[i].rank < rank {
				best, rank = i, m.syms[i].rank
			}
		}
		if best < 0 {
			return
		}
		m.take(best)
		m.look(best)
		if p := m.syms[best].prev; p >= 0 {
			m.look(p)
		}
	}
}

// candidate is a pair that could be joined; if the bytes it was made for are no
// longer two neighbours, it is void.
type candidate struct{ rank, left, size int32 }

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.left < d.left
}

func (m *merger) joinMany() {
	m.heap = m.heap[:0]
	if n := len(m.syms); n > longWord && n > cap(m.heap) {
		m.heap = make([]candidate, 0, n)
	}
	m.peak = max(m.peak, len(m.text)+symbolBytes*len(m.syms))
	for i := range m.syms {
		m.offer(int32(i))
	}
	for len(m.heap) > 0 {
		c := m.pop()
		l := &m.syms[c.left]
		if l.to == l.from || l.next < 0 || m.syms[l.next].to-l.from != c.size || l.rank != c.rank {
			continue
		}
		m.take(c.left)
		m.offer(c.left)
		if l.prev >= 0 {
			m.offer(l.prev)
		}
	}
}

func (m *merger) offer(i int32) {
	if rank := m.look(i); rank != none {
		l := &m.syms[i]
		m.add(candidate{rank, i, m.syms[l.next].to - l.from})
	}
}

// add and pop keep a binary heap, the first candidate at its root.
func (m *merger) add(c candidate) {
	h := append(m.heap, c)
	i := len(h) - 1
	for i > 0 && c.before(h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = c
	m.heap = h
}

func (m *merger) pop() candidate {
	h := m.heap
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	m.heap = h
	i := 0
	for 2*i+1 < len(h) {
		c := 2*i + 1
		if c+1 < len(h) && h[c+1].before(h[c]) {
			c++
		}
		if !h[c].before(last) {
			break
		}
		h[i] = h[c]
		i = c
	}
	if len(h) > 0 {
		h[i] = last
	}
	return top
}

// emit appends an id that stands for text.
func (m *merger) emit(id int32) {
	m.out = append(m.out, id)
	m.afterUnk = false
}

// emitUnknown appends what stands for text that no piece has.
func (m *merger) emitUnknown(text string) {
	t := m.t
	if t.hasBytes(text) {
		for i := range len(text) {
			m.emit(t.bytes[text[i]])
		}
		return
	}
	if t.unk >= 0 && !(m.afterUnk && t.unkOut.fuse) {
		m.out = append(m.out, t.unk)
	}
	m.afterUnk = true
}

// hasBytes reports whether text that no piece has is written as its bytes.
func (t *Tokenizer) hasBytes(text string) bool {
	if !t.unkOut.toBytes {
		return false
	}
	if t.unkOut.allBytes {
		return true
	}
	for i := range len(text) {
		if t.bytes[text[i]] < 0 {
			return false
		}
	}
	return true
}
