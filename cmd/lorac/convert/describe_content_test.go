package convert

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// Files of weights and adapters are told by their content, whatever their names, and listed
// under the names that they have themselves.
func TestDescribeContent(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	zeros := func(n int) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(make([]byte, n)); return err }
	}
	const a, b = "model.layers.0.attention.wq.mindpet_delta_lora_a", "model.layers.0.attention.wq.mindpet_delta_lora_b"
	adapter := []peft.Tensor{{Name: a, Rows: 2, Cols: 8, Data: make([]float32, 16)}, {Name: b, Rows: 8, Cols: 2, Data: make([]float32, 16)}}
	h := llama2c.Header{Dim: 8, Hidden: 12, Layers: 1, Heads: 2, KVHeads: 1, Vocab: 10, SeqLen: 4, Shared: true, Version: 2, Group: 8}
	if err := errors.Join(
		torch.Write(at("t.xyz"), []torch.Entry{{Name: "layers.0.attention.wq.weight", DType: "F32", Shape: []int{2, 3}, Write: zeros(24)}}),
		llama2c.Write(at("l.pth"), h, func(name string, w io.Writer) error {
			n := map[string]int{"tok_embeddings.weight": 80, "layers.0.attention.wk.weight": 32, "layers.0.attention.wv.weight": 32}[name]
			if strings.Contains(name, "feed_forward") {
				n = 96
			} else if n == 0 && strings.Contains(name, "norm") {
				n = 8
			} else if n == 0 {
				n = 64
			}
			return zeros(4 * n)(w)
		}),
		gguf.Write(at("g.bin"), []gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: "llama"}, {Key: "adapter.type", Value: "lora"}, {Key: "adapter.lora.alpha", Value: float32(16)}},
			[]gguf.Entry{{Name: "blk.0.attn_q.weight.lora_a", Type: "F32", Shape: []int{2, 8}, Write: zeros(64)}}),
		safetensors.Write(at("s.ckpt2"), []safetensors.Entry{{Name: "x", DType: "F16", Shape: []int{4}, Write: zeros(8)}}, nil),
		peft.Save(at("p"), peft.Config{Rank: 2, Alpha: 4}, adapter),
		os.WriteFile(at("k.bin"), []byte("\x02\x00\x00\x00"+strings.Repeat("\x00\x00\x80\x3f\x02\x00\x00\x00ab", 3)), 0o666),
	); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]string{"u.ckpt": "t.xyz", "u.safetensors": "t.xyz", "v.gguf": "t.xyz", "m.ckpt": "l.pth", "m.safetensors": "l.pth", "h.ckpt": "g.bin", "h.safetensors": "g.bin", "h.json": "g.bin",
		"r.ckpt": "s.ckpt2", "r.gguf": "s.ckpt2", "r.mindrecord": "s.ckpt2", "r.json": "s.ckpt2"} {
		if err := os.Link(at(of), at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, words := range map[string][]string{
		"u.ckpt": {"torch file, 1 tensors"}, "u.safetensors": {"torch file, 1 tensors"}, "v.gguf": {"torch file, 1 tensors"},
		"m.ckpt": {"llama2.c checkpoint of version 2"}, "m.safetensors": {"llama2.c checkpoint of version 2"},
		"h.ckpt": {"GGUF, an adapter"}, "h.safetensors": {"GGUF, an adapter"}, "h.json": {"GGUF, an adapter"},
		"r.ckpt": {"safetensors, 1 tensors"}, "r.gguf": {"safetensors, 1 tensors"}, "r.mindrecord": {"safetensors, 1 tensors"}, "r.json": {"safetensors, 1 tensors"},
		"t.xyz":   {"torch file, 1 tensors, 24 bytes", "2×3", "layers.0.attention.wq.weight"},
		"l.pth":   {"llama2.c checkpoint of version 2", "dim=8 hidden_dim=12", "a scale for 8 numbers", "I8        10×8                 120  tok_embeddings.weight"},
		"g.bin":   {"GGUF, an adapter (lora), 1 tensors", "lora_alpha=16", "blk.0.attn_q.weight.lora_a"},
		"s.ckpt2": {"safetensors, 1 tensors, 8 bytes", "F16"},
		"p":       {"LoRA adapter, 2 tensors", "r=2 lora_alpha=4 target_modules=q_proj", b},
		"k.bin":   {"a tokenizer of llama2.c, 3 pieces of up to 2 bytes", `"ab"`},
	} {
		var out strings.Builder
		shown, err := Describe(&out, at(name))
		if err != nil || !shown {
			t.Errorf("%s: shown %v, error %v", name, shown, err)
		}
		for _, w := range words {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %q in\n%s", name, w, out.String())
			}
		}
	}
}
