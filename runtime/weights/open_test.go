package weights

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/sharded"
	"lorac/runtime/weights/torch"
)

func writeSafetensors(t *testing.T, path, name string, x ...float32) {
	t.Helper()
	must(t, safetensors.Write(path, []safetensors.Entry{{Name: name, DType: "F32", Shape: []int{len(x)}, Write: safetensors.Bytes(floats(x...))}}, nil))
}

func ckptEntry(name string, shape []int, x ...float32) mindspore.Entry {
	return mindspore.Entry{Name: name, DType: "F32", Shape: shape, Write: mindspore.Bytes(floats(x...))}
}

// wantTensor compares shape and data of a tensor, read and described.
func wantTensor(t *testing.T, s Set, name string, shape []int, x ...float32) {
	t.Helper()
	got, ok := s.Tensor(name)
	if !ok || got.Name != name || !slices.Equal(got.Shape, shape) || string(got.Data) != string(floats(x...)) {
		t.Errorf("%s is %v %+v, want %v %v", name, ok, got, shape, x)
	}
	if h, ok := Describe(s, name); !ok || h.DType != "F32" || !slices.Equal(h.Shape, shape) {
		t.Errorf("%s is described as %v %+v", name, ok, h)
	}
}

// wantError opens a path that must be rejected with all of some parts in the error.
func wantError(t *testing.T, path string, parts ...string) {
	t.Helper()
	s, err := Open(path)
	if err == nil {
		s.Close()
		t.Fatalf("%s is accepted", path)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, want %q in it", path, err, part)
		}
	}
}

// TestOpenByExtension: the extension selects the format, an unknown one is read as
// safetensors, and a directory is opened as the model in it.
func TestOpenByExtension(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	writeSafetensors(t, path, "model.norm.weight", 1, 2)
	other := filepath.Join(t.TempDir(), "weights.data")
	must(t, os.Link(path, other))
	for _, p := range []string{path, dir, other} {
		s, err := Open(p)
		must(t, err)
		wantTensor(t, s, "model.norm.weight", []int{2}, 1, 2)
		s.Close()
	}
	must(t, os.WriteFile(other+"x", []byte("not a container"), 0o666))
	wantError(t, other+"x", "the format is chosen by the extension", ".ckpt", ".gguf")
	wantError(t, filepath.Join(dir, "none"), "no such file", "= help: weights are a directory", ".safetensors")
	if _, err := OpenHeads(filepath.Join(dir, "none"), 4); err == nil || !strings.Contains(err.Error(), "= help") {
		t.Errorf("a missing file: %v", err)
	}
	wantError(t, t.TempDir(), "neither model.safetensors nor")
}

// TestUnion: the .ckpt files of a directory are one set. A parameter in two of
// them is an error, a scalar is not.
func TestUnion(t *testing.T) {
	dir := t.TempDir()
	must(t, mindspore.Write(filepath.Join(dir, "a.ckpt"), []mindspore.Entry{ckptEntry("model.norm_out.weight", []int{2}, 1, 2), mindspore.Int("epoch_num", 3)}, false))
	must(t, mindspore.Write(filepath.Join(dir, "b.ckpt"), []mindspore.Entry{ckptEntry("lm_head.weight", []int{1, 2}, 3, 4), mindspore.Int("epoch_num", 5)}, false))
	s, err := Open(dir)
	must(t, err)
	defer s.Close()
	if got := s.Names(); !slices.Equal(got, []string{"epoch_num", "lm_head.weight", "model.norm_out.weight"}) {
		t.Errorf("names %v", got)
	}
	wantTensor(t, s, "model.norm_out.weight", []int{2}, 1, 2)
	wantTensor(t, s, "lm_head.weight", []int{1, 2}, 3, 4)
	if n, _ := s.Tensor("epoch_num"); len(n.Data) != 4 || n.Data[0] != 3 {
		t.Errorf("epoch_num is %v, want that of the first file", n)
	}
	if _, ok := s.Tensor("none"); ok {
		t.Error("an unknown name is found")
	}
	if _, ok := Describe(s, "none"); ok {
		t.Error("an unknown name is described")
	}
	must(t, mindspore.Write(filepath.Join(dir, "c.ckpt"), []mindspore.Entry{ckptEntry("lm_head.weight", []int{1, 2}, 3, 4)}, false))
	wantError(t, dir, "lm_head.weight is in both", "b.ckpt", "c.ckpt")
	must(t, os.WriteFile(filepath.Join(dir, "c.ckpt"), []byte("junk"), 0o666))
	wantError(t, dir, "c.ckpt")
}

func writeGGUF(t *testing.T, path string, meta ...gguf.KV) {
	t.Helper()
	// The four rows of a query head in rotary pairs, the file's order.
	must(t, gguf.Write(path, append([]gguf.KV{{Key: "general.architecture", Value: "llama"}}, meta...), []gguf.Entry{
		{Name: "blk.0.attn_q.weight", Type: "F32", Shape: []int{4, 1}, Write: safetensors.Bytes(floats(0, 2, 1, 3))},
		{Name: "output_norm.weight", Type: "F32", Shape: []int{2}, Write: safetensors.Bytes(floats(5, 6))},
		{Name: "extra", Type: "F32", Shape: []int{1}, Write: safetensors.Bytes(floats(7))}}))
}

// TestGGUF: a GGUF file under Hugging Face names. Queries are reported as stored
// in rotary pairs, in the order of the file.
func TestGGUF(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.gguf")
	width := func(n uint32) gguf.KV { return gguf.KV{Key: "llama.embedding_length", Value: n} }
	heads := func(n uint32) gguf.KV { return gguf.KV{Key: "llama.attention.head_count", Value: n} }
	writeGGUF(t, path, width(8), heads(2))
	for _, p := range []string{path, dir} {
		s, err := Open(p)
		must(t, err)
		const q = "model.layers.0.self_attn.q_proj.weight"
		if got := s.Names(); !slices.Equal(got, []string{q, "model.norm.weight", "extra"}) {
			t.Errorf("names %v", got)
		}
		wantTensor(t, s, q, []int{4, 1}, 0, 2, 1, 3)
		wantTensor(t, s, "extra", []int{1}, 7)
		if Pairs(s, q) != 4 || Pairs(s, "model.norm.weight") != 0 {
			t.Errorf("pairs %d and %d, want 4 and 0", Pairs(s, q), Pairs(s, "model.norm.weight"))
		}
		s.Close()
		if GGUF(p) != path {
			t.Errorf("GGUF(%s) = %q", p, GGUF(p))
		}
	}
	if tok, err := Tokenizer(path); tok != nil || err != nil {
		t.Errorf("a file without a tokenizer has %v, %v", tok, err)
	}
	if _, err := Tokenizer(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file has a tokenizer")
	}
	for part, meta := range map[string][]gguf.KV{
		"not divisible by":                 {width(9), heads(2)},
		"not divisible into heads of 8":    {width(8), heads(1)},
		"not divisible into heads of 3":    {width(8), heads(2), {Key: "llama.attention.key_length", Value: uint32(3)}},
		`general.type is "adapter"`:        {width(8), heads(2), {Key: "general.type", Value: "adapter"}},
		`general.architecture is "gpt2"; `: {{Key: "general.architecture", Value: "gpt2"}},
	} {
		bad := filepath.Join(t.TempDir(), "bad.gguf")
		if strings.Contains(part, "architecture") {
			must(t, gguf.Write(bad, meta, nil))
		} else {
			writeGGUF(t, bad, meta...)
		}
		wantError(t, bad, part)
	}
	writeGGUF(t, filepath.Join(dir, "n.gguf"), width(8), heads(2))
	wantError(t, dir, "holds 2 .gguf files")
	writeSafetensors(t, filepath.Join(dir, "model.safetensors"), "w", 1)
	if got := GGUF(dir); got != "" {
		t.Errorf("safetensors come first, but GGUF(dir) = %q", got)
	}
	must(t, os.WriteFile(filepath.Join(dir, "junk.gguf"), []byte("junk"), 0o666))
	wantError(t, filepath.Join(dir, "junk.gguf"), "cannot read", "GGUF")
}

// TestTree: a model split over two ranks is joined by its strategy files; without
// them only rank_0 can be read, and the errors say how to give them.
func TestTree(t *testing.T) {
	dir := t.TempDir()
	one, tree, strategy := filepath.Join(dir, "one.ckpt"), filepath.Join(dir, "tree"), filepath.Join(dir, "strategy")
	must(t, mindspore.Write(one, []mindspore.Entry{
		ckptEntry("lm_head.weight", []int{4, 2}, 0, 1, 2, 3, 4, 5, 6, 7), ckptEntry("model.norm_out.weight", []int{2}, 8, 9)}, false))
	src, err := sharded.Open(one, "", sharded.One())
	must(t, err)
	defer src.Close()
	two, err := sharded.Of(sharded.Degrees{Model: 2})
	must(t, err)
	must(t, src.WriteTree(two, sharded.RankPath(tree, "m_")))

	if !IsTree(tree) || IsTree(one) || IsTree(dir) {
		t.Error("IsTree")
	}
	if h := Hint(tree); !strings.Contains(h, "2 ranks") || Hint(one) != "" {
		t.Errorf("hints %q and %q", h, Hint(one))
	}
	wantError(t, tree, "holds 2 ranks", "lorac convert layout")
	if _, err := OpenTree(tree, "", ""); err == nil || !strings.Contains(err.Error(), "no strategy file describes the layout") {
		t.Errorf("without a strategy: %v", err)
	}
	first, err := Rank0(tree)
	must(t, err)
	s, err := Open(first)
	must(t, err)
	wantTensor(t, s, "lm_head.weight", []int{2, 2}, 0, 1, 2, 3)
	s.Close()

	must(t, os.Mkdir(strategy, 0o777))
	for rank := range 2 {
		f, err := src.StrategyFile(two, rank)
		must(t, err)
		must(t, f.Write(filepath.Join(strategy, []string{"ckpt_strategy_rank_0.ckpt", "ckpt_strategy_rank_1.ckpt"}[rank])))
	}
	joined, err := OpenTree(tree, "", "") // the directory strategy next to the tree
	must(t, err)
	defer joined.Close()
	wantTensor(t, joined, "lm_head.weight", []int{4, 2}, 0, 1, 2, 3, 4, 5, 6, 7)
	wantTensor(t, joined, "model.norm_out.weight", []int{2}, 8, 9)
	if _, ok := joined.Tensor("none"); ok {
		t.Error("an unknown name is found")
	}
	if _, err := OpenTree(tree, filepath.Join(dir, "none"), ""); err == nil {
		t.Error("a missing strategy is accepted")
	}

	must(t, os.RemoveAll(filepath.Join(tree, "rank_1")))
	s, err = Open(tree) // a single rank needs no strategy
	must(t, err)
	wantTensor(t, s, "lm_head.weight", []int{2, 2}, 0, 1, 2, 3)
	s.Close()
	must(t, os.Rename(filepath.Join(tree, "rank_0"), filepath.Join(tree, "rank_1")))
	if _, err := Rank0(tree); err == nil || !strings.Contains(err.Error(), "no rank_0") {
		t.Errorf("without rank_0: %v", err)
	}
}

// TestSame: tied weights of a torch file are one tensor, under either naming.
func TestSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.bin")
	embedding := entry("tok_embeddings.weight", []int{1, 2}, 5, 6)
	must(t, torch.Write(path, []torch.Entry{embedding, {Name: "output.weight", DType: "F32", Shape: []int{1, 2}, SameAs: embedding.Name}, entry("norm.weight", []int{2}, 7, 8)}))
	if !IsTorch(path) || IsTorch(t.TempDir()) || IsTorch(path+"x") {
		t.Error("IsTorch")
	}
	s, err := Open(path)
	must(t, err)
	defer s.Close()
	if got := s.Names(); !slices.Equal(got, []string{"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"}) {
		t.Errorf("names %v", got)
	}
	wantTensor(t, s, "lm_head.weight", []int{1, 2}, 5, 6)
	if !Same(s, "lm_head.weight", "model.embed_tokens.weight") || Same(s, "lm_head.weight", "model.norm.weight") {
		t.Error("the head is tied to the embedding, not to the norm")
	}
	if Same(&union{}, "a", "a") {
		t.Error("a format that cannot tell reports tied weights")
	}
}
