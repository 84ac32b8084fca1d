package rt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/runtime/exit"
	"lorac/runtime/sys/signals"
	"lorac/runtime/train"
)

// stoppable runs a toy that calls at in each place of a step: "begin", before the
// gradients; "update", when parameters have changed and the states have not;
// "evaluation", in one.
func stoppable(j *Job, s *stop, at func(place string, step int), args ...string) (string, error) {
	var out bytes.Buffer
	p := process{args: args, out: train.NewReporter(&out), stop: s, world: one(), command: "again"}
	err := p.run(j, func(r *Run) error {
		m := &toy{}
		m.x = r.Trainable([]string{"model.norm_out.weight"}, 4, 0, Init{Kind: "uniform", Bound: 1})
		m.grad, m.state = r.Grad(m.x), r.State(m.x, "m")
		if err := r.Loaded(); err != nil {
			return err
		}
		evaluated := func(b *MicroBatch) float64 {
			at("evaluation", r.Loop.step)
			return m.loss(b)
		}
		if err := r.Begin(evaluated); err != nil {
			return err
		}
		for r.Next() {
			norm := 0.0
			for _, b := range r.MicroBatches() {
				r.Add(m.step(b))
			}
			at("begin", r.Loop.step)
			if r.Ready() {
				grads := append([]float32(nil), m.grad.Data[:4]...)
				norm = m.update(r.LR())
				now := append([]float32(nil), m.state.Data[:4]...)
				for i := range grads { // the states as they were, for a moment
					m.state.Data[i] = -1
				}
				at("update", r.Loop.step)
				copy(m.state.Data, now)
			}
			r.Done(norm, evaluated)
		}
		return r.Finish(evaluated)
	})
	return out.String(), err
}

// A run that is asked to stop, wherever it is, saves what its last finished step
// left, whole: resumed, it comes to the bits of a run that nobody disturbed. A step
// that does not end within the grace is given up, but not while it changes the state.
func TestStop(t *testing.T) {
	j := toyJob(t)
	whole := filepath.Join(t.TempDir(), "whole")
	nothing := func(string, int) {}
	if said, err := stoppable(j, newStop(), nothing, "--output_dir", whole); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	want := result(t, whole)
	for _, c := range []struct {
		place  string
		step   int // done when the signal comes
		hangs  bool
		format string
		saved  int
	}{
		{"begin", 0, true, "safetensors", 0},
		{"begin", 0, false, "safetensors", 1},
		{"begin", 5, true, "safetensors", 5},
		{"begin", 5, true, "ckpt", 5},
		{"begin", 5, false, "safetensors", 6},
		{"update", 5, true, "safetensors", 6},
		{"update", 3, true, "ckpt", 4},
		{"evaluation", 0, false, "safetensors", 0},
		{"evaluation", 4, false, "safetensors", 4},
		{"evaluation", 4, true, "safetensors", 4},
		{"evaluation", 15, false, "safetensors", 15},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			s := newStop()
			grace := "1h"
			if c.hangs {
				grace = "0"
			}
			asked := false
			said, err := stoppable(j, s, func(place string, step int) {
				if place != c.place || step != c.step || asked {
					return
				}
				asked = true
				if !s.take(syscall.SIGTERM) {
					t.Error("a run that trains was ended at once")
				}
				if !c.hangs {
					return
				}
				if c.place != "update" { // what is saved meanwhile must not need this goroutine
					s.outcome <- <-s.outcome
				} else {
					time.Sleep(20 * time.Millisecond)
				}
			}, "--output_dir", out, "--grace", grace, "--checkpoint_format", c.format)
			var ended *signals.Ended
			if !errors.As(err, &ended) || ended.Signal != syscall.SIGTERM || exit.Code(err) != 143 {
				t.Fatalf("the run ended with %v\n%s", err, said)
			}
			at := fmt.Sprintf("stopped by SIGTERM after step %d of 15", c.saved)
			switch c.saved {
			case 0:
				at = "stopped by SIGTERM before a step had finished"
			case 15:
				at = "stopped by SIGTERM after all 15 steps"
			}
			if lines := strings.Split(strings.TrimSpace(said), "\n"); !strings.HasPrefix(lines[len(lines)-2], at) || lines[len(lines)-1] != "  again" {
				t.Errorf("the last lines are not %q:\n%s", at, said)
			}
			said, err = stoppable(j, newStop(), nothing, "--output_dir", out, "--resume_training", "True", "--checkpoint_format", c.format)
			if err != nil || c.saved > 0 && !strings.Contains(said, fmt.Sprintf("resumed after step %d", c.saved)) {
				t.Fatalf("%v\n%s", err, said)
			}
			got := result(t, out)
			stopped := fmt.Sprintf(`{"step":%d,"stopped":"SIGTERM"`, c.saved)
			if n := strings.Count(got, stopped); n != min(c.saved, 1) && c.saved < 15 || c.saved == 15 && n != 1 {
				t.Errorf("the metrics have %q %d times:\n%s", stopped, n, got)
			}
			var lines []string
			for line := range strings.Lines(got) {
				if !strings.HasPrefix(line, stopped) {
					lines = append(lines, line)
				}
			}
			if strings.Join(lines, "") != want {
				t.Errorf("the result of a run that was stopped is another:\n%q\n%q", strings.Join(lines, ""), want)
			}
		})
	}
}

// Before training and at the second signal a process ends at once; two of a kind
// that come together are one.
func TestSecondSignal(t *testing.T) {
	s := newStop()
	if s.take(os.Interrupt) {
		t.Error("a signal before training waits for a step")
	}
	s.training(&Loop{}, &Options{Grace: new(time.Duration)})
	s.armed = true
	first, second := s.take(os.Interrupt), s.take(os.Interrupt)
	if !first || !second || !s.requested() {
		t.Error("the first signal, sent twice as timeout does, ends at once")
	}
	if s.take(syscall.SIGTERM) {
		t.Error("another signal waits")
	}
	s.since = s.since.Add(-2 * repeated)
	if s.take(os.Interrupt) {
		t.Error("the second signal waits")
	}
}

// A run whose time is over saves and ends well; the metrics say so.
func TestMaxTime(t *testing.T) {
	j, out := toyJob(t), t.TempDir()
	s := newStop()
	said, err := stoppable(j, s, func(place string, step int) {
		for place == "begin" && step == 2 && !s.requested() {
			time.Sleep(time.Millisecond)
		}
	}, "--output_dir", out, "--max_time", "300ms")
	if err != nil || !strings.Contains(said, "stopped: --max_time 300ms is over after step 3 of 15; the checkpoint is saved; resume with\n  again\n") {
		t.Errorf("%v\n%s", err, said)
	}
	text, _ := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	if !strings.Contains(string(text), `{"step":3,"stopped":"max_time","elapsed":`) {
		t.Errorf("metrics:\n%s", text)
	}
	for text, want := range map[string]time.Duration{"90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "3h30m": 210 * time.Minute} {
		if got, err := parseTime(text); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, args := range [][]string{{"--max_time", "nan"}, {"--max_time", "0"}, {"--max_time", "soon"}, {"--grace", "-1s"}, {"--max_time", "1h", "--run_mode", "eval"}} {
		if _, err := execute(j, body(never), args...); exit.Code(err) != exit.Usage {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// The command that resumes is one line for a shell, with one --resume_training.
func TestResumeCommand(t *testing.T) {
	got := ResumeCommand([]string{"lorac", "finetune", "my config.yaml", "--resume_training", "x-3.safetensors", "--predict_data", "it's", "--resume_training=False", "--lr=1e-3", ""})
	if want := `lorac finetune 'my config.yaml' --predict_data 'it'\''s' --lr=1e-3 '' --resume_training True`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A process knows its age, where the system says it.
func TestProcessAge(t *testing.T) {
	if _, err := os.Stat("/proc/uptime"); err != nil {
		t.Skip("the system does not say when a process was started")
	}
	if age := processAge(); age < 0 || age > time.Hour {
		t.Errorf("%v", age)
	}
}

// What a step left is not saved where it is not finite, also after the last step; of
// a step that overflowed the metrics have what is not finite as null.
func TestNotFinite(t *testing.T) {
	j := toyJob(t)
	j.EvalData.Path, j.DoEval = "", false
	out := filepath.Join(t.TempDir(), "out")
	for name, args := range map[string][]string{"the last step": {"--steps", "2"}, "a checkpoint": {"--save_checkpoint_steps", "2"}, "the next step": nil} {
		said, err := execute(j, body(never), append(args, "--output_dir", out, "--learning_rate", "3e38")...)
		if exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), "model.norm.weight holds ") {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
	for _, dir := range []string{"model", "checkpoint"} {
		if list, _ := os.ReadDir(filepath.Join(out, dir)); len(list) > 0 {
			t.Errorf("%s has %v", dir, list)
		}
	}
	said, err := execute(j, body(7), "--output_dir", out, "--log_format", "mindformers")
	if exit.Code(err) != exit.Failed || !strings.Contains(said, "overflow cond: True, loss_scale: [16.], global_norm: [nan]") {
		t.Errorf("%v\n%s", err, said)
	}
	text, _ := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	if !strings.Contains(string(text), `"grad_norm":null,"tokens":6,"loss_scale":32,"overflow":true,"nonfinite":["grad_norm"],"tokens_per_second"`) {
		t.Errorf("%s", text)
	}
}
