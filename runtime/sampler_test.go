package rt

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func drawn(p Predict, logits []float32, seen ...int32) map[int32]int {
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
	x := []float32{0, -2 * ln2, -ln2, -2 * ln2} // ids 0, 2, then 1 and 3 alike
	for _, c := range []struct {
		name string
		p    Predict
		want map[int32]float64
	}{
		{"all", Predict{TopP: 1, Temperature: 1}, map[int32]float64{0: .5, 2: .25, 1: .125, 3: .125}},
		{"top-k 2", Predict{TopK: 2, TopP: 1, Temperature: 1}, map[int32]float64{0: 2. / 3, 2: 1. / 3}},
		{"top-k 3 keeps what is as likely as the third", Predict{TopK: 3, TopP: 1, Temperature: 1}, map[int32]float64{0: .5, 2: .25, 1: .125, 3: .125}},
		{"top-p 0.8: sums below it stay, ½ and ¾", Predict{TopP: 0.8, Temperature: 1}, map[int32]float64{0: 2. / 3, 2: 1. / 3}},
		{"top-p 0.7: ¾ is not below it", Predict{TopP: 0.7, Temperature: 1}, map[int32]float64{0: 1}},
		{"top-p 0.1: one stays always", Predict{TopP: 0.1, Temperature: 1}, map[int32]float64{0: 1}},
		{"top-p behind top-k: of ⅔ and ⅓", Predict{TopK: 2, TopP: 0.7, Temperature: 1}, map[int32]float64{0: 1}},
		{"temperature ½ squares", Predict{TopP: 1, Temperature: 0.5}, map[int32]float64{0: 16. / 22, 2: 4. / 22, 1: 1. / 22, 3: 1. / 22}},
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
	s := &sampler{Predict: Predict{RepetitionPenalty: 2}}
	if id := s.pick([]float32{3, 2, -1}, []int32{0}); id != 1 {
		t.Errorf("3/2 against 2: %d", id)
	}
	if id := s.pick([]float32{-1, -1.5}, []int32{0}); id != 1 {
		t.Errorf("−1·2 against −1.5: %d", id)
	}
}

// A text does not end before its least length, nor go past its greatest.
func TestLengths(t *testing.T) {
	r := &Run{job: &Job{SeqLength: 20, EosIDs: []int{2}, BosID: 1, Vocab: 4, Predict: Predict{MaxLength: 6, RepetitionPenalty: 1}}}
	ends := func(*Pass) Mat { return Mat{Rows: 1, Cols: 4, Stride: 4, Data: []float32{0, 0, 5, 1}} } // eos, then id 3
	r.logits, r.opts = ends, &Options{}
	count := func() int { return len(r.continuation([]int32{1, 3}, 0, func(int32) {})) }
	if n := count(); n != 0 {
		t.Errorf("%d ids before eos", n)
	}
	r.job.Predict.MinNew = 3
	if n := count(); n != 3 {
		t.Errorf("min_new_tokens 3 gives %d", n)
	}
	r.job.Predict.MinNew, r.job.Predict.MinLength = 0, 4
	if n := count(); n != 3 { // 4 ids and the first: 2 are there
		t.Errorf("min_length 4 gives %d", n)
	}
	r.job.EosIDs = nil
	if n := count(); n != 5 { // 6 ids and the first
		t.Errorf("max_length 6 gives %d", n)
	}
	r.job.Predict.MaxNew = 9
	if n := count(); n != 9 {
		t.Errorf("max_new_tokens 9 gives %d", n)
	}
}

func TestPrompts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prompts.txt")
	if err := os.WriteFile(file, []byte("one\ntwo\\nlines\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := &Run{job: &Job{Predict: Predict{Input: []string{"from the config"}}}, opts: &Options{}}
	if got := fmt.Sprintf("%q", r.prompts()); got != `["from the config"]` {
		t.Error(got)
	}
	r.opts.Prompts = []string{file}
	if got := fmt.Sprintf("%q", r.prompts()); got != `["one" "two\nlines"]` {
		t.Error(got)
	}
	r.opts.Prompts = []string{file, `a\nb`}
	if got := fmt.Sprintf("%q", r.prompts()); got != fmt.Sprintf("[%q \"a\\nb\"]", file) {
		t.Error(got)
	}
}
