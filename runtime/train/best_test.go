package train

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// Losses count as transformers' EarlyStoppingCallback counts them: a lower one is the best
// one, but has to be lower by more than the threshold to begin the count again.
func TestBest(t *testing.T) {
	b := Best{Patience: 2, Threshold: 0.1}
	for i, c := range []struct {
		loss   float64
		lowest bool
		bad    int
	}{{math.NaN(), false, 1}, {2, true, 0}, {1.95, true, 1}, {1.84, true, 0}, {math.Inf(1), false, 1}, {1.84, false, 2}} {
		if got := b.Take(i+1, c.loss); got != c.lowest || b.Bad != c.bad || b.Over() != (c.bad >= 2) {
			t.Errorf("loss %v: lowest %v, %+v", c.loss, got, b)
		}
	}
	if b.Take(6, 1); b.Loss != 1.84 || b.Step != 4 {
		t.Errorf("a step counts twice: %+v", b)
	}
}

// A run that resumes has the evaluations up to its step, and that of this step where it is due.
func TestBestReplay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	text := `{"step":0,"eval_loss":9}
{"step":1,"loss":3}
{"step":2,"loss":3}
{"step":2,"eval_loss":1.5,"eval_perplexity":4.4}
{"step":3,"loss":3}
{"step":4,"loss":3}
{"step":4,"eval_loss":null,"nonfinite":["eval_loss"]}
{"step":6,"eval_loss":0.5}
`
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step int
		due  bool
		want Best
	}{{4, true, Best{Loss: 1.5, Step: 2, Bad: 1, Last: 4}}, {4, false, Best{Loss: 1.5, Step: 2, Last: 2}}, {1, true, Best{}}} {
		var b Best
		if err := b.Replay(path, c.step, c.due); err != nil || b != c.want {
			t.Errorf("after step %d: %+v, %v", c.step, b, err)
		}
	}
}
