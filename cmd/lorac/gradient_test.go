package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// Where the attention's output weights are zero, no gradient reaches a query's
// adapter: the run must say so instead of training nothing.
func TestAdapterWithoutGradient(t *testing.T) {
	t.Parallel()
	x := newTiny(t, map[string]string{"model.model_config.pet_config.target_modules": ".*wq"})
	set, err := safetensors.OpenSet(filepath.Join(x.dir, "base"))
	x.must(err)
	var entries []safetensors.Entry
	for _, name := range set.Names() {
		tensor, _ := set.Tensor(name)
		data := append([]byte(nil), tensor.Data...)
		if strings.HasSuffix(name, "layers.1.self_attn.o_proj.weight") {
			clear(data)
		}
		entries = append(entries, safetensors.Entry{Name: name, DType: tensor.DType, Shape: tensor.Shape,
			Write: func(w io.Writer) error { _, err := w.Write(data); return err }})
	}
	x.must(safetensors.Write(filepath.Join(x.dir, "base", "model.safetensors"), entries, nil))
	cmd := x.command(filepath.Join(x.dir, "out"))
	text, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 3 || !strings.Contains(string(text), "no gradient reaches model.layers.1.attention.wq.mindpet_delta_lora_b") {
		t.Fatalf("%v\n%s", err, text)
	}
}
