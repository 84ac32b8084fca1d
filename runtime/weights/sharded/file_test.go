package sharded

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lorac/runtime/weights/mindspore"
)

// handMade is a strategy file by hand: current_stage 1; operator "M" of stage 0
// cut {1 2} {2 1}; parameter "w" on devices {2 2}, map {0 −1}, no shape, no
// offset, field 0, step 2, size −1.
const handMade = "0801" +
	"1217" + "0a014d" + "1212" + "0800" + "1204" + "08010802" + "1204" + "08020801" + "1202" + "0801" +
	"1a37" + "0a0177" + "1232" + "0a04" + "08020802" + "120d" + "0800" + "08ffffffffffffffffff01" + "1a00" + "2200" + "2800" + "3002" + "38ffffffffffffffffff01"

func handBytes(t testing.TB) []byte {
	b, err := hex.DecodeString(handMade)
	if err != nil {
		t.Fatal(err)
	}
	// The lengths of the three outer messages, counted here.
	b[3] = byte(3 + 2 + 18)
	b[7] = 18
	at := 2 + 2 + int(b[3])
	b[at+1] = byte(len(b) - at - 2)
	b[at+6] = byte(len(b) - at - 7)
	return b
}

func TestHandMadeFile(t *testing.T) {
	raw := handBytes(t)
	f, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &File{Stage: 1, Operators: []Operator{{"M", 0, [][]int{{1, 2}, {2, 1}, {1}}}},
		Params: []Param{{Name: "w", Layout: Layout{Devices: []int{2, 2}, Map: []int{0, -1}, OptStep: 2, OptSize: -1}, Shapes: [][]int{{}}, Offset: [][]int{{}}}}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("read %+v\nwant %+v", f, want)
	}
	if !bytes.Equal(f.Bytes(), raw) {
		t.Errorf("written\n%x\nwant\n%x", f.Bytes(), raw)
	}
}

// TestRealFile decodes the strategy of a Llama2-13B job on 2 devices and
// writes the same bytes. What it says of every weight is what the rules say of
// model_parallel 2.
func TestRealFile(t *testing.T) {
	path := "../../../../shared/data/ckpt/strategy_llama2-13b-2p_ckpt_strategy_rank_0.ckpt"
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the real file is not here:", path)
	}
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Bytes(), raw) {
		t.Error("written again it has other bytes")
	}
	// 40 layers of nine weights, and three beside them.
	if len(f.Params) != 363 || f.Stage != 1 || f.PipelineStage() != 0 || f.Merged() {
		t.Errorf("%d parameters, stage %d, of pipeline stage %d", len(f.Params), f.Stage, f.PipelineStage())
	}
	s, err := Load(path)
	if err != nil || s.Ranks() != 2 || s.Stages != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, p := range f.Params {
		whole := make([]int, len(p.Layout.Map))
		for i := range whole {
			whole[i] = 1280
		}
		rule := Degrees{Model: 2}.Layout(p.Name, len(whole), whole, 2)
		if p.Name == "lm_head.weight" || p.Name == "model.tok_embeddings.embedding_weight" {
			rule = Degrees{Model: 2, VocabDP: !reflect.DeepEqual(p.Layout.Parts(), []int{2, 1})}.Layout(p.Name, 2, whole, 2)
		}
		if !reflect.DeepEqual(rule.Parts(), p.Layout.Parts()) {
			t.Errorf("%s: cut %v, the rules say %v", p.Name, p.Layout.Parts(), rule.Parts())
		}
		for rank := range 2 {
			if !reflect.DeepEqual(rule.Piece(rank), p.Layout.Piece(rank)) {
				t.Errorf("%s: rank %d holds %v, the rules say %v", p.Name, rank, p.Layout.Piece(rank), rule.Piece(rank))
			}
		}
	}
}

// TestRealLayout cuts a model of the real file's parameters, small, as its job
// did: each rank holds what model_parallel 2 makes of it, and the ranks joined
// are the model.
func TestRealLayout(t *testing.T) {
	path := "../../../../shared/data/ckpt/strategy_llama2-13b-2p_ckpt_strategy_rank_0.ckpt"
	f, err := Read(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the real file is not here:", path)
	}
	must(t, err)
	spread, err := Load(path)
	must(t, err)
	var entries []mindspore.Entry
	for k, p := range f.Params {
		e := mindspore.Entry{Name: p.Name, DType: "U8", Shape: []int{4, 6}[:len(p.Layout.Map)]}
		b := bytes.Repeat([]byte{byte(k)}, 24)
		if len(e.Shape) == 1 {
			b = b[:4]
		}
		for i := range b {
			b[i] += byte(i)
		}
		e.Write = mindspore.Bytes(b)
		entries = append(entries, e)
	}
	dir := t.TempDir()
	must(t, mindspore.Write(dir+"/one.ckpt", entries, false))
	transform(t, dir+"/one.ckpt", One(), spread, dir+"/two")
	transform(t, dir+"/two", spread, One(), dir+"/back")
	second, err := mindspore.Open(dir + "/two/rank_1/checkpoint_1.ckpt")
	must(t, err)
	defer second.Close()
	for name, shape := range map[string][]int{"model.layers.39.attention.wq.weight": {2, 6}, "model.layers.0.attention.wo.weight": {4, 3},
		"model.layers.7.feed_forward.w1.weight": {2, 6}, "model.layers.7.feed_forward.w2.weight": {4, 3}, "model.norm_out.weight": {4}} {
		if h, ok := second.Header(name); !ok || !reflect.DeepEqual(h.Shape, shape) {
			t.Errorf("rank 1 holds %s of %v, want %v", name, h.Shape, shape)
		}
	}
	a, _ := os.ReadFile(dir + "/one.ckpt")
	if b, _ := os.ReadFile(dir + "/back/rank_0/checkpoint_0.ckpt"); !bytes.Equal(a, b) {
		t.Error("joined again, the model is another")
	}
}

func stageFile(stage int, names ...string) *File {
	f := &File{Stage: 1, Operators: []Operator{{"op", stage, [][]int{{1}}}}}
	for _, n := range names {
		f.Params = append(f.Params, Param{Name: n, Layout: Layout{Devices: []int{2}, Map: []int{0, -1}}, Shapes: [][]int{{}}, Offset: [][]int{{}}})
	}
	return f
}

// TestMerge: the stages of a pipeline in one file; its names carry the stage,
// and a file of each rank gives the same layout as the merged one.
func TestMerge(t *testing.T) {
	first, last := stageFile(0, "a"), stageFile(1, "b", "c")
	m, err := Merge([]*File{first, first, last})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range m.Params {
		names = append(names, p.Name)
	}
	if strings.Join(names, " ") != "0-a 1-b 1-c" || m.Stage != 1 || len(m.Operators) != 2 {
		t.Errorf("%v, %+v", names, m)
	}
	dir := t.TempDir()
	merged := filepath.Join(dir, "merged.ckpt")
	ranks := filepath.Join(dir, "strategy")
	for path, f := range map[string]*File{merged: m, ranks + "/ckpt_strategy_rank_0.ckpt": first, ranks + "/ckpt_strategy_rank_1.ckpt": first,
		ranks + "/ckpt_strategy_rank_2.ckpt": last, ranks + "/ckpt_strategy_rank_3.ckpt": last} {
		if err := f.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	one, err := Load(merged)
	if err != nil {
		t.Fatal(err)
	}
	all, err := Load(ranks)
	if err != nil {
		t.Fatal(err)
	}
	if one.Ranks() != 4 || one.Stages != 2 || !reflect.DeepEqual(one.files, all.files) {
		t.Errorf("merged %+v\nranks %+v", one, all)
	}
	for name, want := range map[string][2]bool{"a": {true, false}, "b": {false, true}, "adam_m.c": {false, true}, "global_step": {true, true}} {
		for stage := range 2 {
			if _, here, _, err := one.of(stage, name, 2, nil, 0, 0); err != nil || here != want[stage] {
				t.Errorf("%s in stage %d: %v, %v", name, stage, here, err)
			}
		}
	}
	if err := last.Write(ranks + "/ckpt_strategy_rank_0.ckpt"); err != nil {
		t.Fatal(err)
	}
	first.Params[0].Layout.Map = []int{-1, 0}
	if err := first.Write(ranks + "/ckpt_strategy_rank_2.ckpt"); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(ranks); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Errorf("two strategies of one stage: %v", err)
	}
	if _, err := Merge([]*File{m}); err == nil {
		t.Error("a merged file is merged again")
	}
}

func TestJSONFile(t *testing.T) {
	f, err := Parse([]byte(`{"current_stage": 1, "parallel_strategy_item": {"M": {"stage": 0, "strategy": [[1, 2]]}},
		"parallel_layout_item": {"w": {"dev_matrix": [2, 2], "tensor_map": [0, -1], "tensor_shape": [4, 4], "field": 0, "opt_weight_shard_step": 2, "opt_weight_shard_size": 2}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if l := f.Params[0].Layout; !reflect.DeepEqual(l, Layout{Devices: []int{2, 2}, Map: []int{0, -1}, OptStep: 2, OptSize: 2}) || f.PipelineStage() != 0 {
		t.Errorf("%+v", f)
	}
}

func TestRefusedFiles(t *testing.T) {
	good := handBytes(t)
	for _, c := range []struct{ data, want string }{
		{"", "empty"}, {"\n\x03abc", "a checkpoint"}, {"\x08", "cut short"}, {string(good[:len(good)-1]), "cut short"},
		{"{\"parallel_layout_item\": {\"w\": {\"dev_matrix\": [0]}}}", "is invalid"}, {"{", "unexpected"},
		{"\x08\x01\x22\x00", "unknown field 4"}, {"\x08\x01\x1a\x05\x0a\x01w\x12\x00", "0 device matrices"},
		{"\x08\x01\x1a\x0f\x0a\x01w\x12\x0a\x0a\x02\x08\x02\x12\x02\x08\x00\x28\x03", "fields"},
	} {
		f, err := Parse([]byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %+v, %v; want %q", c.data, f, err, c.want)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add(handBytes(f))
	f.Add([]byte(`{"parallel_layout_item": {"0-w": {"dev_matrix": [2], "tensor_map": [0], "opt_weight_shard_step": 2, "opt_weight_shard_size": 1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(s.Bytes())
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if !bytes.Equal(again.Bytes(), s.Bytes()) {
			t.Fatal("writing does not reach a fixpoint")
		}
		for _, p := range s.Params {
			l := &p.Layout
			if l.Count() > 4096 {
				continue
			}
			for rank := range l.Count() {
				for i, n := range l.Piece(rank) {
					if n < 0 || n >= l.Parts()[i] {
						t.Fatalf("%+v: rank %d holds piece %d", l, rank, n)
					}
				}
			}
		}
	})
}
