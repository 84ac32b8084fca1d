package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// rowsOf replaces the rows by some of these numbers of tokens, each of which, but
// for the first, is supervised.
func (x *tiny) rowsOf(tokens ...int) {
	x.t.Helper()
	x.rows = nil
	var text []byte
	for i, n := range tokens {
		var ids []int
		for k := range n {
			ids = append(ids, (7*k*k+5*i+3*k)%40)
		}
		x.rows = append(x.rows, [2][]int{ids, ids})
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": ids})
		text = append(append(text, line...), '\n')
	}
	x.must(os.WriteFile(filepath.Join(x.dir, "rows.jsonl"), text, 0o666))
}

// TestAscendKinds trains what configs can ask for on the stand-in. Bounds are those
// of TestAscendTrainer, which is one of them.
func TestAscendKinds(t *testing.T) {
	testkit.Slow(t, "ascend")
	const mc, pet, seven = "model.model_config.", "model.model_config.pet_config.", ".*wq|.*wk|.*wv|.*wo|.*w1|.*w2|.*w3"
	for name, set := range map[string]map[string]string{
		"plain":         {},
		"rank 1":        {pet + "target_modules": seven, pet + "lora_rank": "1"},
		"rank 128":      {pet + "target_modules": seven, pet + "lora_rank": "128", pet + "lora_alpha": "128", pet + "lora_dropout": "0.1"},
		"odd rank":      {pet + "target_modules": seven, pet + "lora_rank": "17", mc + "n_kv_heads": "1"},
		"tied":          {mc + "n_kv_heads": "2", pet + "target_modules": ".*wk|.*wo", mc + "tie_word_embeddings": "True"},
		"biases":        {mc + "n_kv_heads": "2", mc + "qkv_has_bias": "True", mc + "attn_proj_has_bias": "True", mc + "mlp_has_bias": "True", pet + "target_modules": ".*wq|.*wo|.*w2", pet + "lora_dropout": "0.1"},
		"half frozen":   {pet + "freeze_include": "['*layers.0.*lora*', '*layers.2.*wv*lora*']", pet + "lora_dropout": "0.2"},
		"some layers":   {pet + "exclude_layers": "['1']", pet + "lora_dropout": "0.2"},
		"high layers":   {pet + "exclude_layers": "['0', '1']", pet + "target_modules": ".*wq|.*w2"},
		"one layer":     {mc + "num_layers": "1", pet + "target_modules": ".*wv"},
		"no clipping":   {"runner_wrapper.use_clip_grad": "False", "optimizer.type": "FP32StateAdamWeightDecay"},
		"half":          {mc + "compute_dtype": "float16", pet + "lora_dropout": "0.1", "runner_wrapper.scale_sense": "1024"},
		"f32":           {mc + "compute_dtype": "float32"},
		"odd vocab":     {mc + "vocab_size": "41"},
		"heads of 128":  {mc + "hidden_size": "256", mc + "num_heads": "2", mc + "n_kv_heads": "1", mc + "intermediate_size": "272"},
		"one in a step": {"runner_config.batch_size": "1"},
		"all in a step": {"runner_config.batch_size": "11", "runner_config.epochs": "4"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTinyOnAscend(t, set)
			out := filepath.Join(x.dir, "out")
			x.run(out, "--epochs", "4")
			got := metricsOf(t, out)
			x.onDevice(got, 4e-3)
			_, in := x.evaluate(x.module, len(got), rates(got))
			if m := x.moved(adapterOf(t, out), adapterIn(in)); m > 0.05 {
				t.Errorf("the adapter is %.2g off", m)
			}
		})
	}
}

// TestAscendRows: batches that leave room in a micro-batch, that fill one to its last
// row, and sequences of one token, where attention has nothing to weigh and q and k
// no gradient.
func TestAscendRows(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newTinyOnAscend(t, map[string]string{"model.model_config.n_kv_heads": "2", "model.model_config.pet_config.lora_dropout": "0.2",
		"model.model_config.pet_config.target_modules": ".*wv|.*w2", "runner_config.gradient_accumulation_steps": "2"})
	for name, tokens := range map[string][]int{
		"one token":   {2, 2, 2, 2, 2, 2, 2},
		"full":        {13, 13, 13, 13, 13, 13, 13, 13},
		"mixed":       {13, 2, 2, 13, 5, 2, 2, 2, 13, 13, 2},
		"one row":     {2},
		"sixteen":     {5, 5, 5, 5},
		"a full one":  {13},
		"around 16":   {9, 9, 9, 10, 8, 9},
		"last of one": {3, 4, 5, 6, 2},
	} {
		t.Run(name, func(t *testing.T) {
			x := x.in(t)
			x.rowsOf(tokens...)
			out := filepath.Join(x.dir, strings.ReplaceAll(name, " ", "_"))
			x.run(out, "--epochs", "3")
			x.onDevice(metricsOf(t, out), 4e-3)
		})
	}
}

// in is the job in a subtest.
func (x *tiny) in(t *testing.T) *tiny {
	y := *x
	y.t = t
	return &y
}

// TestAscendNearCPU: jobs whose data or tables the evaluator of these tests does not
// make are held to the CPU, which computes in f32.
func TestAscendNearCPU(t *testing.T) {
	testkit.Slow(t, "ascend")
	const mc = "model.model_config."
	packed := func(how string) map[string]string {
		return map[string]string{"train_dataset.data_loader.handler": "[{type: PackingHandler, pack_strategy: " + how + "}]", "runner_config.gradient_accumulation_steps": "2"}
	}
	for name, set := range map[string]map[string]string{
		"per token":   {"runner_config.gradient_accumulation_steps": "2", "calculate_per_token_loss": "True"},
		"packed":      packed("pack"),
		"packed, cut": packed("truncate"),
		"llama3":      {mc + "extend_method": "LLAMA3", mc + "scaling_factor": "{factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 4}"},
		"pi":          {mc + "extend_method": "PI", mc + "scaling_factor": "4.0"},
		"yarn":        {mc + "extend_method": "YARN", mc + "scaling_factor": "{factor: 4.0, beta_slow: 1, beta_fast: 32, mscale: 1.0, mscale_all_dim: 0.0, original_max_position_embeddings: 4}"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTinyOnAscend(t, set)
			all := map[string]string{}
			for k, v := range x.settings {
				all[k] = v
			}
			cpu := newTiny(t, all)
			here, there := filepath.Join(x.dir, "cpu"), filepath.Join(x.dir, "ascend")
			x.run(there, "--epochs", "3")
			cpu.run(here, "--epochs", "3")
			d := apart(t, metricsOf(t, there), metricsOf(t, here))
			t.Logf("%.1e", d)
			if d.loss > 4e-3 || d.norm > 2e-2 {
				t.Errorf("%.1e off", d)
			}
			a, b := x.evalLoss("--load_adapter", filepath.Join(there, "adapter")), cpu.evalLoss("--load_adapter", filepath.Join(here, "adapter"))
			if math.Abs(a-b) > 4e-3*b {
				t.Errorf("evaluated, the loss is %v, on the CPU %v", a, b)
			}
		})
	}
}

// TestAscendWide trains one layer as wide as the 7B's for two steps of a few tokens.
func TestAscendWide(t *testing.T) {
	testkit.Slow(t, "ascend")
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	x := newTinyOnAscend(t, map[string]string{mc + "hidden_size": "4096", mc + "num_heads": "32", mc + "intermediate_size": "11008", mc + "num_layers": "1",
		pet + "lora_rank": "16", pet + "lora_alpha": "16", pet + "target_modules": ".*wq|.*wk|.*wv|.*wo", pet + "lora_dropout": "0.05", "runner_config.batch_size": "1"})
	x.rowsOf(4, 6)
	out := filepath.Join(x.dir, "out")
	x.run(out, "--steps", "2")
	got := metricsOf(t, out)
	x.onDevice(got, 4e-3)
	_, in := x.evaluate(x.module, 1, rates(got))
	x.run(filepath.Join(x.dir, "one"), "--steps", "1", "--save_checkpoint_steps", "1")
	g, w := x.savedGradients(filepath.Join(x.dir, "one")), gradients(in)
	for name := range w {
		if d := off(g[name], w[name]); d > 0.02 {
			t.Errorf("the gradient of %s is %.2g off", name, d)
		} else {
			t.Logf("%s: %.2g", name, d)
		}
	}
}
