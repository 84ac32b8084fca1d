// Package infer is what a trained model is used for: texts that continue
// prompts, and evaluation by loss and by text. It must not know the weights nor
// how logits are computed.
package infer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"lorac/kernels"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
	"lorac/runtime/rng"
	"lorac/runtime/sys/human"
)

// Logits computes the logits [S, vocabulary] of the rows that a micro-batch asks for.
type Logits func(*microbatch.MicroBatch) kernels.Mat

// Generator continues prompts.
type Generator struct {
	Job     *job.Job
	Tok     *tokenizer.Tokenizer         // nil: there are no texts
	NoCache bool                         // compute each id from the whole text
	Texts   int                          // most texts that are continued at once; 0: 8
	Render  func(string) (string, error) // makes a prompt of a question; nil: it is one
	Bare    bool                         // prompts say themselves what they begin with
	Stop    func() bool                  // whether the run is to end; nil: never
	Spread  Spread                       // over the processes of the run; nil: this one does all
	Mute    bool                         // another process writes the files

	Stats Stats // of the texts so far

	logits, next Logits
	left         remains // of what Serve answered
}

// Stats are how many ids were read and generated, and how long it took. The time of
// the first id of a text is that of its prompt.
type Stats struct {
	Texts, Prompt, IDs  int
	Reading, Generating time.Duration
	Most                int // texts at once
}

// Text is the outcome in a few words.
func (s *Stats) Text() string {
	if s.Texts == 0 { // of a server that nobody asked
		return "0 texts"
	}
	rate := func(n int, d time.Duration) string {
		return fmt.Sprintf("%.1f tokens/s", float64(n)/max(d.Seconds(), 1e-9))
	}
	text := fmt.Sprintf("%s: prompts of %s at %s", human.Count(s.Texts, "text"), human.Count(s.Prompt, "id"), rate(s.Prompt, s.Reading))
	if s.IDs > 0 {
		text += fmt.Sprintf(", %s generated at %s", human.Count(s.IDs, "more id"), rate(s.IDs, s.Generating))
		if s.Most > 1 {
			text += fmt.Sprintf(", %d texts at once", s.Most)
		}
	}
	return text
}

// Use gives the functions that texts are generated with: logits computes whole
// sequences; next continues some whose keys and values are in the caches. next
// may be nil.
func (g *Generator) Use(logits, next Logits) { g.logits, g.next = logits, next }

// cached reports whether keys and values are remembered.
func (g *Generator) cached() bool { return g.next != nil && !g.NoCache }

// growing is a text that is continued.
type growing struct {
	text   int // number among the prompts
	base   int // first row in the caches
	prompt int // ids it began with
	ids    []int32
	seen   int // ids whose keys and values are in the caches
	limit  int
	*sampler
}

// begin computes the logits of the id after a prompt.
func (g *Generator) begin(t *growing) ([]float32, error) {
	b := lastRow(t.ids, 0, 0)
	if !g.cached() {
		if err := microbatch.CheckFits([]*microbatch.MicroBatch{b}, g.Job.MaxRows); err != nil {
			return nil, err
		}
		return g.logits(b).Row(0), nil
	}
	for n := g.Job.MaxRows; len(t.ids)-t.seen > n; t.seen += n { // the arena may be made for rows shorter than a prompt
		g.next(lastRow(t.ids[:t.seen+n], t.seen, t.base))
	}
	b = lastRow(t.ids, t.seen, t.base)
	t.seen = len(t.ids)
	return g.next(b).Row(0), nil
}

// lastRow asks for the logits of the last token; the tokens before from are in
// the caches.
func lastRow(ids []int32, from, base int) *microbatch.MicroBatch {
	b := &microbatch.MicroBatch{Tokens: ids[from:], Starts: []int32{0}, Base: []int32{int32(base)}, Rows: []int32{int32(len(ids) - from - 1)}}
	for i := from; i < len(ids); i++ {
		b.Pos = append(b.Pos, int32(i))
	}
	return b
}

// lastIDs asks for the logits of the id after each of some texts, of which all but
// the last id is in the caches.
func (g *Generator) lastIDs(list []*growing) *microbatch.MicroBatch {
	b := &microbatch.MicroBatch{}
	for i, t := range list {
		b.Tokens = append(b.Tokens, t.ids[t.seen])
		b.Pos = append(b.Pos, int32(t.seen))
		b.Starts = append(b.Starts, int32(i))
		b.Base = append(b.Base, int32(t.base))
		b.Rows = append(b.Rows, int32(i))
		t.seen++
	}
	return b
}

// Longest is the most ids of a text whose prompt has n, the one that begins every
// text included: max_new_tokens wins over max_length, and seq_length bounds both
// (MindFormers generation/text_generator.py).
func Longest(j *job.Job, n int) int {
	limit := j.Predict.MaxLength
	if j.Predict.MaxNew > 0 {
		limit = n + j.Predict.MaxNew
	}
	return min(limit, j.SeqLength)
}

// AtOnce is how many of n texts are continued at once: at most so many, 0 for 8, as
// the caches have rows for and an arena for a row each.
func AtOnce(j *job.Job, longest, n, most int) int {
	if most == 0 {
		most = 8
	}
	return max(min(most, n, j.SeqLength/max(longest, 1), j.MaxRows), 1)
}

// Prompt is what a text begins with. Its number decides its random numbers.
type Prompt struct {
	IDs    []int32
	Number int
}

// Continue generates the ids after each of some prompts until one ends the text,
// which is not among the result. Several are continued at once; a text depends on
// its prompt alone. emit sees each id of text i as it comes, done the ids of a text
// that has ended.
func (g *Generator) Continue(prompts []Prompt, emit func(i int, id int32), done func(i int, ids []int32)) error {
	longest := 0
	for i := range prompts {
		longest = max(longest, Longest(g.Job, len(prompts[i].IDs)))
	}
	free := make([]int, 1) // first rows of texts in the caches
	if g.cached() {
		free = make([]int, AtOnce(g.Job, longest, len(prompts), g.Texts))
	}
	for i := range free {
		free[i] = (len(free) - 1 - i) * longest
	}
	var active []*growing
	for next := 0; next < len(prompts) || len(active) > 0; {
		for ; next < len(prompts) && len(free) > 0; next++ {
			t := g.start(&prompts[next], next, free[len(free)-1])
			g.Stats.Texts++
			for len(t.ids) < t.limit {
				begun := time.Now()
				g.Stats.Prompt += len(t.ids)
				x, err := g.begin(t)
				g.Stats.Reading += time.Since(begun)
				if err != nil {
					return err
				}
				ended, err := g.take(t, x, emit)
				if err != nil {
					return err
				}
				if ended {
					t.limit = 0
				} else if g.cached() {
					break // the others are computed together
				}
			}
			if len(t.ids) >= t.limit {
				done(t.text, t.ids[t.prompt:])
				continue
			}
			free = free[:len(free)-1]
			active = append(active, t)
		}
		if len(active) == 0 {
			continue
		}
		begun := time.Now()
		x := g.next(g.lastIDs(active))
		g.Stats.Most = max(g.Stats.Most, len(active))
		g.Stats.IDs += len(active)
		g.Stats.Generating += time.Since(begun)
		left := active[:0]
		for i, t := range active {
			ended, err := g.take(t, x.Row(i), emit)
			if err != nil {
				return err
			}
			if ended || len(t.ids) >= t.limit {
				done(t.text, t.ids[t.prompt:])
				free = append(free, t.base)
				continue
			}
			left = append(left, t)
		}
		active = left
	}
	return nil
}

// start is prompt i, whose caches begin at row base.
func (g *Generator) start(p *Prompt, i, base int) *growing {
	j := g.Job
	t := &growing{text: i, base: base, prompt: len(p.IDs), ids: append([]int32(nil), p.IDs...), limit: Longest(j, len(p.IDs))}
	t.sampler = &sampler{Predict: j.Predict, seed: rng.Mix(uint64(j.Seed)) + uint64(p.Number), eos: j.EosIDs}
	t.least = max(j.Predict.MinLength, 0)
	if j.Predict.MinNew > 0 {
		t.least = max(t.least, len(p.IDs)+j.Predict.MinNew)
	}
	return t
}

// take appends the id that the logits give, and reports whether it ends the text.
func (g *Generator) take(t *growing, x []float32, emit func(i int, id int32)) (ended bool, err error) {
	if g.Stop != nil && g.Stop() {
		return false, ErrStopped
	}
	if !finite(x) {
		return false, ErrNotFinite
	}
	id := t.pick(x, t.ids)
	if stops(id, g.Job.EosIDs) || id == int32(g.Job.BosID) {
		return true, nil
	}
	t.ids = append(t.ids, id)
	emit(t.text, id)
	return false, nil
}

// ErrNotFinite is the error of logits that no id can be picked by.
var ErrNotFinite = errors.New("logits of a generated text are not finite")

func finite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 { // NaN of NaN and infinities
			return false
		}
	}
	return true
}

// idsOf are those of a prompt, with the id that begins a text.
func (g *Generator) idsOf(prompt string) ([]int32, error) {
	ids := g.Tok.Encode(prompt)
	bos := int32(g.Job.BosID)                                            // of an empty prompt it is the only id
	if len(ids) == 0 || !g.Bare && g.Job.Begin() >= 0 && ids[0] != bos { // the prompt may spell it
		ids = append([]int32{bos}, ids...)
	}
	if limit := Longest(g.Job, len(ids)); len(ids) >= limit {
		return nil, exit.Inputf("the prompt has %d ids with the one that begins a text, the longest text %d\n  = help: --max_length, at most seq_length %d", len(ids), limit, g.Job.SeqLength)
	}
	return ids, nil
}

// CheckPrompts is the error of the first prompt that leaves no place for an answer.
func (g *Generator) CheckPrompts(prompts []string) error {
	for _, p := range prompts {
		if _, err := g.idsOf(p); err != nil {
			return err
		}
	}
	return nil
}

// Answers continues prompts and gives what comes after each, to every process.
func (g *Generator) Answers(prompts []string) ([]string, error) {
	list, out := make([]Prompt, len(prompts)), make([]string, len(prompts))
	for i, p := range prompts {
		ids, err := g.idsOf(p)
		if err != nil {
			return nil, err
		}
		list[i] = Prompt{ids, i}
	}
	quiet := func(int, int32) {}
	if g.Spread == nil {
		err := g.Continue(list, quiet, func(i int, ids []int32) { out[i] = g.Tok.Decode(ids) })
		return out, err
	}
	err := g.Spread.each(len(list), func(i int) (answer []byte, err error) {
		err = g.Continue(list[i:i+1], quiet, func(_ int, ids []int32) { answer = []byte(g.Tok.Decode(ids)) })
		return answer, err
	}, func(i int, answer []byte) { out[i] = string(answer) })
	return out, err
}

// Write continues prompts, streams the texts to out in order, the prompts included,
// and gives each to text when it is written. The first prompt has the number first.
func (g *Generator) Write(out io.Writer, prompts []string, first int, text func(i int, text string)) error {
	list := make([]Prompt, len(prompts))
	texts := make([]*stream, len(prompts))
	for i, p := range prompts {
		ids, err := g.idsOf(p)
		if err != nil {
			return err
		}
		list[i] = Prompt{ids, first + i}
		texts[i] = &stream{}
		for _, id := range ids {
			texts[i].add(g.Tok.Piece(id))
		}
	}
	at := 0 // the text that is being written; those after it wait
	show := func() {
		for ; at < len(texts); at++ {
			if texts[at].write(out); !texts[at].ended {
				return
			}
			io.WriteString(out, "\n")
			text(at, texts[at].String())
		}
	}
	show()
	return g.Continue(list, func(i int, id int32) {
		if texts[i].add(g.Tok.Piece(id)); i == at {
			texts[i].write(out)
		}
	}, func(i int, _ []int32) {
		texts[i].ended = true
		show()
	})
}

// stream is a text of which a part is written.
type stream struct {
	text  strings.Builder
	shown int
	ended bool
}

func (s *stream) add(piece string) { s.text.WriteString(piece) }

// String is the text without the space that the first word begins with.
func (s *stream) String() string { return replaceInvalid(s.raw()) }

func (s *stream) raw() string { return strings.TrimPrefix(s.text.String(), " ") }

// write writes what is not written and is whole; of a text that has ended, all.
func (s *stream) write(out io.Writer) {
	text := s.raw()
	safe := len(text)
	if !s.ended {
		safe = completeRunes(text)
	}
	if safe > s.shown {
		io.WriteString(out, replaceInvalid(text[s.shown:safe]))
		s.shown = safe
	}
}

// replaceInvalid puts U+FFFD for each byte that is part of no character.
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// completeRunes is the length of s without a character that is incomplete at its end.
func completeRunes(s string) int {
	for n := len(s); n > max(0, len(s)-4); n-- {
		if c := s[n-1]; c < 0x80 {
			return n
		} else if c >= 0xC0 {
			size := 2
			if c >= 0xE0 {
				size = 3
			}
			if c >= 0xF0 {
				size = 4
			}
			if len(s)-(n-1) >= size {
				return len(s)
			}
			return n - 1
		}
	}
	return len(s)
}

// stops reports whether an id ends a text.
func stops(id int32, eos []int) bool {
	for _, e := range eos {
		if int(id) == e {
			return true
		}
	}
	return false
}
