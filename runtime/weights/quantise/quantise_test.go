package quantise

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"lorac/kernels"
	"lorac/runtime/weights"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/safetensors"
)

func TestType(t *testing.T) {
	const q, e = "model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"
	for _, c := range []struct {
		kind, name string
		shape      []int
		stored     string
		want       string
	}{
		{"int8", q, []int{8, 64}, "F16", "Q8_0"}, {"int4", q, []int{8, 64}, "BF16", "Q4_0"},
		{"int4", e, []int{8, 64}, "F32", "Q8_0"}, {"int4", q, []int{8, 40}, "BF16", "BF16"},
		{"int4", q, []int{8, 256}, "Q6_K", "Q6_K"}, {"int8", "model.norm.weight", []int{64}, "BF16", "F32"},
	} {
		if got := Type(c.kind, c.name, c.shape, c.stored); got != c.want {
			t.Errorf("%s of %s %v in %s: %s, want %s", c.kind, c.name, c.shape, c.stored, got, c.want)
		}
	}
}

// GGUF stores the rows of a head of eight as 0 4 1 5 2 6 3 7, for queries and keys
// only. All elements of row r are r+1, which quantisation nearly preserves.
func TestRows(t *testing.T) {
	const rows, cols = 16, 32
	dir := t.TempDir()
	var data bytes.Buffer
	for r := range rows {
		for range cols {
			binary.Write(&data, binary.LittleEndian, math.Float32bits(float32(r+1)))
		}
	}
	var entries []safetensors.Entry
	for _, n := range []string{"self_attn.q_proj", "self_attn.v_proj"} {
		entries = append(entries, safetensors.Entry{Name: "model.layers.0." + n + ".weight", DType: "F32", Shape: []int{rows, cols},
			Write: func(w io.Writer) error { _, err := w.Write(data.Bytes()); return err }})
	}
	in, out, again := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "a.gguf"), filepath.Join(dir, "b.gguf")
	if err := safetensors.Write(in, entries, nil); err != nil {
		t.Fatal(err)
	}
	set, err := weights.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	model := Model{Name: "x", Width: 16, Hidden: 4, Layers: 1, Heads: 2, KVHeads: 2, Context: 8, Vocab: 9, Eps: 1e-5, Theta: 1e4}
	k := kernels.New(2)
	defer k.Close()
	r, err := Write(k, out, set, "int8", model)
	if err != nil {
		t.Fatal(err)
	}
	if r.Before != 2*rows*cols*4 || r.After != 2*rows*34 || r.Types["Q8_0"] != 2 || len(r.Left) != 0 || r.Error > 0.002 || r.Error == 0 {
		t.Errorf("report %+v", r)
	}
	f, err := gguf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string][]int{
		"blk.0.attn_q.weight": {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15},
		"blk.0.attn_v.weight": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	} {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatal(name)
		}
		var got []int
		for r := range rows {
			b := x.Data[r*34:]
			e, m := int(b[1]>>2&31), float64(1024+int(b[1]&3)<<8+int(b[0]))
			got = append(got, int(math.Round(math.Ldexp(m, e-25)*float64(int8(b[2]))))-1)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: rows %v, want %v", name, got, want)
		}
	}

	// A file in blocks stays as it is, its order of rows included.
	blocks, err := weights.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer blocks.Close()
	if weights.Pairs(blocks, "model.layers.0.self_attn.q_proj.weight") != 8 || weights.Pairs(blocks, "model.layers.0.self_attn.v_proj.weight") != 0 {
		t.Error("which rows lie in pairs is lost")
	}
	for kind, want := range map[string]bool{"int8": false, "int4": true} {
		if types, other := Blocks(blocks, kind); other != want || Counts(types) != "2 Q8_0" {
			t.Errorf("%s: blocks %v, other %v", kind, types, other)
		}
	}
	if types, _ := Blocks(set, "int4"); len(types) > 0 {
		t.Errorf("blocks %v in a file without any", types)
	}
	if r, err = Write(k, again, blocks, "int4", model); err != nil {
		t.Fatal(err)
	}
	if Counts(r.Kept) != "2 Q8_0" || len(r.Left) > 0 {
		t.Errorf("of blocks: report %+v", r)
	}
	g, err := gguf.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for i, x := range g.Tensors {
		if !bytes.Equal(x.Data, f.Tensors[i].Data) || x.Type != "Q8_0" {
			t.Errorf("%s changed", x.Name)
		}
	}
}

// TestBiases: biases stay f32. With those of Qwen2 the file is one of qwen2, whose rows are
// in halves; with others one of llama, whose biases are in the order of its rows.
func TestBiases(t *testing.T) {
	const rows, cols = 8, 32
	for _, c := range []struct {
		more, arch string
		want       []float32
	}{
		{"v_proj", "qwen2", []float32{0, 1, 2, 3, 4, 5, 6, 7}},
		{"o_proj", "llama", []float32{0, 2, 1, 3, 4, 6, 5, 7}}, // heads of four
	} {
		dir := t.TempDir()
		var bias []byte
		for r := range rows {
			bias = binary.LittleEndian.AppendUint32(bias, math.Float32bits(float32(r)))
		}
		var entries []safetensors.Entry
		for _, n := range []string{"q_proj", c.more} {
			p := "model.layers.0.self_attn." + n
			entries = append(entries, safetensors.Entry{Name: p + ".weight", DType: "F32", Shape: []int{rows, cols}, Write: safetensors.Bytes(make([]byte, 4*rows*cols))},
				safetensors.Entry{Name: p + ".bias", DType: "F32", Shape: []int{rows}, Write: safetensors.Bytes(bias)})
		}
		in, out := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "a.gguf")
		if err := safetensors.Write(in, entries, nil); err != nil {
			t.Fatal(err)
		}
		set, err := weights.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		k := kernels.New(1)
		defer k.Close()
		if _, err := Write(k, out, set, "int4", Model{Name: "x", Width: 8, Hidden: 4, Layers: 1, Heads: 2, KVHeads: 2, Context: 8, Vocab: 9, Eps: 1e-5, Theta: 1e4}); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if n, ok := f.Int(c.arch + ".block_count"); f.Meta["general.architecture"] != c.arch || !ok || n != 1 {
			t.Errorf("%s: %v", c.arch, f.Meta)
		}
		var want []byte
		for _, x := range c.want {
			want = binary.LittleEndian.AppendUint32(want, math.Float32bits(x))
		}
		if q, _ := f.Tensor("blk.0.attn_q.bias"); q.Type != "F32" || !bytes.Equal(q.Data, want) {
			t.Errorf("%s: %s %v", c.arch, q.Type, q.Data)
		}
		back, err := weights.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		for name, paired := range map[string]int{"q_proj.weight": 4, "q_proj.bias": 4, c.more + ".bias": 0} {
			if c.arch == "qwen2" {
				paired = 0
			}
			if got := weights.Pairs(back, "model.layers.0.self_attn."+name); got != paired {
				t.Errorf("%s: %s in pairs of %d", c.arch, name, got)
			}
		}
	}
}
