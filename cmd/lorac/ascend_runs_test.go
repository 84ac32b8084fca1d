package main

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// restlessOnAscend is the job of restless at sizes that the device takes.
func restlessOnAscend(more map[string]string) map[string]string {
	set := maps.Clone(restless)
	set["runner_config.epochs"] = "4"
	set["model.model_config.n_kv_heads"] = "2"
	maps.Copy(set, more)
	return set
}

// TestAscendCores: a result does not depend on the number of cores.
func TestAscendCores(t *testing.T) {
	x := newTinyOnAscend(t, restlessOnAscend(map[string]string{"runner_config.epochs": "1"}))
	want := ""
	for _, cores := range [][2]string{{"20", "40"}, {"24", "48"}, {"1", "2"}, {"7", "14"}} {
		t.Setenv("STANDIN_CUBES", cores[0])
		t.Setenv("STANDIN_VECTORS", cores[1])
		out := filepath.Join(x.dir, "cores"+cores[0])
		mustContain(t, x.run(out), cores[0]+" cube cores")
		if got := outcome(t, out); want == "" {
			want = got
		} else {
			sameOutcome(t, cores[0]+" cube cores", want, got)
		}
	}
}

// TestAscendKilled: a run that is killed resumes to the same bits, with checkpoints
// of either format.
func TestAscendKilled(t *testing.T) {
	for name, more := range map[string]map[string]string{
		"safetensors": {},
		"ckpt":        {"callbacks": "[{type: CheckpointMointor, prefix: tiny, save_checkpoint_steps: 2, keep_checkpoint_max: 3, checkpoint_format: ckpt, save_trainable_params: True}]"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTinyOnAscend(t, restlessOnAscend(more))
			whole := filepath.Join(x.dir, "whole")
			x.run(whole)
			out, kills := filepath.Join(x.dir, "killed"), 0
			for _, line := range []int{1, 5, 12, 20} {
				if x.killedAt(out, line, 0, "--resume_training", "True") {
					kills++
				}
			}
			if kills < 3 {
				t.Errorf("only %d kills met a living run", kills)
			}
			x.run(out, "--resume_training", "True")
			sameOutcome(t, "after kills", outcome(t, whole), outcome(t, out))
		})
	}
}

// TestAscendFaults: what goes wrong on the device ends with one clear error that says
// what was computed, exit code 3, and checkpoints that the next run resumes from.
func TestAscendFaults(t *testing.T) {
	x := newTinyOnAscend(t, restlessOnAscend(nil))
	whole := filepath.Join(x.dir, "whole")
	x.run(whole)
	want := outcome(t, whole)
	for name, c := range map[string]struct {
		setting, value string
		says           []string
	}{
		"exception": {"STANDIN_FAULT", "507015@attention_grad_bf16:40", []string{"507015", "AttentionGrad", "layer", "tiny.yaml:"}},
		"vector":    {"STANDIN_FAULT", "507035@swiglu_bf16:40", []string{"507035", "SwiGLU", "layer"}},
		"lost":      {"STANDIN_LOST", "3000", []string{"507010"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(x.dir, strings.ReplaceAll(name, " ", "_"))
			t.Setenv(c.setting, c.value)
			text := x.failing(3, x.command(out))
			mustContain(t, text, c.says...)
			os.Unsetenv(c.setting)
			x.run(out, "--resume_training", "True")
			sameOutcome(t, "after the fault", want, outcome(t, out))
		})
	}
	t.Run("memory", func(t *testing.T) {
		t.Setenv("STANDIN_HBM", "300000")
		mustContain(t, x.failing(3, x.command(filepath.Join(x.dir, "small"))), "memory", "bytes", "= help:")
	})
	t.Run("none", func(t *testing.T) {
		t.Setenv("STANDIN_DEVICES", "0")
		mustContain(t, x.failing(3, x.command(filepath.Join(x.dir, "none"))), "no Ascend device")
	})
}

// TestAscendContinues: an adapter that was trained on the device is read on the CPU
// and the other way round, and both say the same loss within what 16 bits make.
func TestAscendContinues(t *testing.T) {
	set := restlessOnAscend(map[string]string{"runner_config.epochs": "8", "lr_schedule.learning_rate": "1.e-2"})
	dev := newTinyOnAscend(t, set)
	all := maps.Clone(ascendSizes)
	maps.Copy(all, set)
	cpu := newTiny(t, all)
	losses := map[string]float64{}
	for name, from := range map[string]*tiny{"device": dev, "cpu": cpu} {
		out := filepath.Join(from.dir, "out")
		from.run(out)
		adapter := filepath.Join(out, "adapter")
		a, b := dev.evalLoss("--load_adapter", adapter), cpu.evalLoss("--load_adapter", adapter)
		if math.Abs(a-b) > 5e-3*b {
			t.Errorf("the adapter of the %s has loss %v on the device, %v on the CPU", name, a, b)
		}
		losses[name] = b
		next := filepath.Join(from.dir, "next") // goes on where the other stopped
		map[string]*tiny{"device": cpu, "cpu": dev}[name].run(next, "--load_adapter", adapter, "--steps", "2")
	}
	if before := cpu.evalLoss("--load_adapter", zeroAdapter(t, cpu)); !(losses["device"] < before-0.05) {
		t.Errorf("training on the device took the loss from %v to %v only", before, losses["device"])
	}
	if d := math.Abs(losses["device"] - losses["cpu"]); d > 0.03*losses["cpu"] {
		t.Errorf("trained on the device the loss is %v, on the CPU %v", losses["device"], losses["cpu"])
	}
}

// TestAscendF16: half precision with a loss scale, whose first steps overflow.
func TestAscendF16(t *testing.T) {
	x := newTinyOnAscend(t, restlessOnAscend(map[string]string{
		"model.model_config.compute_dtype": "float16", "runner_config.epochs": "2",
		"runner_wrapper.scale_sense": "{type: DynamicLossScaleUpdateCell, loss_scale_value: 67108864, scale_factor: 4, scale_window: 1000}",
	}))
	out := filepath.Join(x.dir, "out")
	mustContain(t, x.run(out), "gradients are not finite at loss scale", "the step is skipped")
	if n := metricLines(out); n != 12 {
		t.Errorf("%d steps", n)
	}
}
