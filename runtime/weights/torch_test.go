package weights

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/torch"
)

func floats(x ...float32) []byte {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func entry(name string, shape []int, x ...float32) torch.Entry {
	return torch.Entry{Name: name, DType: "F32", Shape: shape, Write: func(w io.Writer) error { _, err := w.Write(floats(x...)); return err }}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMetaShards joins a model of hidden size 4 and one head that was split in
// two: queries by rows, the output projection and Llama 2's embedding by columns.
func TestMetaShards(t *testing.T) {
	dir := t.TempDir()
	norm := entry("norm.weight", []int{4}, 1, 2, 3, 4)
	must(t, torch.Write(filepath.Join(dir, "consolidated.00.pth"), []torch.Entry{norm,
		entry("layers.0.attention.wq.weight", []int{2, 4}, 0, 1, 2, 3, 4, 5, 6, 7),
		entry("layers.0.attention.wo.weight", []int{4, 2}, 0, 1, 4, 5, 8, 9, 12, 13),
		entry("tok_embeddings.weight", []int{3, 2}, 0, 1, 4, 5, 8, 9),
		entry("rope.freqs", []int{2}, 1, 0.1)}))
	must(t, torch.Write(filepath.Join(dir, "consolidated.01.pth"), []torch.Entry{norm,
		entry("layers.0.attention.wq.weight", []int{2, 4}, 8, 9, 10, 11, 12, 13, 14, 15),
		entry("layers.0.attention.wo.weight", []int{4, 2}, 2, 3, 6, 7, 10, 11, 14, 15),
		entry("tok_embeddings.weight", []int{3, 2}, 2, 3, 6, 7, 10, 11),
		entry("rope.freqs", []int{2}, 1, 0.1)}))
	if _, err := Open(dir); !errors.Is(err, ErrNoHeads) {
		t.Errorf("without params.json: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "params.json"), []byte(`{"dim": 4, "n_heads": 1, "vocab_size": -1}`), 0o666))
	s, err := Open(dir)
	must(t, err)
	defer s.Close()
	upTo := func(n int) []byte {
		var x []float32
		for i := range n {
			x = append(x, float32(i))
		}
		return floats(x...)
	}
	for name, c := range map[string]struct {
		shape []int
		pairs int
	}{
		"model.layers.0.self_attn.q_proj.weight": {[]int{4, 4}, 4},
		"model.layers.0.self_attn.o_proj.weight": {[]int{4, 4}, 0},
		"model.embed_tokens.weight":              {[]int{3, 4}, 0},
	} {
		x, ok := s.Tensor(name)
		if !ok || !slices.Equal(x.Shape, c.shape) || string(x.Data) != string(upTo(c.shape[0]*c.shape[1])) || Pairs(s, name) != c.pairs {
			t.Errorf("%s: %v %v, pairs %d", name, ok, x.Shape, Pairs(s, name))
		}
		if h, ok := Describe(s, name); !ok || !slices.Equal(h.Shape, c.shape) {
			t.Errorf("%s: head %v", name, h.Shape)
		}
	}
	if x, _ := s.Tensor("model.norm.weight"); string(x.Data) != string(floats(1, 2, 3, 4)) {
		t.Error("the norm is not replicated")
	}
	must(t, torch.Write(filepath.Join(dir, "consolidated.01.pth"), []torch.Entry{norm}))
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "shards of one model") {
		t.Error(err)
	}
}

// TestTorchPrefix: names of wrappers are taken off before the scheme is told, so that
// Meta's parameters are known as such.
func TestTorchPrefix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.pth")
	must(t, torch.Write(path, []torch.Entry{entry("module._orig_mod.tok_embeddings.weight", []int{1, 2}, 5, 6), entry("module.layers.0.attention.wk.weight", []int{2, 2}, 1, 2, 3, 4),
		entry("module.norm.weight", []int{2}, 7, 8)}))
	s, err := OpenHeads(path, 2)
	must(t, err)
	defer s.Close()
	if x, ok := s.Tensor("model.layers.0.self_attn.k_proj.weight"); !ok || string(x.Data) != string(floats(1, 2, 3, 4)) || Pairs(s, x.Name) != 2 || Unwrapped(s) == "" {
		t.Errorf("%v %+v %v", ok, x, s.Names())
	}
}

func TestTorchNames(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.pt")
	must(t, torch.Write(path, []torch.Entry{entry("tok_embeddings.weight", []int{1, 2}, 5, 6), entry("layers.0.attn.k_proj.weight", []int{2, 2}, 1, 2, 3, 4),
		entry("norm.scale", []int{2}, 7, 8)}))
	s, err := OpenHeads(path, 2)
	must(t, err)
	if x, ok := s.Tensor("model.layers.0.self_attn.k_proj.weight"); !ok || string(x.Data) != string(floats(1, 2, 3, 4)) || Pairs(s, x.Name) != 2 {
		t.Errorf("%v %+v", ok, x)
	}
	s.Close()
	if _, err := OpenHeads(path, 4); err == nil || !strings.Contains(err.Error(), "heads of 4 rows") {
		t.Error(err)
	}
	must(t, torch.Write(filepath.Join(dir, "pytorch_model.bin"), []torch.Entry{entry("lm_head.weight", []int{1}, 5)}))
	s, err = Open(dir) // pytorch_model.bin is preferred to *.pt, and these names need no head size
	must(t, err)
	if _, ok := s.Tensor("lm_head.weight"); !ok {
		t.Error(s.Names())
	}
	s.Close()
	must(t, torch.Write(path, []torch.Entry{entry("conv.weight", []int{1}, 5)}))
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), `no parameters of a Llama; the first name is "conv.weight"`) {
		t.Error(err)
	}
}

func TestLlama2c(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.bin")
	h := llama2c.Header{Dim: 4, Hidden: 2, Layers: 1, Heads: 2, KVHeads: 1, Vocab: 3, SeqLen: 2, Shared: true}
	sizes := map[string]int{"tok_embeddings": 12, "attention_norm": 4, "ffn_norm": 4, "norm": 4, "wq": 16, "wk": 8, "wv": 8, "wo": 16, "w1": 8, "w2": 8, "w3": 8}
	must(t, llama2c.Write(path, h, func(name string, w io.Writer) error {
		parts := strings.Split(name, ".")
		_, err := w.Write(floats(make([]float32, sizes[parts[len(parts)-2]])...))
		return err
	}))
	s, err := Open(path)
	must(t, err)
	defer s.Close()
	if x, ok := s.Tensor("model.layers.0.self_attn.k_proj.weight"); !ok || !slices.Equal(x.Shape, []int{2, 4}) || Pairs(s, x.Name) != 2 {
		t.Errorf("%v %+v", ok, x)
	}
}
