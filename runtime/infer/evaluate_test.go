package infer

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
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
	r := &Evaluator{Job: &job.Job{BatchSize: 2, MaxRows: 64, PadID: 0, Metrics: []string{"PerplexityMetric"}}}
	r.Set = rowsOf(t, `{"input_ids": [1, 3, 0, 0]}
{"input_ids": [1, 2, 5], "labels": [-100, -100, 5]}
{"input_ids": [1, 7]}
`)
	loss := func(p *microbatch.MicroBatch) float64 {
		sum := 0.0
		for i, id := range p.Targets {
			sum += float64(id) * float64(p.Weights[i])
		}
		return sum
	}
	measure := func() *Evaluation {
		e, err := r.Evaluate(loss)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := measure()
	if math.Abs(*e.Perplexity-5.5) > 1e-6 || math.Abs(e.Loss-5) > 1e-6 {
		t.Errorf("the mean of the batches is %v, over tokens %v, want 5.5 and 5", *e.Perplexity, e.Loss)
	}
	if want := "loss 5.000000, perplexity 148.4132"; e.Text() != want {
		t.Errorf("%q, want %q", e.Text(), want)
	}
	r.Job.EvalData.DropRemainder = true
	if e := measure(); math.Abs(*e.Perplexity-4) > 1e-6 {
		t.Errorf("without the short batch %v, want 4", *e.Perplexity)
	}
	r.Job.Metrics = nil // targets 3, 0 (one padding ends a row), 5 and 7
	if e := measure(); e.Perplexity != nil || math.Abs(e.Loss-15.0/4) > 1e-6 || e.Metrics() != "" {
		t.Errorf("the mean over tokens is %v, want 3.75", e.Loss)
	}
	r.Job.MaxRows = 1
	if _, err := r.Evaluate(loss); exit.Code(err) != exit.Input {
		t.Errorf("rows that do not fit: %v", err)
	}
	e.Perplexity = new(float64)
	*e.Perplexity = 2
	if got := e.Metrics(); got != "{'PerplexityMetric': {'loss': 2.0, 'PPL': 7.38905609893065}}" {
		t.Error(got)
	}
}

// What padding inside a text predicts counts, and is computed apart: after all tokens
// before it that are no padding, and without itself. MindFormers 1.3.2 masks by target.
func TestPerplexityOfPadding(t *testing.T) {
	pad := int32(0)
	rows := asTargets(dataset.Row{Tokens: []int32{1, 3, 0, 4, 0, 0, 5, 6}, Labels: []int32{-100, 3, 0, 4, -100, 0, 5, 6}, Hidden: &pad}, pad)
	p := microbatch.NewPacker(64)
	for _, row := range rows {
		p.Add(row, 1, 0)
	}
	b := p.Done()[0]
	want := "tokens [1 3 4 5 1 3 0 1 3 4 0] at [0 1 3 6 0 1 2 0 1 3 5] from [0 -5 -8], rows [0 3 6 10] predict [3 6 4 5]"
	if got := fmt.Sprintf("tokens %v at %v from %v, rows %v predict %v", b.Tokens, b.Pos, b.Starts, b.Rows, b.Targets); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// The prompt ends where supervision begins; eos and padding are no answer.
func TestQuestions(t *testing.T) {
	r := &Evaluator{Job: &job.Job{PadID: 0, EosIDs: []int{2}}}
	r.Set = rowsOf(t, `{"input_ids": [1, 3, 4, 5, 6, 2], "labels": [-100, -100, -100, 5, 6, 2]}`+"\n")
	if got := fmt.Sprint(r.Questions()); got != "[{[1 3 4] [5 6]}]" {
		t.Error(got)
	}
}

// Metrics that cannot be measured are wrong input.
func TestCheckMetrics(t *testing.T) {
	if err := CheckMetrics([]string{"PerplexityMetric", "EmF1Metric"}); err != nil {
		t.Error(err)
	}
	if err := CheckMetrics([]string{"EmF1Metric", "PromptAccMetric"}); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "`PromptAccMetric` is not supported") {
		t.Errorf("%v", err)
	}
}

// What an evaluation will compute: batch by batch where PerplexityMetric is
// asked for, else all rows at once, and nothing where only texts are scored.
func TestDemand(t *testing.T) {
	e := &Evaluator{Job: &job.Job{BatchSize: 2, MaxRows: 64}, Set: rowsOf(t, `{"input_ids": [1, 3, 4, 5]}
{"input_ids": [1, 2, 5]}
{"input_ids": [1, 7]}
`)}
	for metrics, want := range map[string]string{"": "[6] 252", "PerplexityMetric": "[5 1] 196", "EmF1Metric": "[] 0", "EmF1Metric PerplexityMetric": "[5 1] 196"} {
		e.Job.Metrics = strings.Fields(metrics)
		rows := []int{}
		bytes := e.Demand(func(list []*microbatch.MicroBatch) {
			for _, b := range list {
				rows = append(rows, len(b.Tokens))
			}
		})
		if got := fmt.Sprint(rows, bytes); got != want {
			t.Errorf("%q: %s, want %s", metrics, got, want)
		}
	}
}
