package config

import (
	"fmt"
	"strings"
	"testing"

	"lorac/ir/diag"
)

const ascendText = `
run_mode: finetune
trainer: {model_name: m}
optimizer: {type: AdamW}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-3}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 32
    hidden_size: 64
    intermediate_size: 48
    num_layers: 1
    num_heads: 4
    vocab_size: 101
    compute_dtype: float16
    pet_config: {pet_type: lora, lora_rank: 3, lora_alpha: 6, target_modules: '.*wq'}
`

// Each limit of the kernels: the last value that they take, and the first that they do not.
func TestOnAscend(t *testing.T) {
	const m, pet = "model.model_config.", "model.model_config.pet_config."
	for _, c := range []struct{ keys, want string }{
		{"", ""},
		{m + "hidden_size 8192 " + m + "num_heads 64", ""},
		{m + "hidden_size 8448 " + m + "num_heads 66", "`hidden_size` is 8448"},
		{m + "hidden_size 48 " + m + "num_heads 3", "`hidden_size` is 48"},
		{m + "hidden_size 72 " + m + "num_heads 9", "`hidden_size` is 72; the Ascend kernels take multiples of 16\na head has 8 columns; the Ascend kernels take multiples of 16"},
		{m + "hidden_size 256 " + m + "num_heads 2", ""},
		{m + "hidden_size 288 " + m + "num_heads 2", "a head has 144 columns; the Ascend kernels take up to 128"},
		{m + "hidden_size 96", "a head has 24 columns; the Ascend kernels take multiples of 16"},
		{m + "intermediate_size 65520", ""},
		{m + "intermediate_size 65536", "`intermediate_size` is 65536"},
		{m + "intermediate_size 56", "`intermediate_size` is 56; the Ascend kernels take multiples of 16"},
		{m + "seq_length 8192", ""},
		{m + "seq_length 8193", "`seq_length` is 8193"},
		{m + "vocab_size 128256", ""},
		{m + "vocab_size 128257", "`vocab_size` is 128257"},
		{pet + "lora_rank 128 " + m + "hidden_size 256", ""},
		{pet + "lora_rank 129 " + m + "hidden_size 256", "`lora_rank` is 129"},
		{m + "qkv_concat True " + pet + "target_modules .*w_qkv", "`qkv_concat` has no Ascend kernel: linears side by side are not cut there"},
		{"quant int4", "`quant` keeps the base in blocks; an Ascend device holds it in 16 bits"},
		{"compute int8", "`compute` int8 has no Ascend kernel"},
		{"optimizer.type FP32StateAdamWeightDecay", ""},
		{"optimizer.type Lamb", "optimizer `Lamb` has no Ascend kernel"},
		{"optimizer.type Lamb run_mode eval", ""},
		{m + "compute_dtype bfloat16", ""},
		{m + "compute_dtype float32", "note: `compute_dtype` is f32; an Ascend device multiplies bf16 and sums in f32"},
	} {
		c1, list := LoadBytes("m.yaml", []byte(ascendText), flags(t, "flags: "+c.keys))
		if c1 == nil {
			t.Fatalf("%s: %v", c.keys, list)
		}
		var got []string
		for _, d := range c1.OnAscend() {
			text, _, _ := strings.Cut(d.Message, "; the Ascend kernels take ")
			switch {
			case strings.Contains(c.want, d.Message):
				text = d.Message
			case d.Severity == diag.Error && d.Help == "":
				t.Errorf("%s: no way out of %q", c.keys, d.Message)
			}
			if d.Severity == diag.Note {
				text = fmt.Sprint("note: ", d.Message)
			}
			got = append(got, text)
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.keys, strings.Join(got, "\n"), c.want)
		}
	}
}

// Without adapters, all would train; where nothing trains, that is no matter.
func TestOnAscendFull(t *testing.T) {
	text := ascendText[:strings.Index(ascendText, "    pet_config")]
	for mode, want := range map[string]int{"finetune": 1, "train": 1, "eval": 0, "predict": 0} {
		c, list := LoadBytes("m.yaml", []byte(text), flags(t, "flags: run_mode "+mode))
		if c == nil {
			t.Fatal(list)
		}
		if got := c.OnAscend(); len(got) != want {
			t.Errorf("%s: %v", mode, got)
		}
	}
}
