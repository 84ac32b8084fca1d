package op

import (
	"math"
	"slices"

	"lorac/ir"
)

// The loss of a pass is Σ weights[i]·nll[i] over the supervised rows; the
// weights carry the denominator, so how losses are averaged is the trainer's
// business. The gradient is taken with respect to the loss itself.

func init() {
	ir.Register(&ir.Op{
		Name: "cross_entropy", NoAscend: "logits of a step exist in blocks only: leave pass fuse-head on", Doc: "Σ weights·(logsumexp(logits) − logits[target])", Args: []string{"logits", "targets", "weights"},
		Kernel: "CrossEntropy", Place: letters("t.,t,t->"),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			if err := checkLoss(s, 0, 1); err != nil {
				return nil, err
			}
			return []ir.Type{ir.Scalar(ir.F32)}, nil
		},
		Eval: func(c *ir.EvalCtx) { c.Out[0].F[0] = evalLoss(c.In[0], nil, c.In[1].I, c.In[2].F) },
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.Emit1("cross_entropy_grad", g.Name(0), nil, g.Arg(0), g.Arg(1), g.Arg(2)))
		},
	})
	ir.Register(&ir.Op{
		Name: "cross_entropy_grad", NoAscend: "logits of a step exist in blocks only: leave pass fuse-head on", Doc: "weights·(softmax(logits) − onehot(target))", Args: []string{"logits", "targets", "weights"},
		Kernel: "CrossEntropyGrad", Place: letters("t.,t,t->t."), InPlace: [][2]int{{0, 0}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			if err := checkLoss(s, 0, 1); err != nil {
				return nil, err
			}
			return []ir.Type{f32(s.Args[0].Type().Shape...)}, nil
		},
		Eval: func(c *ir.EvalCtx) { evalLoss(c.In[0], c.Out[0], c.In[1].I, c.In[2].F) },
	})
	ir.Register(&ir.Op{
		Name: "head_loss", Ascend: "head_loss row_sum", Doc: "cross_entropy(x·wᵀ), with its gradient in x when dx, added to grad for w when given; logits exist in chunks only",
		Args: []string{"x", "w", "targets", "weights", "grad"}, Optional: 1, Place: letters("t.,..,t,t,..->,t.+.."),
		Formula: func(s *ir.Stmt) string {
			text := "Σ weights·(logsumexp(l) − l[target]) over the rows, with logits l = x·wᵀ made in blocks of the vocabulary"
			if s.Attrs.Bool("dx") {
				text += "; the gradient in x is weights·(softmax(l) − onehot(target))·w"
			}
			if len(s.Args) > 4 {
				text += ", that in w is added to grad"
			}
			return text
		},
		KernelOf: func(s *ir.Stmt) string {
			if len(s.Args) > 4 {
				return "HeadLossGradW"
			}
			return "HeadLoss"
		},
		Attrs: []ir.AttrSpec{{Name: "dx", Kind: ir.BoolAttr}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			_, wc, err := matrix(s, 1)
			if err = all(err, want(s, 2, i32(rows)), want(s, 3, f32(rows)), equalDims(s, wc, cols)); err != nil {
				return nil, err
			}
			if len(s.Args) > 4 {
				if err := want(s, 4, f32(s.Args[1].Type().Shape...)); err != nil {
					return nil, err
				}
			}
			out := []ir.Type{ir.Scalar(ir.F32)}
			if s.Attrs.Bool("dx") {
				out = append(out, f32(rows, cols))
			}
			return out, nil
		},
		NoAscendOf: func(s *ir.Stmt) string {
			if len(s.Args) > 4 {
				return wholeMatrix
			}
			return ""
		},
		WritesOf: func(s *ir.Stmt) []int {
			if len(s.Args) > 4 {
				return []int{4}
			}
			return nil
		},
		Eval: func(c *ir.EvalCtx) {
			x, w := c.In[0], c.In[1]
			logits := &ir.Array{Shape: []int{x.Rows(), w.Rows()}, F: make([]float64, x.Rows()*w.Rows())}
			d := &ir.Array{Shape: logits.Shape, F: make([]float64, len(logits.F))}
			mulNT(logits, x, w)
			c.Out[0].F[0] = evalLoss(logits, d, c.In[2].I, c.In[3].F)
			if c.Low != 0 {
				roundProbabilities(c.Low, d, logits, c.In[2].I, c.In[3].F)
			}
			if len(c.Out) > 1 {
				mulNN(c.Out[1], d, w)
			}
			if len(c.In) > 4 {
				mulTN(c.In[4], d, x)
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			n := 2 * float64(s.Args[0].Type().Elems(env)) * float64(s.Args[1].Type().Shape[0].N)
			work := []ir.Work{{Group: "head", FLOPs: n}}
			if s.Attrs.Bool("dx") {
				work = append(work, ir.Work{Group: "head.dx", FLOPs: n})
			}
			if len(s.Args) > 4 {
				work = append(work, ir.Work{Group: "head.dw", FLOPs: n})
			}
			return work
		},
	})
}

// roundProbabilities makes the gradient in the logits as a device multiplies it:
// exp(logit − top) in its 16 bits, times 2^10 so that f16 keeps small ones, divided
// by their sum afterwards. The target's share is what the others leave, in f32.
func roundProbabilities(low ir.DType, d, logits *ir.Array, targets []int64, weights []float64) {
	for i, t := range targets {
		if weights[i] == 0 {
			continue
		}
		row, top := logits.Row(i), slices.Max(logits.Row(i))
		others := 0.0
		for j, z := range row {
			if j != int(t) {
				others += math.Exp(z - top)
			}
		}
		sum := others + math.Exp(row[t]-top)
		for j, z := range row {
			d.Row(i)[j] = weights[i] * low.Nearest(1024*math.Exp(z-top)) / 1024 / sum
		}
		d.Row(i)[t] = -weights[i] * others / sum
	}
}

func checkLoss(s *ir.Stmt, logits, targets int) error {
	rows, _, err := matrix(s, logits)
	return all(err, want(s, targets, i32(rows)), want(s, targets+1, f32(rows)))
}

// evalLoss returns the weighted loss and fills d, when given, with its gradient.
func evalLoss(logits, d *ir.Array, targets []int64, weights []float64) float64 {
	loss := 0.0
	for i, t := range targets {
		if weights[i] == 0 { // the target may be any number
			continue
		}
		row := logits.Row(i)
		top := math.Inf(-1)
		for _, x := range row {
			top = max(top, x)
		}
		sum := 0.0
		for _, x := range row {
			sum += math.Exp(x - top)
		}
		lse := top + math.Log(sum)
		loss += weights[i] * (lse - row[t])
		if d != nil {
			for j, x := range row {
				d.Row(i)[j] = weights[i] * math.Exp(x-lse)
			}
			d.Row(i)[t] -= weights[i]
		}
	}
	return loss
}
