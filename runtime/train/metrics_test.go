package train

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/exit"
)

func TestMetricsContinueAfterAStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "metrics.jsonl")
	m, err := OpenMetrics(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for s := 1; s <= 5; s++ {
		if err := m.Add(Metric{Step: s, Loss: 1, LR: 2, GradNorm: 3, Tokens: 4, Speed: 5, Elapsed: 6}); err != nil {
			t.Fatal(err)
		}
	}
	m.f.WriteString(`{"step":6,"lo`) // a run killed while writing
	m.Close()
	if m, err = OpenMetrics(path, 3); err != nil {
		t.Fatal(err)
	}
	m.Add(Metric{Step: 4, Loss: 9})
	m.Close()
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[3], `{"step":4,"loss":9,`) || strings.Contains(string(text), "lo\n") {
		t.Errorf("after resuming after step 3:\n%s", text)
	}
}

// One run writes to a file; the next is refused until it is closed, as wrong input.
func TestMetricsAreHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := CheckUnused(path); err != nil {
		t.Errorf("a file that is not there: %v", err)
	}
	m, err := OpenMetrics(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{CheckUnused(path), func() error { _, err := OpenMetrics(path, 0); return err }()} {
		if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "another run writes to") {
			t.Errorf("a second run: %v", err)
		}
	}
	m.Close()
	if err := CheckUnused(path); err != nil {
		t.Errorf("after it is closed: %v", err)
	}
}

// JSON has no NaN: what is not finite is null, and named beside it.
func TestMetricsNotFinite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	m, err := OpenMetrics(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		m.Evaluated(Evaluated{0, []Number{{"eval_loss", 2}, {"eval_perplexity", math.Inf(1)}}}),
		m.Add(Metric{Step: 1, Loss: math.NaN(), GradNorm: math.Inf(-1), Overflow: true}),
		m.Add(Metric{Step: 2, Loss: 1}),
		m.Stopped(Stopped{2, "SIGTERM", 3}),
		m.Sync(),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	m.Close()
	if err := m.Add(Metric{Step: 3}); exit.Code(err) != exit.Failed {
		t.Errorf("a closed file: %v", err)
	}
	if err := m.Sync(); exit.Code(err) != exit.Failed {
		t.Errorf("a closed file: %v", err)
	}
	want := `{"step":0,"eval_loss":2,"eval_perplexity":null,"nonfinite":["eval_perplexity"]}
{"step":1,"loss":null,"lr":0,"grad_norm":null,"tokens":0,"overflow":true,"nonfinite":["loss","grad_norm"],"tokens_per_second":0,"elapsed":0}
{"step":2,"loss":1,"lr":0,"grad_norm":0,"tokens":0,"tokens_per_second":0,"elapsed":0}
{"step":2,"stopped":"SIGTERM","elapsed":3}
`
	if text, _ := os.ReadFile(path); string(text) != want {
		t.Errorf("%s", text)
	}
}

// A step has one evaluation, also after a run resumed; a loss that is null is that of a step.
func TestMetricsOfEvaluations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	for range 2 {
		m, err := OpenMetrics(path, 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := m.Evaluated(Evaluated{1, []Number{{"eval_loss", 2}}}); err != nil {
				t.Error(err)
			}
		}
		m.Add(Metric{Step: 2, Loss: math.NaN()})
		m.Close()
	}
	if text, _ := os.ReadFile(path); strings.Count(string(text), "eval_loss") != 1 {
		t.Errorf("%s", text)
	}
	if !HasEvaluation(path, 1) || HasEvaluation(path, 2) || HasEvaluation(path+".none", 1) {
		t.Error("another step is evaluated")
	}
	m, err := OpenMetrics(path, 0) // it starts again
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if text, _ := os.ReadFile(path); len(text) > 0 {
		t.Errorf("%s", text)
	}
}

// Output that cannot be written is wrong input.
func TestMetricsNowhere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string]string{filepath.Join(file, "out", "metrics.jsonl"): "cannot make the output directory", dir: "cannot write the metrics"} {
		if _, err := OpenMetrics(path, 0); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
