package infer

import (
	"strings"
	"time"

	"lorac/runtime/job"
	"lorac/runtime/rng"
)

// Request is a text that somebody waits for.
type Request struct {
	Prompt  []int32
	Predict job.Predict // how ids are picked
	Seed    int
	Limit   int // ids after the prompt at most
	Kind    int // requests of two kinds are not computed together

	// Gone reports whether nobody waits any more.
	Gone func() bool
	// Emit sees each id as it comes; it reports whether the text has ended with it.
	Emit func(id int32) (ended bool)
	// Done is told why the text ended: stop, length or gone; or an error.
	Done func(why string, err error)
}

// rows are those of the caches that the text may take.
func (q *Request) rows() int { return len(q.Prompt) + q.Limit }

// answering is a request that is computed.
type answering struct {
	*growing
	*Request
}

// Serve answers requests until there are no more. Those of one kind are computed at
// once, as many as the caches have rows for; they begin in the order in which they
// came. next gives the next one, and waits for it where wait is true; more is false
// when there will be none. use is told the kind before requests of another begin.
func (g *Generator) Serve(next func(wait bool) (q *Request, more bool), use func(kind int)) error {
	most := g.Texts
	if most == 0 {
		most = 8
	}
	most = min(most, g.Job.MaxRows)
	var active []*answering
	var head *Request
	g.left = remains{}
	kind, more := -1, true
	for {
		for len(active) < most {
			if head == nil && more {
				head, more = next(len(active) == 0)
			}
			if head == nil || len(active) > 0 && head.Kind != kind {
				break
			}
			base, fits := place(active, head.rows(), g.Job.SeqLength)
			if !fits {
				break
			}
			q := head
			if head = nil; q.Gone() {
				q.Done("gone", nil)
				continue
			}
			if q.Kind != kind {
				kind = q.Kind
				use(kind)
			}
			a := g.answer(q, base)
			g.Stats.Texts++
			g.Stats.Prompt += len(a.ids) - a.seen
			begun := time.Now()
			x, err := g.begin(a.growing)
			g.Stats.Reading += time.Since(begun)
			if err != nil {
				q.Done("", err)
				continue
			}
			if !g.advance(a, x) {
				active = append(active, a)
			}
		}
		if len(active) == 0 {
			if head == nil && !more {
				return nil
			}
			continue
		}
		active = g.step(active)
	}
}

// answer is a request that begins, at a row of the caches.
func (g *Generator) answer(q *Request, base int) *answering {
	t := &growing{base: base, prompt: len(q.Prompt), ids: append([]int32(nil), q.Prompt...), limit: q.rows()}
	t.sampler = &sampler{Predict: q.Predict, seed: rng.Mix(uint64(q.Seed)), eos: g.Job.EosIDs}
	if n := q.Predict.MinNew; n > 0 {
		t.least = len(q.Prompt) + n
	}
	if g.cached() {
		t.seen = g.left.reuse(q, base)
	}
	return &answering{t, q}
}

// remains is the last text that ended: its keys and values are in the caches until
// others take the rows. A conversation that continues begins with them, and need not be
// read again: a row has the same bits whatever it was computed with.
type remains struct {
	base, kind int
	ids        []int32
}

// reuse gives how many ids of a request are in the caches where it begins. Whatever else
// takes the rows ends the remains.
func (m *remains) reuse(q *Request, base int) (n int) {
	if base >= m.base+len(m.ids) || m.base >= base+q.rows() {
		return 0
	}
	if base == m.base && q.Kind == m.kind {
		for n < min(len(m.ids), len(q.Prompt)-1) && m.ids[n] == q.Prompt[n] {
			n++
		}
	}
	*m = remains{}
	return n
}

// step computes one more id of each text; those that have not ended are left.
func (g *Generator) step(active []*answering) []*answering {
	begun := time.Now()
	list := make([]*growing, len(active))
	for i, a := range active {
		list[i] = a.growing
	}
	var rows func(i int) ([]float32, error)
	if g.cached() {
		x := g.next(g.lastIDs(list))
		rows = func(i int) ([]float32, error) { return x.Row(i), nil }
	} else {
		rows = func(i int) ([]float32, error) { return g.begin(list[i]) }
	}
	g.Stats.Most = max(g.Stats.Most, len(active))
	g.Stats.IDs += len(active)
	left := active[:0]
	for i, a := range active {
		x, err := rows(i)
		if err != nil {
			a.Done("", err)
			continue
		}
		if g.advance(a, x) {
			g.left = remains{a.base, a.Kind, a.ids[:a.seen]}
		} else {
			left = append(left, a)
		}
	}
	g.Stats.Generating += time.Since(begun)
	return left
}

// advance appends the id that the logits give, and reports whether the text has ended.
func (g *Generator) advance(a *answering, x []float32) (ended bool) {
	switch {
	case a.Gone():
		a.Done("gone", nil)
		return true
	case !finite(x):
		a.Done("", ErrNotFinite)
		return true
	}
	id := a.pick(x, a.ids)
	if stops(id, g.Job.EosIDs) || id == int32(g.Job.BosID) {
		a.Done("stop", nil)
		return true
	}
	a.ids = append(a.ids, id)
	switch {
	case a.Emit(id):
		a.Done("stop", nil)
	case len(a.ids) >= a.limit:
		a.Done("length", nil)
	default:
		return false
	}
	return true
}

// place finds rows of the caches for one more text.
func place(active []*answering, rows, all int) (base int, fits bool) {
	for moved := true; moved; {
		moved = false
		for _, a := range active {
			if base < a.base+a.rows() && a.base < base+rows {
				base, moved = a.base+a.rows(), true
			}
		}
	}
	return base, base+rows <= all
}

// Speaker turns the ids of an answer into text as far as it is certain: whole
// characters, none of which may be the beginning of a text that ends it.
type Speaker struct {
	Stops []string
	Ended bool // one of them has come
	text  strings.Builder
	shown int
}

// Add takes the text of one more id, and gives what can be said; ended is true when a
// text of Stops has come, which is not said.
func (s *Speaker) Add(piece string) (say string, ended bool) {
	s.text.WriteString(piece)
	text := s.text.String()
	safe := completeRunes(text)
	for _, stop := range s.Stops {
		if stop == "" {
			continue
		}
		if at := strings.Index(text[s.shown:], stop); at >= 0 {
			if !ended || s.shown+at < safe {
				safe, ended = s.shown+at, true
			}
		}
	}
	if !ended {
		for _, stop := range s.Stops {
			for n := min(len(stop)-1, safe-s.shown); n > 0; n-- {
				if strings.HasPrefix(stop, text[safe-n:safe]) {
					safe -= n
					break
				}
			}
		}
	}
	say = text[s.shown:max(safe, s.shown)]
	s.shown += len(say)
	s.Ended = ended
	return say, ended
}

// Rest is what was held back.
func (s *Speaker) Rest() string {
	text := s.text.String()[s.shown:]
	s.shown += len(text)
	return strings.ToValidUTF8(text, "\uFFFD")
}
