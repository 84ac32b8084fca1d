package infer

import (
	"math"
	"testing"

	"lorac/runtime/job"
)

func drawn(p job.Predict, logits []float32, seen ...int32) map[int32]int {
	counts := map[int32]int{}
	p.DoSample = true
	if p.RepetitionPenalty == 0 {
		p.RepetitionPenalty = 1
	}
	s := &sampler{Predict: p, seed: 1}
	for range 20000 {
		counts[s.pick(logits, seen)]++
	}
	return counts
}

// Probabilities ½, ¼, ⅛, ⅛: what top-k and top-p leave, by MindFormers' rules.
func TestSamplingParameters(t *testing.T) {
	ln2 := float32(math.Ln2)
	x := []float32{0, -2 * ln2, -ln2, -2 * ln2} // ids 0, 2, then 1 and 3 the same
	for _, c := range []struct {
		name string
		p    job.Predict
		want map[int32]float64
	}{
		{"all", job.Predict{TopP: 1, Temperature: 1}, map[int32]float64{0: .5, 2: .25, 1: .125, 3: .125}},
		{"top-k 2", job.Predict{TopK: 2, TopP: 1, Temperature: 1}, map[int32]float64{0: 2. / 3, 2: 1. / 3}},
		{"top-k 3 keeps what is as likely as the third", job.Predict{TopK: 3, TopP: 1, Temperature: 1}, map[int32]float64{0: .5, 2: .25, 1: .125, 3: .125}},
		{"top-p 0.8: sums below it stay, ½ and ¾", job.Predict{TopP: 0.8, Temperature: 1}, map[int32]float64{0: 2. / 3, 2: 1. / 3}},
		{"top-p 0.7: ¾ is not below it", job.Predict{TopP: 0.7, Temperature: 1}, map[int32]float64{0: 1}},
		{"top-p 0.1: one stays always", job.Predict{TopP: 0.1, Temperature: 1}, map[int32]float64{0: 1}},
		{"top-p after top-k: of ⅔ and ⅓", job.Predict{TopK: 2, TopP: 0.7, Temperature: 1}, map[int32]float64{0: 1}},
		{"temperature ½ squares", job.Predict{TopP: 1, Temperature: 0.5}, map[int32]float64{0: 16. / 22, 2: 4. / 22, 1: 1. / 22, 3: 1. / 22}},
	} {
		counts := drawn(c.p, x)
		for id, n := range counts {
			if c.want[id] == 0 {
				t.Errorf("%s: id %d is drawn", c.name, id)
			}
			if f := float64(n) / 20000; math.Abs(f-c.want[id]) > 0.015 {
				t.Errorf("%s: id %d has share %v, want %v", c.name, id, f, c.want[id])
			}
		}
	}
	// The penalty divides what is positive and multiplies what is negative.
	s := &sampler{Predict: job.Predict{RepetitionPenalty: 2}}
	if id := s.pick([]float32{3, 2, -1}, []int32{0}); id != 1 {
		t.Errorf("3/2 against 2: %d", id)
	}
	if id := s.pick([]float32{-1, -1.5}, []int32{0}); id != 1 {
		t.Errorf("−1·2 against −1.5: %d", id)
	}
}

func TestSampler(t *testing.T) {
	logits := []float32{1, 3, 2, -1}
	greedy := &sampler{Predict: job.Predict{RepetitionPenalty: 1}}
	if id := greedy.pick(logits, nil); id != 1 {
		t.Errorf("greedy took %d", id)
	}
	tired := &sampler{Predict: job.Predict{RepetitionPenalty: 10}}
	if id := tired.pick(logits, []int32{1}); id != 2 {
		t.Errorf("with 1 seen and a penalty of 10: %d", id)
	}
	counts := map[int32]int{}
	s := &sampler{Predict: job.Predict{DoSample: true, TopK: 2, TopP: 1, Temperature: 1, RepetitionPenalty: 1}, seed: 1}
	for range 4000 {
		counts[s.pick(logits, nil)]++
	}
	// e³/(e³+e²) = 0.731
	if len(counts) != 2 || counts[1] < 2800 || counts[1] > 3050 {
		t.Errorf("of 4000 draws among the two likeliest: %v", counts)
	}
	narrow := &sampler{Predict: job.Predict{DoSample: true, TopP: 0.5, Temperature: 1, RepetitionPenalty: 1}, seed: 1}
	for range 100 {
		if id := narrow.pick(logits, nil); id != 1 {
			t.Fatalf("top_p 0.5 took %d", id)
		}
	}
}
