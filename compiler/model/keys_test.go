package model

import (
	"slices"
	"strings"
	"testing"

	"lorac/compiler/config"
)

// What shapes the graph is listed under the names of the config.
func TestKeys(t *testing.T) {
	load := func(more string) (map[string]string, *config.Config) {
		t.Helper()
		c, list := config.LoadBytes("tiny.yaml", []byte(`
run_mode: finetune
optimizer: {type: AdamW, weight_decay: 0.1}
runner_wrapper: {use_clip_grad: True, max_grad_norm: 2.0}
train_dataset: {data_loader: {dataset_dir: rows.jsonl}}
model:
  arch: {type: LlamaForCausalLM}
  model_config: {type: LlamaConfig, seq_length: 16, hidden_size: 16, num_layers: 3, num_heads: 4, vocab_size: 40, extend_method: PI, scaling_factor: 2.0,
    pet_config: {pet_type: lora, target_modules: '.*wq'`+more+`}}
`), nil)
		if list.HasErrors() {
			t.Fatal(list)
		}
		got := map[string]string{}
		for _, k := range keys(c) {
			key, value, _ := strings.Cut(k, "=")
			got[key] = value
		}
		return got, c
	}
	got, c := load(", exclude_layers: ['1']")
	for key, want := range map[string]string{"optimizer.weight_decay": "0.1", "optimizer.type": "AdamW", "optimizer.beta1": "0.9", "runner_wrapper.max_grad_norm": "2",
		"model.model_config.hidden_size": "16", "model.model_config.scaling_factor": "{factor: 2}", "model.model_config.extend_method": "pi",
		"model.model_config.pet_config.target_modules": "[wq] in layers 0 to 0; [] in layers 1 to 1; [wq] in layers 2 to 2"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if other, _ := load(""); other["model.model_config.pet_config.target_modules"] != "[wq]" {
		t.Errorf("all layers: %q", other["model.model_config.pet_config.target_modules"])
	}
	biased, _ := load("}, qkv_has_bias: True, rl_config: {")
	if biased["model.model_config.qkv_has_bias"] != "True" || got["model.model_config.qkv_has_bias"] != "" || biased["model.model_config.mlp_has_bias"] != "" {
		t.Errorf("biases: %v", biased)
	}
	for key := range got {
		if !config.Known(key) {
			t.Errorf("%s is no key of a config", key)
		}
	}
	for _, k := range []string{"model.model_config.seq_length", "optimizer.momentum", "optimizer.learning_rate"} {
		if _, ok := got[k]; ok {
			t.Errorf("%s is listed", k)
		}
	}
	if !slices.IsSorted(keys(c)) {
		t.Error("the list has no order of its own")
	}
}
