package train

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lorac/runtime/exit"
	"lorac/runtime/job"
)

// A step goes to metrics.jsonl and to the console; with log_format mindformers
// to the log of MFLossMonitor instead, which evaluations enter as well.
func TestReporter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	var out strings.Builder
	j := &job.Job{Epochs: 2, BatchSize: 3, GradAccum: 2, LossScale: job.LossScale{Type: "dynamic"}}
	report := func(step int, scaled bool) *Reporter {
		t.Helper()
		r := NewReporter(&out)
		if r.Opened() {
			t.Error("it is open before Open")
		}
		if err := r.Open(path, j, Plan{Steps: 8, Epoch: 4}, step); err != nil {
			t.Fatal(err)
		}
		if err := r.Step(Metric{Step: step + 1, Loss: 1.5, LR: 1e-5, GradNorm: 0.5, Tokens: 10}, 1024, scaled); err != nil || !r.Opened() {
			t.Fatal(err)
		}
		if err := r.Sync(); err != nil {
			t.Error(err)
		}
		return r
	}
	r := report(0, false)
	if r.EvalResult("{}", time.Second) {
		t.Error("the plain reporter logs evaluations as MindFormers does")
	}
	if !strings.HasPrefix(out.String(), "step 1/8  loss 1.5000  lr 1e-05") {
		t.Errorf("%q", out.String())
	}
	if err := NewReporter(&out).Open(path, j, Plan{}, 0); exit.Code(err) != exit.Input {
		t.Errorf("a second reporter of a file: %v", err)
	}
	r.Close()
	out.Reset()
	j.LogFormat = "mindformers"
	r = report(1, true)
	if !r.EvalResult("{'PerplexityMetric': {}}", 1500*time.Millisecond) {
		t.Error("MindFormers' log leaves evaluations out")
	}
	for _, want := range []string{"callback.py:377] - INFO - { Epoch:[  1/  2], step:[    2/    4], loss:[1.500/1.500]", "loss_scale: [1024.], global_norm: [0.5]",
		"callback.py:1022] - INFO - Eval result: {'PerplexityMetric': {}}, eval time is 1.500000 s."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s lacks %s", out.String(), want)
		}
	}
	r.Close()
	if err := r.Step(Metric{Step: 3}, 1, false); exit.Code(err) != exit.Failed {
		t.Errorf("a step after the end: %v", err)
	}
	text, _ := os.ReadFile(path)
	want := regexp.MustCompile(`^\{"step":1,"loss":1.5,"lr":0.00001,"grad_norm":0.5,"tokens":10,"tokens_per_second":[\d.e+]+,"elapsed":[\d.]+\}
\{"step":2,"loss":1.5,"lr":0.00001,"grad_norm":0.5,"tokens":10,"loss_scale":1024,"tokens_per_second":[\d.e+]+,"elapsed":[\d.]+\}
$`)
	if !want.Match(text) {
		t.Errorf("metrics\n%s", text)
	}
	(&Reporter{}).Close()
}

// Three overflows in a row that no smaller scale follows end a run.
func TestStuck(t *testing.T) {
	x := NewScaler(job.LossScale{Type: "dynamic", Value: 2, Factor: 2, Window: 9})
	x.Next(true) // to 1, from where it cannot fall
	for i := range 3 {
		if x.Stuck() {
			t.Fatalf("stuck after %d overflows at scale 1", i)
		}
		x.Next(true)
	}
	if !x.Stuck() {
		t.Error("not stuck after three")
	}
	if x.Next(false); x.Stuck() {
		t.Error("stuck after a good step")
	}
}

// Warm restarts of one length, and rates where warm-up has not ended.
func TestScheduleCorners(t *testing.T) {
	restarts := Schedule{Type: "cosine_annealing_warm_restarts", LR: 1, T0: 10, TMult: 1}
	for step, want := range map[int]float64{10: 1, 25: 0.5, 30: 1} {
		if got := restarts.At(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("restarts of one length: step %d gives %v, want %v", step, got, want)
		}
	}
	for typ, want := range map[string]float64{"relative": 1e-2, "relative_warmup": 1e-5} {
		if got := (Schedule{Type: typ, LR: 1e-2}).At(9); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: %v, want %v", typ, got, want)
		}
	}
	if got := (Schedule{Type: "relative"}).At(39999); got != 0.005 {
		t.Errorf("relative: %v after 40,000 steps", got)
	}
	for _, typ := range []string{"linear", "cosine", "cosine_restarts", "polynomial", "cool_down", "warmup_stable_decay", "constant"} {
		s := Schedule{Type: typ, LR: 1, WarmupInit: 0.2, WarmupSteps: 4, TotalSteps: 100, NumCycles: 1, Power: 1, DecayStart: 50}
		if got := s.At(1); math.Abs(got-0.4) > 1e-12 {
			t.Errorf("%s: a quarter of the warm-up from 0.2 gives %v, want 0.4", typ, got)
		}
	}
	s := Schedule{Type: "cosine_restarts", LR: 1, LREnd: 0.1, TotalSteps: 100, DecaySteps: 200, NumCycles: 2}
	if a, b := s.At(100), (Schedule{Type: "cosine_restarts", LR: 1, LREnd: 0.1, TotalSteps: 100, NumCycles: 2}).At(100); a != 0 || b != 0.1 {
		t.Errorf("past the end %v where the decay is longer, else %v; want 0 and lr_end", a, b)
	}
}
