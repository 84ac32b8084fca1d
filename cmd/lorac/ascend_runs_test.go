package main

import (
	"maps"
	"math"
	"path/filepath"
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
