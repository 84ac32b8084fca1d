package rt

import "math"

// Evaluate reports loss and perplexity over the evaluation set, every
// supervised token alike.
func (r *Run) Evaluate(loss func(*Pass) float64) { r.report(r.evaluate(loss)) }

func (r *Run) evaluate(loss func(*Pass) float64) float64 {
	p := newPacker(r.job.MaxRows)
	n := 0
	for i := range r.eval.Len() {
		row := r.eval.Row(i)
		n += supervised(row)
		p.add(row, 1, 0)
	}
	sum := 0.0
	for _, pass := range p.done() {
		sum += loss(pass)
	}
	return sum / float64(n)
}

func (r *Run) report(loss float64) {
	r.say("evaluation: loss %.6f, perplexity %.4f", loss, math.Exp(loss))
}
