package infer

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/data/dataset"
	"lorac/runtime/data/mindrecord"
	"lorac/runtime/exit"
	"lorac/runtime/job"
)

// recorded opens rows of a MindRecord file, ids and labels padded with 0.
func recorded(t *testing.T, rows ...[2][]int32) *dataset.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.mindrecord")
	w, err := mindrecord.Create(path, map[string]mindrecord.Field{"input_ids": {Shape: []int{-1}, Type: "int32"}, "labels": {Shape: []int{-1}, Type: "int32"}}, mindrecord.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Write(mindrecord.Row{"input_ids": r[0], "labels": r[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(w.Saved()); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.Options{SeqLength: 16, Vocab: 10, PadID: 0, IgnoreID: -100, BOS: -1, EOS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Labels of MindRecord files are answers unless they are labels of the inputs:
// the same ids, or some of them ignored.
func TestRecordedQuestions(t *testing.T) {
	e := &Evaluator{Job: &job.Job{PadID: 0, IgnoreID: -100, Vocab: 10, EosIDs: []int{2}}}
	for _, c := range []struct {
		ids, labels []int32
		want        string
	}{
		{[]int32{1, 4, 5, 0, 0}, []int32{6, 7, 0, 0, 0}, "[{[1 4 5] [6 7]}]"},
		{[]int32{1, 4, 5, 6, 2}, []int32{-100, -100, 5, 6, 2}, "[{[1 4] [5 6]}]"},
		{[]int32{1, 4, 5}, []int32{1, 4, 5}, "[{[1] [4 5]}]"},
	} {
		e.Set = recorded(t, [2][]int32{c.ids, c.labels})
		if got := fmt.Sprint(e.Questions()); got != c.want {
			t.Errorf("%v, %v: %s, want %s", c.ids, c.labels, got, c.want)
		}
	}
}

// The texts that continue the prompts are scored against the answers; prompts
// without room for an answer are left out, and said.
func TestEmF1OfTexts(t *testing.T) {
	var said []string
	e := &Evaluator{Gen: writer(t), Say: func(f string, args ...any) { said = append(said, fmt.Sprintf(f, args...)) }}
	e.Job = e.Gen.Job
	e.Job.Metrics, e.Job.SeqLength, e.Job.MaxRows = []string{"EmF1Metric"}, 6, 64
	var rows strings.Builder
	rows.WriteString(`{"input_ids": [1, 4, 4, 4, 4, 4, 5], "labels": [-100, -100, -100, -100, -100, -100, 5]}` + "\n") // six ids are a prompt
	for range 5 {
		rows.WriteString(`{"input_ids": [1, 4, 5, 6, 2], "labels": [-100, -100, 5, 6, 2]}` + "\n") // bé, as it is generated
		rows.WriteString(`{"input_ids": [1, 5, 5, 2], "labels": [-100, -100, 5, 2]}` + "\n")       // b, where é is
	}
	e.Set = rowsOf(t, rows.String())
	r, err := e.Evaluate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.HasLoss || r.Text() != "F1 50.00, Em 50.00 over 10 answers" || r.Metrics() != "{'EmF1Metric': {'F1': 50.0, 'Em': 50.0}}" {
		t.Errorf("%+v: %q, %q", r, r.Text(), r.Metrics())
	}
	if want := "question 1 is left out: its prompt has 6 ids, seq_length is 6\nF1 score: 50.0, Em score: 50.0, current_count: 10"; strings.Join(said, "\n") != want {
		t.Errorf("said\n%s", strings.Join(said, "\n"))
	}
	e.Gen.NoCache, e.Job.MaxRows = true, 2
	if _, err := e.Evaluate(nil); exit.Code(err) != exit.Input {
		t.Errorf("texts that do not fit: %v", err)
	}
	e.Gen.Tok = nil
	if _, err := e.Evaluate(nil); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "needs a tokenizer") {
		t.Errorf("without a tokenizer: %v", err)
	}
}
