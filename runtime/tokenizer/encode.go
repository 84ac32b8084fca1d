package tokenizer

import (
	"container/heap"
	"strings"
	"unicode/utf8"
)

const space = "\u2581" // what stands for a blank inside pieces

// Encode splits text into pieces: its characters, of which again and again the
// neighbours are joined that make the piece of the highest score (of equals
// the leftmost). No control ids are added, and none are read from the text.
func (t *Tokenizer) Encode(text string) []int32 {
	text = t.normalize(text)
	if text == "" {
		return nil
	}
	m := &merger{t: t, text: text}
	m.split()
	m.run()
	return m.ids()
}

func (t *Tokenizer) normalize(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if t.squeeze {
		text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), " ")
	}
	if text == "" {
		return ""
	}
	if t.dummyPrefix {
		text = " " + text
	}
	if t.escape {
		text = strings.ReplaceAll(text, " ", space)
	}
	return text
}

// merger is the state of one encoding: a list of symbols, each a stretch of
// the text, and the pairs that could be joined.
type merger struct {
	t     *Tokenizer
	text  string
	syms  []symbol
	queue pairs
}

type symbol struct {
	from, to   int
	prev, next int
	fixed      bool // a user-defined piece: never joined
}

type pair struct {
	left, right int
	size        int // of both together; a stale pair has another
	score       float32
}

type pairs []pair

func (q pairs) Len() int { return len(q) }
func (q pairs) Less(i, j int) bool {
	return q[i].score > q[j].score || q[i].score == q[j].score && q[i].left < q[j].left
}
func (q pairs) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *pairs) Push(x any)   { *q = append(*q, x.(pair)) }
func (q *pairs) Pop() any     { old := *q; x := old[len(old)-1]; *q = old[:len(old)-1]; return x }

func (m *merger) split() {
	for at := 0; at < len(m.text); {
		n, fixed := 0, false
		for _, u := range m.t.user {
			if len(u) > n && strings.HasPrefix(m.text[at:], u) {
				n, fixed = len(u), true
			}
		}
		if n == 0 {
			_, n = utf8.DecodeRuneInString(m.text[at:])
		}
		i := len(m.syms)
		m.syms = append(m.syms, symbol{at, at + n, i - 1, i + 1, fixed})
		at += n
	}
	m.syms[len(m.syms)-1].next = -1
	for i := 1; i < len(m.syms); i++ {
		m.offer(i-1, i)
	}
}

func (m *merger) offer(l, r int) {
	if l < 0 || r < 0 || m.syms[l].fixed || m.syms[r].fixed {
		return
	}
	id, ok := m.t.ids[m.text[m.syms[l].from:m.syms[r].to]]
	if !ok {
		return
	}
	if k := m.t.pieces[id].kind; k != normal && k != userDefined {
		return
	}
	heap.Push(&m.queue, pair{l, r, m.syms[r].to - m.syms[l].from, m.t.pieces[id].score})
}

func (m *merger) run() {
	for m.queue.Len() > 0 {
		p := heap.Pop(&m.queue).(pair)
		l, r := &m.syms[p.left], &m.syms[p.right]
		if l.to == l.from || r.to == r.from || r.to-l.from != p.size || l.next != p.right {
			continue // one of the two was joined with another meanwhile
		}
		l.to, l.next = r.to, r.next
		r.to = r.from
		if l.next >= 0 {
			m.syms[l.next].prev = p.left
		}
		m.offer(l.prev, p.left)
		m.offer(p.left, l.next)
	}
}

func (m *merger) ids() []int32 {
	var out []int32
	wasUnknown := false
	for i := 0; i >= 0; i = m.syms[i].next {
		s := m.text[m.syms[i].from:m.syms[i].to]
		id, ok := m.t.ids[s]
		if ok && (m.t.pieces[id].kind == normal || m.t.pieces[id].kind == userDefined) {
			out = append(out, id)
			wasUnknown = false
			continue
		}
		if m.t.byteFallback {
			for _, b := range []byte(s) {
				out = append(out, m.t.bytes[b])
			}
			continue
		}
		if !wasUnknown {
			out = append(out, m.t.unk)
		}
		wasUnknown = true
	}
	return out
}

// Decode joins pieces to text; control pieces are silent.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(t.Piece(id))
	}
	s := strings.ToValidUTF8(b.String(), "\uFFFD")
	if t.dummyPrefix {
		s = strings.TrimPrefix(s, " ")
	}
	return s
}

// Piece is the bytes one id stands for, "" for control pieces. Bytes of a
// character may come one by one.
func (t *Tokenizer) Piece(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	p := t.pieces[id]
	switch p.kind {
	case control, unused:
		return ""
	case unknown:
		return t.unkSurface
	case byteKind:
		for b, x := range t.bytes {
			if x == id {
				return string([]byte{byte(b)})
			}
		}
	}
	if t.escape {
		return strings.ReplaceAll(p.text, space, " ")
	}
	return p.text
}

// EncodeMore encodes text that follows other text: no blank is put before it.
func (t *Tokenizer) EncodeMore(text string) []int32 {
	u := *t
	u.dummyPrefix = false
	return u.Encode(text)
}
