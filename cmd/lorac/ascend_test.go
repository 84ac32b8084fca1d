package main

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/compiler"
	"lorac/compiler/passes"
	"lorac/kernels/ascend/ascendtest"
)

// ascendSizes are the smallest sizes that the device's kernels take.
var ascendSizes = map[string]string{
	"model.model_config.hidden_size": "64", "model.model_config.intermediate_size": "48", "model.model_config.compute_dtype": "bfloat16",
}

// newTinyOnAscend is newTiny for the stand-in of a card, with some keys changed.
func newTinyOnAscend(t *testing.T, set map[string]string) *tiny {
	t.Helper()
	kernels, err := ascendtest.Libraries()
	if err != nil {
		t.Fatal(err)
	}
	if kernels == "" {
		t.Skip("the kernels for Ascend need a C++17 compiler: g++ (Debian: g++)")
	}
	t.Setenv("LORAC_ASCEND_KERNELS", kernels)
	all := maps.Clone(ascendSizes)
	maps.Copy(all, set)
	return newTinyFor(t, all, &compiler.Target{Ascend: &passes.Ascend{SoC: "910b3"}})
}

// onDevice holds the steps of a run to the evaluator of the same module, which rounds
// where the device does.
func (x *tiny) onDevice(got []record, tol float64) {
	x.t.Helper()
	want, _ := x.evaluate(x.module, len(got), rates(got))
	d := apart(x.t, got, want)
	x.t.Logf("%.1e", d)
	if !(d.loss <= tol && d.norm <= 5*tol && d.first <= tol/4) {
		x.t.Errorf("%.1e off: the device says %v, the evaluator %v", d, got, want)
	}
}

// TestAscendTrainer runs emitted trainers on the stand-in for a card.
func TestAscendTrainer(t *testing.T) {
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	for name, set := range map[string]map[string]string{
		"gqa dropout": {mc + "n_kv_heads": "2", pet + "lora_dropout": "0.3", pet + "target_modules": ".*wq|.*wk|.*wv|.*wo|.*w1|.*w2"},
		"accumulated": {"runner_config.gradient_accumulation_steps": "3", "optimizer.type": "FP32StateAdamWeightDecay"},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "gqa dropout" {
				testkit.Slow(t, "ascend")
			}
			x := newTinyOnAscend(t, set)
			out := filepath.Join(x.dir, "out")
			text := x.run(out, "--epochs", "2")
			mustContain(t, text, "on Ascend device 0: Ascend910B3 with 20 cube cores and 40 vector cores")
			x.onDevice(metricsOf(t, out), 4e-3)
		})
	}
}

// TestAscendRoundsAsWritten: a step of a few tokens in one layer rounds so few numbers
// that mostly none comes out another way, and then device and evaluator agree to f32.
// One number rounded elsewhere, or not at all, would show in each step. The learning
// rate is zero, so that each row is such a first step.
func TestAscendRoundsAsWritten(t *testing.T) {
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	for _, dtype := range []string{"bfloat16", "float16"} {
		t.Run(dtype, func(t *testing.T) {
			if dtype != "bfloat16" {
				testkit.Slow(t, "ascend")
			}
			x := newTinyOnAscend(t, map[string]string{mc + "num_layers": "1", mc + "n_kv_heads": "2", mc + "compute_dtype": dtype, pet + "lora_dropout": "0.2",
				pet + "target_modules": ".*wq|.*wk|.*wv|.*wo|.*w1|.*w2|.*w3", "runner_config.batch_size": "1"})
			out := filepath.Join(x.dir, "out")
			x.run(out, "--learning_rate", "0")
			got := metricsOf(t, out)
			want, _ := x.evaluate(x.module, len(got), rates(got))
			var losses, norms []float64
			for i := range want {
				d := apart(t, got[i:i+1], want[i:i+1])
				losses, norms = append(losses, d.loss), append(norms, d.norm)
			}
			slices.Sort(losses)
			slices.Sort(norms)
			t.Logf("losses %.1e, norms %.1e", losses, norms)
			n := len(losses)
			most := n / 4 // half precision rounds eight times as finely, so eight times as many numbers flip
			if dtype == "bfloat16" {
				most = n / 2
			}
			if !(losses[most] <= 1e-6 && losses[n-1] <= 2e-3 && norms[most] <= 1e-5 && norms[n-1] <= 1e-2) {
				t.Errorf("losses are off by %.1e, norms by %.1e", losses, norms)
			}
		})
	}
}
