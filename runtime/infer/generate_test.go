package infer

import (
	"fmt"
	"slices"
	"testing"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
)

// ends gives logits of four ids: 2 (the end of a text), then 3.
func ends(*microbatch.MicroBatch) kernels.Mat {
	return kernels.MatOf([]float32{0, 0, 5, 1}, 1, 4)
}

// A text does not end before its least length, nor go past its greatest.
func TestLengths(t *testing.T) {
	j := &job.Job{SeqLength: 20, MaxRows: 20, EosIDs: []int{2}, BosID: 1, Vocab: 4, Predict: job.Predict{MaxLength: 6, RepetitionPenalty: 1}}
	g := &Generator{Job: j}
	g.Use(ends, nil)
	count := func() int {
		ids, err := g.Continue([]int32{1, 3}, 0, func(int32) {})
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	if n := count(); n != 0 {
		t.Errorf("%d ids before eos", n)
	}
	j.Predict.MinNew = 3
	if n := count(); n != 3 {
		t.Errorf("min_new_tokens 3 gives %d", n)
	}
	j.Predict.MinNew, j.Predict.MinLength = 0, 4
	if n := count(); n != 2 { // 2 are there
		t.Errorf("min_length 4 gives %d", n)
	}
	j.EosIDs = nil
	if n := count(); n != 4 {
		t.Errorf("max_length 6 gives %d", n)
	}
	j.Predict.MaxNew = 9
	if n := count(); n != 9 {
		t.Errorf("max_new_tokens 9 gives %d", n)
	}
}

// With caches the prompt is computed in pieces that fit the arena, then one
// token an id; without, all of the text for each id, which must fit.
func TestCaches(t *testing.T) {
	j := &job.Job{SeqLength: 20, BosID: 1, MaxRows: 3, Predict: job.Predict{MaxNew: 3, RepetitionPenalty: 1}}
	var asked []string
	logits := func(b *microbatch.MicroBatch) kernels.Mat {
		asked = append(asked, fmt.Sprint(b.Tokens, b.Pos, b.Starts, b.Rows))
		return ends(b)
	}
	g := &Generator{Job: j}
	g.Use(nil, logits)
	got, err := g.Continue([]int32{1, 5, 6, 7}, 0, func(int32) {})
	if err != nil || !slices.Equal(got, []int32{2, 2, 2}) {
		t.Fatalf("%v, %v", got, err)
	}
	if want := []string{"[1 5 6] [0 1 2] [0] [2]", "[7] [3] [0] [0]", "[2] [4] [0] [0]", "[2] [5] [0] [0]"}; !slices.Equal(asked, want) {
		t.Errorf("with caches %v", asked)
	}

	for _, next := range []Logits{logits, nil} { // a trainer for a device has no next
		asked = nil
		g.Use(logits, next)
		g.NoCache = next != nil
		if got, err = g.Continue([]int32{1, 5}, 0, func(int32) {}); exit.Code(err) != exit.Input {
			t.Errorf("a text of 4 rows in an arena of 3: %v, %v", got, err)
		}
		if want := []string{"[1 5] [0 1] [0] [1]", "[1 5 2] [0 1 2] [0] [2]"}; !slices.Equal(asked, want) {
			t.Errorf("without caches %v", asked)
		}
	}
}

func TestCompleteRunes(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "aé": 3, "a\xc3": 1, "a\xe2\x82": 1, "a€": 4, "\xf0\x9f\x98": 0} {
		if got := completeRunes(s); got != want {
			t.Errorf("%q: %d bytes are whole characters, want %d", s, got, want)
		}
	}
}
