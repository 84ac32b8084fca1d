package sharded

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestPieces: which slice each rank holds, by hand. The device matrix counts
// row by row; of [2 4] rank 5 is (1, 1). A map names axes from the last.
func TestPieces(t *testing.T) {
	for _, c := range []struct {
		name  string
		l     Layout
		parts []int
		ranks [][]int // rank → piece of each dimension
	}{
		{"rows by model parallelism 4, two replicas", Layout{Devices: []int{2, 4}, Map: []int{0, -1}}, []int{4, 1},
			[][]int{{0, 0}, {1, 0}, {2, 0}, {3, 0}, {0, 0}, {1, 0}, {2, 0}, {3, 0}}},
		{"columns", Layout{Devices: []int{2, 2}, Map: []int{-1, 0}}, []int{1, 2},
			[][]int{{0, 0}, {0, 1}, {0, 0}, {0, 1}}},
		{"by the slow axis", Layout{Devices: []int{2, 2}, Map: []int{1, -1}}, []int{2, 1},
			[][]int{{0, 0}, {0, 0}, {1, 0}, {1, 0}}},
		{"both dimensions, axes crossed", Layout{Devices: []int{2, 3}, Map: []int{0, 1}}, []int{3, 2},
			[][]int{{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 1}}},
		// Optimizer shards (MindSpore _construct_tensor_layout_for_opt_shard): the
		// slice of model parallelism first, then the shard inside it; ranks of a
		// step of 2 hold the shards of one slice.
		{"rows by 2, each in 2 shards", Layout{Devices: []int{2, 2}, Map: []int{0, -1}, OptStep: 2, OptSize: 2}, []int{4, 1},
			[][]int{{0, 0}, {2, 0}, {1, 0}, {3, 0}}},
		{"columns by 2, rows in 2 shards", Layout{Devices: []int{2, 2}, Map: []int{-1, 0}, OptStep: 2, OptSize: -1}, []int{2, 2},
			[][]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}}},
		{"2 shards, repeated twice", Layout{Devices: []int{4, 1}, Map: []int{-1}, OptStep: 1, OptSize: 2}, []int{2},
			[][]int{{0}, {1}, {0}, {1}}},
		{"whole", Layout{Devices: []int{2, 2}, Map: []int{-1}}, []int{1}, [][]int{{0}, {0}, {0}, {0}}},
		{"a number", Layout{Devices: []int{2}, Map: []int{}}, []int{}, [][]int{{}, {}}},
	} {
		if err := c.l.check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := c.l.Parts(); !reflect.DeepEqual(got, c.parts) {
			t.Errorf("%s: parts %v, want %v", c.name, got, c.parts)
		}
		if c.l.Count() != len(c.ranks) {
			t.Errorf("%s: %d devices", c.name, c.l.Count())
		}
		for rank, want := range c.ranks {
			if got := c.l.Piece(rank); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: rank %d holds %v, want %v", c.name, rank, got, want)
			}
		}
	}
}

func TestImpossibleLayouts(t *testing.T) {
	for _, l := range []Layout{
		{Devices: []int{0}}, {Devices: []int{1 << 9, 1 << 9}}, {Devices: []int{-2}},
		{Devices: []int{2}, Map: []int{1}}, {Devices: []int{2}, Map: []int{-2}}, {Devices: []int{2, 2}, Map: []int{0, 0}},
		{Devices: []int{2, 2}, Map: []int{0}, OptStep: 4, OptSize: 2}, {Devices: []int{2, 2}, Map: []int{0}, OptStep: 2, OptSize: 4},
		{Devices: []int{2}, Map: []int{}, OptStep: 1, OptSize: 2}, {Devices: []int{2}, Map: []int{-1}, OptStep: 1, OptSize: -7},
	} {
		if err := l.check(); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}

// TestGrid cuts boxes out of a matrix that lies in pieces; the numbers are the
// elements' own addresses, row·6 + column of a 4×6 matrix in 2×3 pieces of 2×2.
func TestGrid(t *testing.T) {
	pieces := [][][]byte{
		{{0, 1, 6, 7}}, {{2, 3}, {8, 9}}, {{4}, {5, 10, 11}}, // a piece may come in chunks
		{{12, 13, 18, 19}}, {{14, 15, 20, 21}}, {{16, 17}, {}, {22, 23}},
	}
	g := &grid{whole: []int{4, 6}, parts: []int{2, 3}, size: 1, pieces: func(i int) [][]byte { return pieces[i] }}
	for _, c := range []struct{ lo, hi, want []int }{
		{[]int{0, 0}, []int{4, 6}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
		{[]int{1, 1}, []int{3, 5}, []int{7, 8, 9, 10, 13, 14, 15, 16}},
		{[]int{3, 5}, []int{4, 6}, []int{23}},
		{[]int{2, 0}, []int{2, 6}, nil},
	} {
		var b strings.Builder
		if err := g.write(&b, c.lo, c.hi); err != nil {
			t.Error(err)
		}
		var got []int
		for i := range b.Len() {
			got = append(got, int(b.String()[i]))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v to %v: %v", c.lo, c.hi, got)
		}
	}
	pieces[1] = [][]byte{{2}}
	if err := g.write(&strings.Builder{}, []int{0, 0}, []int{4, 6}); err == nil || !strings.Contains(err.Error(), "BUG") {
		t.Errorf("a short piece gives %v", err)
	}
	number := &grid{size: 4, pieces: func(int) [][]byte { return [][]byte{{1, 2}, {3, 4}} }}
	var b strings.Builder
	if err := number.write(&b, nil, nil); err != nil || b.String() != "\x01\x02\x03\x04" {
		t.Errorf("a number: %q, %v", b.String(), err)
	}
}

// TestLlama is the table of how the weights of a Llama are cut (MindFormers
// r1.3 shard calls; the strategy file of a 13B job agrees, see TestRealFile).
func TestLlama(t *testing.T) {
	const v, h, f, r = 32000, 4096, 11008, 16
	for _, c := range []struct {
		name         string
		whole, slice []int // slice of model_parallel 4, data_parallel 2
	}{
		{"model.layers.3.attention.wq.weight", []int{h, h}, []int{1024, h}},
		{"model.layers.3.attention.wk.weight", []int{1024, h}, []int{256, h}},
		{"model.layers.3.attention.wv.weight", []int{h, h}, []int{1024, h}},
		{"model.layers.3.attention.wv.bias", []int{h}, []int{1024}},
		{"model.layers.3.attention.wo.weight", []int{h, h}, []int{h, 1024}},
		{"model.layers.3.attention.wo.bias", []int{h}, []int{h}},
		{"model.layers.31.feed_forward.w1.weight", []int{f, h}, []int{2752, h}},
		{"model.layers.31.feed_forward.w3.weight", []int{f, h}, []int{2752, h}},
		{"model.layers.31.feed_forward.w2.weight", []int{h, f}, []int{h, 2752}},
		{"model.layers.0.attention_norm.weight", []int{h}, []int{h}},
		{"model.layers.0.ffn_norm.weight", []int{h}, []int{h}},
		{"model.norm_out.weight", []int{h}, []int{h}},
		{"model.tok_embeddings.embedding_weight", []int{v, h}, []int{8000, h}},
		{"lm_head.weight", []int{v, h}, []int{8000, h}},
		{"lm_head.weight", []int{v + 2, h}, []int{v + 2, h}}, // does not divide
		{"model.layers.3.attention.wq.mindpet_delta_lora_a", []int{r, h}, []int{r, h}},
		{"model.layers.3.attention.wq.mindpet_delta_lora_b", []int{h, r}, []int{1024, r}},
		{"model.layers.3.attention.wo.mindpet_delta_lora_a", []int{r, h}, []int{r, 1024}},
		{"model.layers.3.attention.wo.mindpet_delta_lora_b", []int{h, r}, []int{h, r}},
		{"model.layers.3.feed_forward.w2.mindpet_delta_lora_a", []int{r, f}, []int{r, 2752}},
	} {
		l := Degrees{Data: 2, Model: 4}.Layout(c.name, len(c.whole), c.whole, 2)
		if err := l.check(); err != nil {
			t.Error(err)
		}
		if got, err := l.Slice(c.whole); err != nil || !reflect.DeepEqual(got, c.slice) {
			t.Errorf("%s: %v is cut to %v (%v), want %v", c.name, c.whole, got, err, c.slice)
		}
		if got := l.Devices; !reflect.DeepEqual(got, []int{2, 4}) {
			t.Errorf("%s: devices %v", c.name, got)
		}
	}
	for _, c := range []struct {
		d     Degrees
		name  string
		whole []int
		slice []int
	}{
		{Degrees{Model: 4, VocabDP: true}, "lm_head.weight", []int{v, h}, []int{v, h}},
		{Degrees{Model: 4, VocabDP: true, Pipeline: 2}, "lm_head.weight", []int{v, h}, []int{8000, h}}, // forced off
		{Degrees{Model: 2, Context: 2}, "lm_head.weight", []int{v, h}, []int{8000, h}},
		{Degrees{Model: 2, Context: 2}, "model.layers.0.attention.wq.weight", []int{h, h}, []int{2048, h}},
		// 1024×4096 f16 of each device are 8 MiB: sharded over 2; a norm of 8 KiB is not.
		{Degrees{Data: 2, Model: 4, OptimizerShard: true}, "model.layers.0.attention.wq.weight", []int{h, h}, []int{512, h}},
		{Degrees{Data: 2, Model: 4, OptimizerShard: true}, "model.layers.0.attention.wo.weight", []int{h, h}, []int{2048, 1024}},
		{Degrees{Data: 2, Model: 4, OptimizerShard: true}, "model.norm_out.weight", []int{h}, []int{h}},
		{Degrees{Data: 3, Model: 4, OptimizerShard: true}, "model.layers.0.attention.wq.weight", []int{h, h}, []int{1024, h}}, // 3 does not divide
	} {
		l := c.d.Layout(c.name, len(c.whole), c.whole, 2)
		if got, err := l.Slice(c.whole); err != nil || !reflect.DeepEqual(got, c.slice) || l.check() != nil {
			t.Errorf("%v: %s is cut to %v (%v, %v), want %v", c.d, c.name, got, err, l.check(), c.slice)
		}
	}
}

// TestStages: 10 layers over 4 stages are 2 each, and what offset adds.
func TestStages(t *testing.T) {
	d := Degrees{Pipeline: 4, Offset: []int{-1, 1, 1, 1}}
	want := map[int]int{0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3, 8: 3, 9: 3}
	for layer, stage := range want {
		if got, err := d.Stage(fmt.Sprintf("model.layers.%d.attention.wq.weight", layer), 10); got != stage || err != nil {
			t.Errorf("layer %d is in stage %d (%v), want %d", layer, got, err, stage)
		}
	}
	for name, stage := range map[string]int{"model.tok_embeddings.embedding_weight": 0, "model.norm_out.weight": 3, "lm_head.weight": 3} {
		if got, err := d.Stage(name, 10); got != stage || err != nil {
			t.Errorf("%s is in stage %d (%v), want %d", name, got, err, stage)
		}
	}
	if _, err := (Degrees{Pipeline: 4}).Stage("model.layers.9.ffn_norm.weight", 10); err == nil {
		t.Error("10 layers over 4 stages without offset are accepted")
	}
	for _, d := range []Degrees{{Data: -1}, {Data: 1 << 20, Model: 1 << 20}, {Pipeline: 2, Offset: []int{1}}} {
		if _, err := Of(d); err == nil {
			t.Errorf("%+v is accepted", d)
		}
	}
}
