// Package infer is what a trained model is used for: texts that continue
// prompts, and evaluation by loss and by text. It must not know the weights nor
// how logits are computed.
package infer

import (
	"errors"
	"io"
	"strings"

	"lorac/kernels"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
	"lorac/runtime/rng"
)

// Logits computes the logits [S, vocabulary] of the rows that a micro-batch asks for.
type Logits func(*microbatch.MicroBatch) kernels.Mat

// Generator continues prompts.
type Generator struct {
	Job     *job.Job
	Tok     *tokenizer.Tokenizer // nil: there are no texts
	NoCache bool                 // compute each id from the whole text
	Render  func(string) string  // makes a prompt of a question; nil: it is one
	Stop    func() bool          // whether the run is to end; nil: never
	Spread  Spread               // over the processes of the run; nil: this one does all
	Mute    bool                 // another process writes the files

	logits, next Logits
}

// Use gives the functions that texts are generated with: logits computes whole
// sequences; next continues one, whose keys and values are in the caches. next
// may be nil.
func (g *Generator) Use(logits, next Logits) { g.logits, g.next = logits, next }

// growing returns a function that gives the logits of the id after a text. It
// must be called with one text that grows: of what it has seen it computes
// nothing again, unless there are no caches.
func (g *Generator) growing() func(ids []int32) ([]float32, error) {
	seen := 0
	return func(ids []int32) ([]float32, error) {
		if g.next == nil || g.NoCache {
			b := lastRow(ids, 0)
			if err := microbatch.CheckFits([]*microbatch.MicroBatch{b}, g.Job.MaxRows); err != nil {
				return nil, err
			}
			return g.logits(b).Row(0), nil
		}
		for n := g.Job.MaxRows; len(ids)-seen > n; seen += n { // the arena may be made for rows shorter than a prompt
			g.next(lastRow(ids[:seen+n], seen))
		}
		b := lastRow(ids, seen)
		seen = len(ids)
		return g.next(b).Row(0), nil
	}
}

// lastRow asks for the logits of the last token; the tokens before from are in
// the caches.
func lastRow(ids []int32, from int) *microbatch.MicroBatch {
	b := &microbatch.MicroBatch{Tokens: ids[from:], Starts: []int32{0}, Rows: []int32{int32(len(ids) - from - 1)}}
	for i := from; i < len(ids); i++ {
		b.Pos = append(b.Pos, int32(i))
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

// Continue generates the ids after a prompt until one ends the text, which is
// not among the result. number is that of the prompt: each has random numbers
// of its own. emit sees each id as it comes.
func (g *Generator) Continue(prompt []int32, number int, emit func(int32)) ([]int32, error) {
	j := g.Job
	ids := append([]int32(nil), prompt...)
	s := &sampler{Predict: j.Predict, seed: rng.Mix(uint64(j.Seed)) + uint64(number), eos: j.EosIDs}
	s.least = max(j.Predict.MinLength, 0)
	if j.Predict.MinNew > 0 {
		s.least = max(s.least, len(prompt)+j.Predict.MinNew)
	}
	logits := g.growing()
	for limit := Longest(j, len(prompt)); len(ids) < limit; {
		if g.Stop != nil && g.Stop() {
			return nil, ErrStopped
		}
		x, err := logits(ids)
		if err != nil {
			return nil, err
		}
		if !finite(x) {
			return nil, ErrNotFinite
		}
		id := s.pick(x, ids)
		if stops(id, j.EosIDs) || id == int32(j.BosID) {
			break
		}
		ids = append(ids, id)
		emit(id)
	}
	return ids[len(prompt):], nil
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

// Text continues a prompt, streams the text to out, the prompt included, and
// returns it.
func (g *Generator) Text(out io.Writer, prompt string, number int) (string, error) {
	ids := g.Tok.Encode(prompt)
	bos := int32(g.Job.BosID)                                 // of an empty prompt it is the only id
	if len(ids) == 0 || g.Job.Begin() >= 0 && ids[0] != bos { // the prompt may spell it
		ids = append([]int32{bos}, ids...)
	}
	if limit := Longest(g.Job, len(ids)); len(ids) >= limit {
		return "", exit.Inputf("the prompt has %d ids with the one that begins a text, the longest text %d\n  = help: --max_length, at most seq_length %d", len(ids), limit, g.Job.SeqLength)
	}
	var text strings.Builder
	shown := 0
	show := func() {
		s := strings.TrimPrefix(text.String(), " ")
		if safe := completeRunes(s); safe > shown {
			io.WriteString(out, s[shown:safe])
			shown = safe
		}
	}
	for _, id := range ids {
		text.WriteString(g.Tok.Piece(id))
	}
	show()
	_, err := g.Continue(ids, number, func(id int32) {
		text.WriteString(g.Tok.Piece(id))
		show()
	})
	io.WriteString(out, "\n")
	return strings.TrimPrefix(text.String(), " "), err
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
