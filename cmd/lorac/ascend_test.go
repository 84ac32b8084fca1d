package main

import (
	"maps"
	"math"
	"path/filepath"
	"testing"

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
	var lr []float64
	for _, m := range got {
		lr = append(lr, m.LR)
	}
	want, _ := x.evaluate(x.module, len(got), lr)
	for i := range want {
		if d := math.Abs(got[i].Loss-want[i].Loss) / want[i].Loss; !(d <= tol) {
			x.t.Errorf("step %d: loss %v, the evaluator says %v", i+1, got[i].Loss, want[i].Loss)
		}
		if d := math.Abs(got[i].GradNorm-want[i].GradNorm) / want[i].GradNorm; !(d <= 10*tol) {
			x.t.Errorf("step %d: gradient norm %v, the evaluator says %v", i+1, got[i].GradNorm, want[i].GradNorm)
		}
	}
}

// TestAscendTrainer runs emitted trainers on the stand-in for a card.
func TestAscendTrainer(t *testing.T) {
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	for name, set := range map[string]map[string]string{
		"wq|wv":       {},
		"gqa dropout": {mc + "n_kv_heads": "2", pet + "lora_dropout": "0.3", pet + "target_modules": ".*wq|.*wk|.*wv|.*wo|.*w1|.*w2"},
		"accumulated": {"runner_config.gradient_accumulation_steps": "3", "optimizer.type": "FP32StateAdamWeightDecay"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTinyOnAscend(t, set)
			out := filepath.Join(x.dir, "out")
			text := x.run(out, "--epochs", "2")
			mustContain(t, text, "on Ascend device 0: Ascend910B3 with 20 cube cores and 40 vector cores")
			x.onDevice(metricsOf(t, out), 5e-3)
		})
	}
}
