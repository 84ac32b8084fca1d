package watch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lorac/runtime/train"
)

// slowly is a writer that tells what was written.
type slowly struct {
	bytes.Buffer
	wrote chan string
}

func (s *slowly) Write(p []byte) (int, error) {
	s.wrote <- string(p)
	return s.Buffer.Write(p)
}

// expect waits for a line that begins so.
func (s *slowly) expect(t *testing.T, words string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case line := <-s.wrote:
			if strings.HasPrefix(line, words) {
				return
			}
		case <-late:
			t.Fatalf("nobody says %q", words)
		}
	}
}

// A run without a step yet says so.
func TestOnceWithout(t *testing.T) {
	dir, out := t.TempDir(), &bytes.Buffer{}
	if err := os.WriteFile(metricsOf(dir), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := (&Watch{Out: out, path: metricsOf(dir)}).Once(); err != nil || !strings.Contains(out.String(), "has no step yet") {
		t.Errorf("%q %v", out, err)
	}
}

// A run is followed from before its start to its end, past a start from the beginning.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	out := &slowly{wrote: make(chan string, 99)}
	w := &Watch{Out: out, Every: time.Millisecond, Idle: 5 * time.Millisecond, Wait: time.Minute, path: metricsOf(dir)}
	ended := make(chan error, 1)
	go func() { ended <- w.Follow() }()
	out.expect(t, "waiting for a run to write "+filepath.Join(dir, "metrics.jsonl"))
	m, err := train.OpenMetrics(filepath.Join(dir, "metrics.jsonl"), 0)
	if err != nil {
		t.Fatal(err)
	}
	m.Evaluated(train.Evaluated{Step: 0, Numbers: []train.Number{{Name: "eval_loss", Value: 3}}})
	out.expect(t, "step 0  evaluation: loss 3.0000")
	m.Add(train.Metric{Step: 1, Loss: 2.5, LR: 0.1, Tokens: 100, Speed: 50, Elapsed: 2})
	out.expect(t, "step 1  loss 2.5000  lr 0.1  50 tokens/s")
	if err := os.Rename(filepath.Join(dir, "metrics.jsonl"), filepath.Join(dir, "metrics.jsonl.1")); err != nil { // a new run
		t.Fatal(err)
	}
	next, err := train.OpenMetrics(filepath.Join(dir, "metrics.jsonl"), 0)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	next.Add(train.Metric{Step: 1, Loss: 1.5, LR: 0.1, Tokens: 100, Speed: 50, Elapsed: 2})
	out.expect(t, "step 1  loss 1.5000")
	select {
	case err := <-ended:
		t.Fatalf("it ends (%v) while a run writes", err)
	case <-time.After(20 * time.Millisecond):
	}
	next.Close()
	select {
	case err := <-ended:
		if err != nil || !strings.Contains(out.String(), "  training loss    1.5000 to 1.5000\n") || strings.Contains(out.String(), "2.5000 to") {
			t.Errorf("%v\n%s", err, out)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not end with the run")
	}
}
