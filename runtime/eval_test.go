package rt

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lorac/runtime/data/dataset"
)

// rowsOf opens rows of ids as a set.
func rowsOf(t *testing.T, lines string) *dataset.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.Options{SeqLength: 16, Vocab: 10, PadID: 0, IgnoreID: -100, BOS: -1, EOS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// PerplexityMetric by hand: each token's loss is its id here. The first batch
// supervises 3, 5 (mean 4), the second 7 alone; the mean of the two is 5.5,
// the mean over tokens 5. Padding (0) and labels of −100 do not count.
func TestPerplexityMetric(t *testing.T) {
	r := &Run{job: &Job{BatchSize: 2, MaxRows: 64, PadID: 0, Metrics: []string{"PerplexityMetric"}}}
	r.eval = rowsOf(t, `{"input_ids": [1, 3, 0, 0]}
{"input_ids": [1, 2, 5], "labels": [-100, -100, 5]}
{"input_ids": [1, 7]}
`)
	loss := func(p *Pass) float64 {
		sum := 0.0
		for i, id := range p.Targets {
			sum += float64(id) * float64(p.Weights[i])
		}
		return sum
	}
	e := r.evaluate(loss)
	if math.Abs(*e.perplexity-5.5) > 1e-6 || math.Abs(e.loss-5) > 1e-6 {
		t.Errorf("the mean of the batches is %v, over tokens %v, want 5.5 and 5", *e.perplexity, e.loss)
	}
	r.job.EvalData.DropRemainder = true
	if e := r.evaluate(loss); math.Abs(*e.perplexity-4) > 1e-6 {
		t.Errorf("without the short batch %v, want 4", *e.perplexity)
	}
	e.perplexity = new(float64)
	*e.perplexity = 2
	if got := e.metrics(); got != "{'PerplexityMetric': {'loss': 2.0, 'PPL': 7.38905609893065}}" {
		t.Error(got)
	}
}

// When callbacks evaluate and save (EvalCallBack, CheckpointMonitor): steps
// counted on paper. In sink mode they see the ends of rounds only.
func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		sink, epoch, steps, epochs, save int
		evals, saves                     string
	}{
		{0, 6, 4, -1, 5, "[4 8 12]", "[5 10]"},
		{0, 6, -1, 1, 0, "[6 12]", "[]"},
		{0, 6, -1, 2, 0, "[12]", "[]"},
		{0, 6, 0, 0, 1, "[]", "[1 2 3 4 5 6 7 8 9 10 11 12]"},
		{2, 6, 3, -1, 3, "[6 12]", "[4 8 12]"}, // every 3 steps: at rounds that are multiples of 3; saved 3 or more behind the last
		{2, 6, -1, 2, 2, "[4 8 12]", "[2 4 6 8 10 12]"},
		{4, 12, 100, -1, 10, "[]", "[12]"},
	} {
		r := &Run{job: &Job{DoEval: true, EvalSteps: c.steps, EvalEpochs: c.epochs, Checkpoint: Checkpoint{SaveSteps: c.save}}, sink: c.sink, epochSteps: c.epoch, eval: &dataset.Set{}}
		evals, saves := []int{}, []int{}
		for r.step = 1; r.step <= 12; r.step++ {
			if r.evalDue() {
				evals = append(evals, r.step)
			}
			if r.saveDue(time.Time{}) {
				saves = append(saves, r.step)
			}
		}
		if fmt.Sprint(evals) != c.evals || fmt.Sprint(saves) != c.saves {
			t.Errorf("%+v: evaluates at %v, saves at %v", c, evals, saves)
		}
	}
	at := time.Unix(1000, 0)
	r := &Run{job: &Job{Checkpoint: Checkpoint{SaveSeconds: 60}}, savedAt: at, step: 3}
	if r.saveDue(at.Add(59*time.Second)) || !r.saveDue(at.Add(61*time.Second)) {
		t.Error("a checkpoint every 60 seconds")
	}
}

// The prompt ends where supervision begins; eos and padding are no answer.
func TestQuestions(t *testing.T) {
	r := &Run{job: &Job{PadID: 0, EosIDs: []int{2}}}
	r.eval = rowsOf(t, `{"input_ids": [1, 3, 4, 5, 6, 2], "labels": [-100, -100, -100, 5, 6, 2]}`+"\n")
	if got := fmt.Sprint(r.questions()); got != "[{[1 3 4] [5 6]}]" {
		t.Error(got)
	}
}
