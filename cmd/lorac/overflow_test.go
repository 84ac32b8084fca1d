package main

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestOverflow starts with a loss scale at which gradients, large by a large
// lora_alpha, leave f32. Steps are
// skipped until it has fallen far enough: parameters and schedule stand still
// meanwhile, the data advance. From there on the losses are those of the
// evaluator, which scales nothing.
func TestOverflow(t *testing.T) {
	t.Parallel()
	const scale = "runner_wrapper.scale_sense."
	x := newTiny(t, map[string]string{scale + "loss_scale_value": "3.e38", scale + "scale_factor": "65536", scale + "scale_window": "1000",
		"model.model_config.pet_config.lora_alpha": "400"})
	out := filepath.Join(x.dir, "out")
	text := x.run(out, "--epochs", "2")
	mustContain(t, text, "the step is skipped")

	type line struct {
		Step      int
		Loss, LR  float64
		LossScale float64 `json:"loss_scale"`
		Overflow  bool
	}
	var got []line
	f, err := os.Open(filepath.Join(out, "metrics.jsonl"))
	x.must(err)
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var l line
		x.must(json.Unmarshal(sc.Bytes(), &l))
		got = append(got, l)
	}
	skipped := 0
	for skipped < len(got) && got[skipped].Overflow {
		skipped++
	}
	if skipped == 0 || len(got)-skipped < 3 {
		t.Fatalf("%d of %d steps overflowed at a scale of 3e38", skipped, len(got))
	}
	size := x.cfg.Run.BatchSize.V
	perEpoch := (len(x.rows) + size - 1) / size
	var lr []float64
	for i, l := range got {
		if want := 3e38 / math.Pow(65536, float64(min(i, skipped))); math.Abs(l.LossScale-want) > 1e-6*want {
			t.Errorf("step %d: loss scale %v, want %v", i+1, l.LossScale, want)
		}
		if i >= skipped {
			if l.Overflow {
				t.Errorf("step %d overflows", i+1)
			}
			lr = append(lr, l.LR)
		}
	}
	// Two steps of warm-up to 1e-3: the first step that counts is the schedule's first.
	if lr[0] != 0 || math.Abs(lr[1]-5e-4) > 1e-12 || got[0].LR != 0 {
		t.Errorf("rates %v after %d skipped steps, want 0 and 0.0005", lr, skipped)
	}
	// The evaluator begins with the rows of the first step that counts and goes
	// to the end of the epoch.
	x.rows = x.rows[skipped%perEpoch*size:]
	n := min(len(lr), perEpoch-skipped%perEpoch)
	want, _ := x.reference(n, lr)
	for i, w := range want {
		if d := math.Abs(got[skipped+i].Loss-w.Loss) / w.Loss; d > 1e-5 {
			t.Errorf("step %d: loss %v, the evaluator says %v", skipped+i+1, got[skipped+i].Loss, w.Loss)
		}
	}
}
