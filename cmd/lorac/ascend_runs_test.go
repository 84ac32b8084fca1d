package main

import (
	"maps"
	"math"
	"path/filepath"
	"syscall"
	"testing"

	"lorac/cmd/test/testkit"
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
	x := newTinyOnAscend(t, restlessOnAscend(nil))
	want := ""
	for i, cores := range [][2]string{{"20", "40"}, {"7", "14"}, {"24", "48"}, {"1", "2"}} {
		if i > 1 && !testkit.Wanted("ascend") {
			break
		}
		t.Setenv("STANDIN_CUBES", cores[0])
		t.Setenv("STANDIN_VECTORS", cores[1])
		out := filepath.Join(x.dir, "cores"+cores[0])
		mustContain(t, x.run(out, "--epochs", "1"), cores[0]+" cube cores")
		if got := outcome(t, out); want == "" {
			want = got
		} else {
			sameOutcome(t, cores[0]+" cube cores", want, got)
		}
	}
}

// TestAscendKilled: a run that is killed or asked to end resumes to the same bits, with
// checkpoints of either format.
func TestAscendKilled(t *testing.T) {
	for _, format := range []string{"lorac", "ckpt"} {
		t.Run(format, func(t *testing.T) {
			lines := []int{1, 5, 8}
			if format == "ckpt" {
				testkit.Slow(t, "ascend")
				lines = []int{1, 2, 3, 5, 7, 8, 9, 11}
			}
			x := newTinyOnAscend(t, restlessOnAscend(nil))
			args := []string{"--epochs", "2", "--checkpoint_format", format}
			whole := filepath.Join(x.dir, "whole")
			x.run(whole, args...)
			args = append(args, "--resume_training", "True")
			out, met := filepath.Join(x.dir, "killed"), 0
			for i, line := range lines {
				signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}[i%3]
				if state := x.endedAt(signal, out, line, 0, args...); state != nil {
					met++
					if status := state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal {
						t.Errorf("%v at line %d: %v", signal, line, state)
					}
				}
			}
			if met < len(lines)-1 {
				t.Errorf("only %d signals met a living run", met)
			}
			x.run(out, args...)
			sameOutcome(t, "after signals", outcome(t, whole), outcome(t, out))
		})
	}
}

// TestAscendContinues: an adapter that was trained on the device is read on the CPU
// and the other way round, and both say the same loss within what 16 bits make.
func TestAscendContinues(t *testing.T) {
	testkit.Slow(t, "ascend")
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
		next := filepath.Join(from.dir, "next") // continues where the other stopped
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
	testkit.Slow(t, "ascend")
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
