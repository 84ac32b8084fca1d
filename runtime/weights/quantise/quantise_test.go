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
