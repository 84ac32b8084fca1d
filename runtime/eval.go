package rt

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lorac/runtime/data/dataset"
)

// measurable are the metrics of MindFormers that evaluation knows.
var measurable = []string{"PerplexityMetric", "EmF1Metric"}

// checkMetrics refuses a metric that cannot be measured where one is asked for.
func (r *Run) checkMetrics() {
	for _, name := range r.job.Metrics {
		if !slices.Contains(measurable, name) {
			r.fail(1, "the metric `%s` is not supported\n  = help: take PerplexityMetric or EmF1Metric in the config, or leave metric out", name)
		}
	}
}

// Evaluate reports what is measured over the evaluation set.
func (r *Run) Evaluate(loss func(*Pass) float64) { r.report(r.evaluate(loss)) }

// evaluation is the outcome of one evaluation: the loss with every supervised
// token alike, and the metrics of the config as MindFormers defines them.
type evaluation struct {
	loss       float64
	hasLoss    bool
	perplexity *float64 // PerplexityMetric: the mean of the batches' losses
	emF1       *emF1
	took       time.Duration
}

func (r *Run) evaluate(loss func(*Pass) float64) evaluation {
	begun := time.Now()
	e := evaluation{}
	wants := func(name string) bool { return slices.Contains(r.job.Metrics, name) }
	if wants("EmF1Metric") {
		e.emF1 = r.measureEmF1()
	}
	switch {
	case wants("PerplexityMetric"):
		e.loss, e.perplexity, e.hasLoss = r.batchLosses(loss)
	case e.emF1 == nil:
		e.loss, e.hasLoss = r.tokenLoss(loss), true
	}
	e.took = time.Since(begun)
	return e
}

// tokenLoss is the mean over all supervised tokens.
func (r *Run) tokenLoss(loss func(*Pass) float64) float64 {
	p := newPacker(r.job.MaxRows)
	n := 0
	for i := range r.eval.Len() {
		row := r.eval.Row(i)
		n += supervised(row)
		p.add(row, 1, 0)
	}
	sum := 0.0
	for _, pass := range r.fitting(p.done()) {
		sum += loss(pass)
	}
	return sum / float64(n)
}

// batchLosses measures as PerplexityMetric does (MindFormers r1.3
// core/metric/metric.py): the targets are the tokens, a target counts that is
// neither padding nor ignored by its label, each batch has a mean of its own,
// and the batches are averaged. The first result is the mean over all of these
// tokens.
func (r *Run) batchLosses(loss func(*Pass) float64) (perToken float64, perBatch *float64, ok bool) {
	size, rows := r.job.BatchSize, r.eval.Len()
	if r.job.EvalData.DropRemainder && rows >= size {
		rows -= rows % size
	}
	total, n, batches := 0.0, 0, 0
	mean := 0.0
	for from := 0; from < rows; from += size {
		p := newPacker(r.job.MaxRows)
		count := 0
		for i := from; i < min(from+size, rows); i++ {
			row := asTargets(r.eval.Row(i), int32(r.job.PadID))
			count += supervised(row)
			p.add(row, 1, 0)
		}
		sum := 0.0
		for _, pass := range r.fitting(p.done()) {
			sum += loss(pass)
		}
		mean += sum / (float64(count) + 1e-8)
		total, n, batches = total+sum, n+count, batches+1
	}
	mean /= float64(max(batches, 1))
	return total / float64(max(n, 1)), &mean, true
}

// asTargets makes the tokens the labels, where both token and label count.
func asTargets(row dataset.Row, pad int32) dataset.Row {
	labels := slices.Clone(row.Labels)
	for t, l := range labels {
		if l != dataset.Ignore {
			if labels[t] = row.Tokens[t]; row.Tokens[t] == pad {
				labels[t] = dataset.Ignore
			}
		}
	}
	return dataset.Row{Tokens: row.Tokens, Labels: labels}
}

// text is the outcome in a few words.
func (e evaluation) text() string {
	var parts []string
	if e.hasLoss {
		parts = append(parts, fmt.Sprintf("loss %.6f, perplexity %.4f", e.loss, math.Exp(e.loss)))
	}
	if e.emF1 != nil {
		f1, em := e.emF1.scores()
		parts = append(parts, fmt.Sprintf("F1 %.2f, Em %.2f over %.0f answers", f1, em, e.emF1.n))
	}
	return strings.Join(parts, ", ")
}

// metrics is the outcome as MindFormers prints it: a Python dictionary of the
// metrics by name; "" when none was asked for.
func (e evaluation) metrics() string {
	var parts []string
	if e.perplexity != nil {
		parts = append(parts, fmt.Sprintf("'PerplexityMetric': {'loss': %s, 'PPL': %s}", pyFloat(*e.perplexity), pyFloat(math.Exp(*e.perplexity))))
	}
	if e.emF1 != nil {
		f1, em := e.emF1.scores()
		parts = append(parts, fmt.Sprintf("'EmF1Metric': {'F1': %s, 'Em': %s}", pyFloat(f1), pyFloat(em)))
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (r *Run) report(e evaluation) {
	r.say("evaluation: %s", e.text())
	m := e.metrics()
	switch {
	case m == "":
	case r.log != nil && r.mode == Train:
		r.log.line(1022, fmt.Sprintf("Eval result: %s, eval time is %f s.", m, e.took.Seconds()))
	case strings.Contains(m, "PerplexityMetric"):
		r.say("PerplexityMetric = %s", m)
	default:
		r.say("EmF1Metric = %s", m)
	}
}

// evalDue reports whether the step that ended calls for an evaluation
// (MindFormers r1.3 core/callback/callback.py, EvalCallBack). In sink mode
// callbacks see the ends of rounds only, and a round is an epoch to them.
func (r *Run) evalDue() bool {
	if !r.job.DoEval || r.eval == nil {
		return false
	}
	epoch := r.epochSteps
	if r.sink > 0 {
		if r.step%r.sink != 0 {
			return false
		}
		epoch = r.sink
	}
	steps, epochs := r.job.EvalSteps, r.job.EvalEpochs
	return steps > 0 && r.step%steps == 0 || epochs > 0 && r.step%epoch == 0 && r.step/epoch%epochs == 0
}
