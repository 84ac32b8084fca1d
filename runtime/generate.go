package rt

import (
	"slices"

	"lorac/kernels"
)

// Generator gives the functions that texts are generated with: logits computes
// whole sequences; next goes on with one, whose keys and values lie in the
// caches. next may be nil.
func (r *Run) Generator(logits, next func(*Pass) Mat) { r.logits, r.next = logits, next }

// Cache is the keys or the values of a layer, for as many rows as a text may
// have. Its memory comes from the system page by page as a text grows, and
// only where texts are generated.
func (r *Run) Cache(rows, cols int) Mat {
	if !r.generates() {
		return Mat{Cols: cols, Stride: cols}
	}
	return kernels.MatOf(r.slab(rows*cols), rows, cols)
}

// texts returns a function that gives the logits behind a text. It must be
// called with one text that grows: of what it has seen it computes nothing
// again, unless --use_past False says so.
func (r *Run) texts() func(ids []int32) []float32 {
	seen := 0
	return func(ids []int32) []float32 {
		if r.next == nil || r.opts.NoPast {
			p := lastRow(ids, 0)
			if r.opts.NoPast {
				r.fitting([]*Pass{p})
			}
			return r.logits(p).Row(0)
		}
		for n := r.job.MaxRows; len(ids)-seen > n; seen += n { // the arena may be made for rows shorter than a prompt
			r.next(lastRow(ids[:seen+n], seen))
		}
		p := lastRow(ids, seen)
		seen = len(ids)
		return r.next(p).Row(0)
	}
}

// lastRow asks for the logits of the last token; the tokens before from are
// known already.
func lastRow(ids []int32, from int) *Pass {
	p := &Pass{Tokens: ids[from:], Starts: []int32{0}, Rows: []int32{int32(len(ids) - from - 1)}}
	for i := from; i < len(ids); i++ {
		p.Pos = append(p.Pos, int32(i))
	}
	return p
}

// generates reports whether this run makes texts: to predict, or for a metric.
func (r *Run) generates() bool {
	return r.mode == Generate || slices.Contains(r.job.Metrics, "EmF1Metric") && (r.mode == Eval || r.eval != nil)
}
