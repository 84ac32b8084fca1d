package convert

import (
	"os"
	"path/filepath"
	"testing"

	"lorac/cmd/lorac/build"
)

const smallYAML = `
run_mode: finetune
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 12
    hidden_size: 64
    intermediate_size: 80
    num_layers: 3
    num_heads: 4
    vocab_size: 40
    param_init_type: float32
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, target_modules: '.*wq|.*wv'}
`

// A file in blocks is as large as is said before it is written, from a base that
// is in blocks itself, too.
func TestBlockBytes(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "small.yaml")
	if err := os.WriteFile(config, []byte(smallYAML), 0o666); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, "base")
	if _, _, err := SynthesizeBase(config, nil, base, "bf16", 1); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"int4", "int8"} { // the second is made of the first
		set, err := build.OpenBase(base)
		if err != nil {
			t.Fatal(err)
		}
		said, out := blockBytes(set, kind), filepath.Join(dir, kind)
		set.Close()
		if err := (&Quantize{Config: config, Base: base, Out: out, Quant: kind}).Run(); err != nil {
			t.Fatal(err)
		}
		base = out
		if set, err = build.OpenBase(out); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, name := range set.Names() {
			x, _ := set.Tensor(name)
			n += len(x.Data)
		}
		set.Close()
		if said != n {
			t.Errorf("%s: %d bytes are said, %d are written", kind, said, n)
		}
	}
}
