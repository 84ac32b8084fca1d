package infer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
	"lorac/runtime/python"
)

// Loss computes the sum of the losses of a micro-batch's supervised rows, each
// times its weight.
type Loss func(*microbatch.MicroBatch) float64

// metrics are those of MindFormers that evaluation knows.
var metrics = []string{"PerplexityMetric", "EmF1Metric"}

// CheckMetrics refuses a metric that cannot be measured.
func CheckMetrics(names []string) error {
	for _, name := range names {
		if !slices.Contains(metrics, name) {
			return exit.Inputf("the metric `%s` is not supported\n  = help: take PerplexityMetric or EmF1Metric in the config, or leave metric out", name)
		}
	}
	return nil
}

// Evaluator measures a model over an evaluation set.
type Evaluator struct {
	Job *job.Job
	Set *dataset.Set
	Gen *Generator // of the texts that EmF1Metric scores
	Say func(format string, args ...any)

	Stop   func() bool // whether the run is to end; nil: never
	Spread Spread      // over the processes of the run; nil: this one does all
}

// ErrStopped is the error of an evaluation that was cut off because the run is to end.
var ErrStopped = errors.New("the evaluation was cut off")

// Evaluation is the outcome of one evaluation: the loss, the mean over all
// supervised tokens, and the metrics of the config as MindFormers defines them.
type Evaluation struct {
	Loss       float64
	HasLoss    bool
	Perplexity *float64 // PerplexityMetric: the mean of the batches' losses
	EmF1       *EmF1
	Took       time.Duration
}

// Evaluate measures what the job asks for.
func (e *Evaluator) Evaluate(loss Loss) (*Evaluation, error) {
	begun := time.Now()
	r := &Evaluation{}
	wants := func(name string) bool { return slices.Contains(e.Job.Metrics, name) }
	var err error
	if wants("EmF1Metric") {
		if r.EmF1, err = e.emF1(); err != nil {
			return nil, err
		}
	}
	switch {
	case wants("PerplexityMetric"):
		r.HasLoss = true
		r.Loss, r.Perplexity, err = e.batchLosses(loss)
	case r.EmF1 == nil:
		r.HasLoss = true
		r.Loss, err = e.tokenLoss(loss)
	}
	r.Took = time.Since(begun)
	return r, err
}

// sum is the loss of micro-batches.
func (e *Evaluator) sum(loss Loss, list []*microbatch.MicroBatch) (float64, error) {
	if err := microbatch.CheckFits(list, e.Job.MaxRows); err != nil {
		return 0, err
	}
	sum := 0.0
	err := e.Spread.each(len(list), func(i int) ([]byte, error) {
		if e.Stop != nil && e.Stop() {
			return nil, ErrStopped
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(loss(list[i]))), nil
	}, func(_ int, x []byte) { sum += math.Float64frombits(binary.LittleEndian.Uint64(x)) })
	return sum, err
}

// tokenLoss is the mean over all supervised tokens.
func (e *Evaluator) tokenLoss(loss Loss) (float64, error) {
	p := microbatch.NewPacker(e.Job.MaxRows)
	n := 0
	for i := range e.Set.Len() {
		row := e.Set.Row(i)
		n += microbatch.Supervised(row)
		p.Add(row, 1, 0)
	}
	sum, err := e.sum(loss, p.Done())
	return sum / float64(n), err
}

// batchLosses measures as PerplexityMetric does (MindFormers r1.3
// core/metric/metric.py): the targets are the tokens, a target counts that is
// neither padding nor ignored by its label, each batch has a mean of its own,
// and the batches are averaged. The first result is the mean over all of these
// tokens.
func (e *Evaluator) batchLosses(loss Loss) (perToken float64, perBatch *float64, err error) {
	size, rows := e.Job.BatchSize, e.Set.Len()
	if e.Job.EvalData.DropRemainder && rows >= size {
		rows -= rows % size
	}
	total, n, batches := 0.0, 0, 0
	mean := 0.0
	for from := 0; from < rows; from += size {
		p := microbatch.NewPacker(e.Job.MaxRows)
		count := 0
		for i := from; i < min(from+size, rows); i++ {
			for _, row := range asTargets(e.Set.Row(i), int32(e.Job.PadID)) {
				count += microbatch.Supervised(row)
				p.Add(row, 1, 0)
			}
		}
		sum, err := e.sum(loss, p.Done())
		if err != nil {
			return 0, nil, err
		}
		mean += sum / (float64(count) + 1e-8)
		total, n, batches = total+sum, n+count, batches+1
	}
	mean /= float64(max(batches, 1))
	return total / float64(max(n, 1)), &mean, nil
}

// asTargets makes the tokens the labels, where both token and label count. What a hidden
// token predicts is computed in a row of its own, of what that token sees: all before it
// but hidden ones, and not itself.
func asTargets(row dataset.Row, pad int32) []dataset.Row {
	labels := slices.Clone(row.Labels)
	for t, l := range labels {
		if l != dataset.Ignore {
			if labels[t] = row.Tokens[t]; row.Tokens[t] == pad {
				labels[t] = dataset.Ignore
			}
		}
	}
	rows := []dataset.Row{{Tokens: row.Tokens, Labels: labels, Hidden: row.Hidden}}
	for t := range len(labels) - 1 {
		if row.Hidden == nil || row.Tokens[t] != *row.Hidden || labels[t+1] == dataset.Ignore {
			continue
		}
		own := slices.Repeat([]int32{dataset.Ignore}, t+2)
		own[t+1], labels[t+1] = labels[t+1], dataset.Ignore
		rows = append(rows, dataset.Row{Tokens: row.Tokens[:t+2], Labels: own, Hidden: row.Hidden, Blind: true})
	}
	return rows
}

// Demand is the micro-batches of an evaluation's losses, shown one list after
// the other, and how many bytes a list takes at most; nothing where texts are
// all that is measured.
func (e *Evaluator) Demand(show func([]*microbatch.MicroBatch)) (bytes int) {
	size := e.Set.Len()
	targets := slices.Contains(e.Job.Metrics, "PerplexityMetric")
	switch {
	case targets:
		size = e.Job.BatchSize
	case slices.Contains(e.Job.Metrics, "EmF1Metric"):
		return 0
	}
	for from := 0; from < e.Set.Len(); from += size {
		p, tokens := microbatch.NewPacker(e.Job.MaxRows), 0
		for i := from; i < min(from+size, e.Set.Len()); i++ {
			rows := []dataset.Row{e.Set.Row(i)}
			if targets {
				rows = asTargets(rows[0], int32(e.Job.PadID))
			}
			for _, row := range rows {
				p.Add(row, 1, 0)
				tokens += len(row.Tokens)
			}
		}
		show(p.Done())
		bytes = max(bytes, 28*tokens)
	}
	return bytes
}

// Text is the outcome in a few words.
func (r *Evaluation) Text() string {
	var parts []string
	if r.HasLoss {
		parts = append(parts, fmt.Sprintf("loss %.6f, perplexity %.4f", r.Loss, math.Exp(r.Loss)))
	}
	if r.EmF1 != nil {
		f1, em := r.EmF1.Scores()
		parts = append(parts, fmt.Sprintf("F1 %.2f, Em %.2f over %.0f answers", f1, em, r.EmF1.n))
	}
	return strings.Join(parts, ", ")
}

// Metrics is the outcome as MindFormers prints it: a Python dictionary of the
// metrics by name; "" when none was asked for.
func (r *Evaluation) Metrics() string {
	var parts []string
	if r.Perplexity != nil {
		parts = append(parts, fmt.Sprintf("'PerplexityMetric': {'loss': %s, 'PPL': %s}", pyFloat(*r.Perplexity), pyFloat(math.Exp(*r.Perplexity))))
	}
	if r.EmF1 != nil {
		f1, em := r.EmF1.Scores()
		parts = append(parts, fmt.Sprintf("'EmF1Metric': {'F1': %s, 'Em': %s}", pyFloat(f1), pyFloat(em)))
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// pyFloat writes a number as Python does.
func pyFloat(x float64) string { return python.Float(x, 64) }
