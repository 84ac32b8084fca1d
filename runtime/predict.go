package rt

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sort"
	"strings"

	"lorac/runtime/checkpoint"
)

// Predict continues each prompt, or starts from nothing, and writes the texts
// to text_generation_result.txt in the output directory.
func (r *Run) Predict(logits func(*Pass) Mat) {
	if r.tok == nil {
		r.fail(1, "prediction needs a tokenizer; give --tokenizer tokenizer.model")
	}
	prompts := r.opts.Prompts
	if len(prompts) == 0 {
		prompts = []string{""}
	}
	var texts []string
	for i, p := range prompts {
		texts = append(texts, r.generate(p, i, logits))
	}
	all := strings.Join(texts, "\n")
	path := filepath.Join(r.job.Output, "text_generation_result.txt")
	err := checkpoint.WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, all); return err })
	if err != nil {
		r.fail(3, "%v", err)
	}
}

// generate streams one text and returns it.
func (r *Run) generate(prompt string, number int, logits func(*Pass) Mat) string {
	j := r.job
	ids := append([]int32{int32(j.BosID)}, r.tok.Encode(prompt)...)
	limit := min(j.Predict.MaxLength, j.SeqLength) + 1 // the first id, which begins every text, is not counted
	if len(ids) >= limit {
		r.fail(1, "the prompt has %d ids, the longest text %d\n  = help: --max_length, at most seq_length %d", len(ids)-1, limit-1, j.SeqLength)
	}
	var text strings.Builder
	shown := 0
	show := func() {
		s := strings.TrimPrefix(text.String(), " ")
		if safe := completeRunes(s); safe > shown {
			fmt.Print(s[shown:safe])
			shown = safe
		}
	}
	for _, id := range ids {
		text.WriteString(r.tok.Piece(id))
	}
	show()
	s := &sampler{Predict: j.Predict, seed: mix(uint64(j.Seed)) + uint64(number)}
	for len(ids) < limit {
		id := s.pick(logits(lastRow(ids)).Row(0), ids)
		if stops(id, j.EosIDs) || id == int32(j.BosID) {
			break
		}
		ids = append(ids, id)
		text.WriteString(r.tok.Piece(id))
		show()
	}
	fmt.Println()
	return strings.TrimPrefix(text.String(), " ")
}

// completeRunes is the length of s without a character cut in half at its end.
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

func stops(id int32, eos []int) bool {
	for _, e := range eos {
		if int(id) == e {
			return true
		}
	}
	return false
}

// lastRow asks for the logits of the last token.
func lastRow(ids []int32) *Pass {
	p := &Pass{Tokens: ids, Starts: []int32{0}, Rows: []int32{int32(len(ids) - 1)}}
	for i := range ids {
		p.Pos = append(p.Pos, int32(i))
	}
	return p
}

// sampler chooses the next id: repetition penalty, then the likeliest, or a
// draw after temperature, top-k and top-p, as MindFormers' generation does.
type sampler struct {
	Predict
	seed  uint64
	drawn uint64
}

func (s *sampler) pick(logits []float32, seen []int32) int32 {
	x := make([]float64, len(logits))
	for i, v := range logits {
		x[i] = float64(v)
	}
	if s.RepetitionPenalty != 1 && s.RepetitionPenalty > 0 {
		done := map[int32]bool{}
		for _, id := range seen {
			if !done[id] {
				done[id] = true
				if x[id] < 0 {
					x[id] *= s.RepetitionPenalty
				} else {
					x[id] /= s.RepetitionPenalty
				}
			}
		}
	}
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	if !s.DoSample {
		return int32(best)
	}
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return x[order[a]] > x[order[b]] })
	if s.TopK > 0 && s.TopK < len(order) {
		order = order[:s.TopK]
	}
	p := make([]float64, len(order))
	sum := 0.0
	for i, id := range order {
		p[i] = math.Exp((x[id] - x[best]) / s.Temperature)
		sum += p[i]
	}
	if s.TopP > 0 && s.TopP < 1 {
		mass, n := 0.0, 0
		for n < len(p) && (n == 0 || mass < s.TopP*sum) {
			mass += p[n]
			n++
		}
		order, p, sum = order[:n], p[:n], mass
	}
	s.drawn++
	u := float64(mix(s.seed+s.drawn<<20)>>11) / (1 << 53) * sum
	for i, id := range order {
		if u -= p[i]; u < 0 {
			return int32(id)
		}
	}
	return int32(order[len(order)-1])
}
