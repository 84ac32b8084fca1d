package infer

import (
	"math"
	"sort"

	"lorac/runtime/job"
	"lorac/runtime/rng"
)

// sampler chooses the next id as MindFormers does (r1.3
// generation/logits_process.py): repetition penalty, least length, then the
// likeliest, or a draw after temperature, top-k and top-p. The random numbers
// are lorac's own.
type sampler struct {
	job.Predict
	seed  uint64
	drawn uint64
	eos   []int
	least int // ids a text must have before it may end
}

// pick chooses the id after a text of the ids seen.
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
	if len(seen) < s.least {
		for _, id := range s.eos {
			if id >= 0 && id < len(x) {
				x[id] = math.Inf(-1)
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
	return s.draw(x, best)
}

// draw samples among the k likeliest, all that are as likely as the last of
// them included, of which those are kept whose probabilities sum to less than
// top_p, the likeliest always.
func (s *sampler) draw(x []float64, best int) int32 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return x[order[a]] > x[order[b]] })
	if s.TopK > 0 && s.TopK < len(order) {
		n := s.TopK
		for n < len(order) && x[order[n]] == x[order[s.TopK-1]] {
			n++
		}
		order = order[:n]
	}
	p := make([]float64, len(order))
	sum := 0.0
	for i, id := range order {
		p[i] = math.Exp((x[id] - x[best]) / s.Temperature)
		sum += p[i]
	}
	if s.TopP >= 0 && s.TopP < 1 {
		mass, n := p[0], 1
		for n < len(p) && mass+p[n] < s.TopP*sum {
			mass += p[n]
			n++
		}
		order, p, sum = order[:n], p[:n], mass
	}
	s.drawn++
	u := float64(rng.Mix(s.seed+s.drawn<<20)>>11) / (1 << 53) * sum
	for i, id := range order {
		if u -= p[i]; u < 0 {
			return int32(id)
		}
	}
	return int32(order[len(order)-1])
}
