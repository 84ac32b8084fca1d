package infer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
)

// ends gives logits of four ids: 2 (the end of a text), then 3.
func ends(*microbatch.MicroBatch) kernels.Mat {
	return kernels.MatOf([]float32{0, 0, 5, 1}, 1, 4)
}

// alone continues one prompt.
func alone(g *Generator, prompt ...int32) (ids []int32, err error) {
	err = g.Continue([]Prompt{{prompt, 0}}, func(int, int32) {}, func(_ int, list []int32) { ids = list })
	return ids, err
}

// A text does not end before its least length, nor go past its greatest.
func TestLengths(t *testing.T) {
	j := &job.Job{SeqLength: 20, MaxRows: 20, EosIDs: []int{2}, BosID: 1, Vocab: 4, Predict: job.Predict{MaxLength: 6, RepetitionPenalty: 1}}
	g := &Generator{Job: j}
	g.Use(ends, nil)
	count := func() int {
		ids, err := alone(g, 1, 3)
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
	got, err := alone(g, 1, 5, 6, 7)
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
		if got, err = alone(g, 1, 5); exit.Code(err) != exit.Input {
			t.Errorf("a text of 4 rows in an arena of 3: %v, %v", got, err)
		}
		if want := []string{"[1 5] [0 1] [0] [1]", "[1 5 2] [0 1 2] [0] [2]"}; !slices.Equal(asked, want) {
			t.Errorf("without caches %v", asked)
		}
	}
}

// remembering is a model of forty ids whose logits follow from all ids of a text, which
// it keeps in caches.
func remembering(rows int) Logits {
	cache := make([]int32, rows)
	return func(b *microbatch.MicroBatch) kernels.Mat {
		out := kernels.NewMat(len(b.Rows), 40)
		ends := append(slices.Clone(b.Starts[1:]), int32(len(b.Tokens)))
		for n, base := range b.Base {
			for i := b.Starts[n]; i < ends[n]; i++ {
				cache[base+b.Pos[i]] = b.Tokens[i]
			}
			sum := uint32(7)
			for _, id := range cache[base : base+b.Pos[ends[n]-1]+1] {
				sum = sum*31 + uint32(id)
			}
			for j := range uint32(40) {
				out.Row(n)[j] = float32(sum*(2*j+1)>>24) / 50
			}
		}
		return out
	}
}

// Texts are the same whether they are continued alone or together, greedy and drawn,
// also where the caches hold few at once and prompts come in pieces.
func TestTexts(t *testing.T) {
	var prompts []Prompt
	for i := range 23 {
		p := Prompt{IDs: []int32{1}, Number: 3 * i}
		for k := range i * 5 % 7 {
			p.IDs = append(p.IDs, int32(3+(i+k)%7))
		}
		prompts = append(prompts, p)
	}
	for _, draw := range []bool{false, true} {
		j := &job.Job{SeqLength: 60, MaxRows: 4, EosIDs: []int{2}, BosID: 1, Vocab: 40, Seed: 5,
			Predict: job.Predict{MaxNew: 8, RepetitionPenalty: 1.2, DoSample: draw, Temperature: 1, TopP: 1, TopK: 5}}
		run := func(texts int) (got []string, most int) {
			g := &Generator{Job: j, Texts: texts}
			next := remembering(j.SeqLength)
			g.Use(nil, func(b *microbatch.MicroBatch) kernels.Mat {
				most = max(most, len(b.Starts))
				return next(b)
			})
			got = make([]string, len(prompts))
			seen := make([][]int32, len(prompts))
			err := g.Continue(prompts, func(i int, id int32) { seen[i] = append(seen[i], id) }, func(i int, ids []int32) {
				if got[i] != "" || !slices.Equal(ids, seen[i]) {
					t.Errorf("text %d ended as %v after %v, %q", i, ids, seen[i], got[i])
				}
				got[i] = fmt.Sprint(ids)
			})
			if err != nil {
				t.Fatal(err)
			}
			return got, most
		}
		want, one := run(1)
		for texts, at := range map[int]int{0: 4, 3: 3} { // 60 rows for texts of 15: four
			got, most := run(texts)
			if !slices.Equal(got, want) || one != 1 || most != at {
				t.Errorf("%d texts at once, %d seen: %v, alone %v", texts, most, got, want)
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(want)))) < 7 {
			t.Errorf("texts hardly differ: %v", want)
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

// A text comes out piece by piece as it is in the end: a character whose bytes are pieces
// of their own when it is whole, and what is no character as U+FFFD.
func TestStream(t *testing.T) {
	for _, c := range []struct{ pieces, want string }{
		{" one|\xe2|\x82|\xac|!", "one€!"},
		{"a|\xdc| b", "a\uFFFD b"},
		{"a|\xe2|\x82", "a\uFFFD\uFFFD"},
	} {
		var out strings.Builder
		s := &stream{}
		for _, p := range strings.Split(c.pieces, "|") {
			s.add(p)
			s.write(&out)
			if !utf8.ValidString(out.String()) {
				t.Errorf("%q is written of %q", out.String(), c.pieces)
			}
		}
		s.ended = true
		s.write(&out)
		if out.String() != c.want || s.String() != c.want {
			t.Errorf("%q: %q is written, %q kept, want %q", c.pieces, out.String(), s.String(), c.want)
		}
	}
}
