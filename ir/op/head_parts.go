package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// The head where ranks divide the vocabulary (Shoeybi et al. 2019, section 3):
// each makes the logits of its own entries, in blocks, twice; two numbers a row
// are summed between.
func init() {
	ir.Register(&ir.Op{
		Name: "head_stats", NoAscend: oneCard, Doc: "lse = logsumexp of the logits x·wᵀ of each row, and the logit of its target, 0 where w does not have it",
		Args: []string{"x", "w", "targets"}, Exact: []int{0, 1}, Kernel: "HeadStats",
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			_, wc, err := matrix(s, 1)
			if err = all(err, want(s, 2, i32(rows)), equalDims(s, wc, cols)); err != nil {
				return nil, err
			}
			return []ir.Type{f32(rows), f32(rows)}, nil
		},
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			out, err := letters("t.,v.,t->t,t")(p)
			if err == nil && p.In[1] == ir.CutOn(0) {
				out[0] = ir.IsLSE
			}
			return out, err
		},
		Eval: func(c *ir.EvalCtx) {
			logits := logitsOf(c)
			first := c.First(1, 0)
			for i := 0; i < logits.Rows(); i++ {
				row := logits.Row(i)
				c.Out[0].F[i] = logSumExp(row)
				if t := int(c.In[2].I[i]) - first; 0 <= t && t < len(row) {
					c.Out[1].F[i] = row[t]
				}
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			return []ir.Work{{Group: "head", FLOPs: 2 * float64(s.Args[0].Type().Elems(env)) * float64(s.Args[1].Type().Shape[0].N)}}
		},
	})
	ir.Register(&ir.Op{
		Name: "row_loss", NoAscend: oneCard, Doc: "Σ weights·(lse − target)", Named: true, Args: []string{"lse", "target", "weights"},
		Place: letters("t,t,t->"), Kernel: "RowLoss",
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, err := shape(s, 0, 1)
			if err != nil {
				return nil, err
			}
			return []ir.Type{ir.Scalar(ir.F32)}, all(want(s, 0, f32(rows[0])), same(s, 1, 0), want(s, 2, f32(rows[0])))
		},
		Eval: func(c *ir.EvalCtx) {
			for i, w := range c.In[2].F {
				if w != 0 { // the target may be any number
					c.Out[0].F[0] += w * (c.In[0].F[i] - c.In[1].F[i])
				}
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "head_grad", NoAscend: oneCard, Doc: "the gradient of row_loss in x unless dx is false, weights·(exp(l − lse) − onehot(target))·w with logits l = x·wᵀ made in blocks; that in w is added to grad when given",
		Args: []string{"x", "w", "targets", "weights", "lse", "grad"}, Optional: 1, Kernel: "HeadGrad",
		Attrs: []ir.AttrSpec{{Name: "dx", Kind: ir.BoolAttr}},
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if len(p.S.Results) == 0 {
				return letters("t.,v.,t,t,t,v.->+v.")(p)
			}
			return letters("t.,v.,t,t,t,v.->t.+v.")(p)
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			_, wc, err := matrix(s, 1)
			if err = all(err, want(s, 2, i32(rows)), want(s, 3, f32(rows)), want(s, 4, f32(rows)), equalDims(s, wc, cols)); err != nil {
				return nil, err
			}
			if len(s.Args) > 5 {
				if err := want(s, 5, f32(s.Args[1].Type().Shape...)); err != nil {
					return nil, err
				}
			}
			if dx, ok := s.Attrs["dx"].(bool); ok && !dx {
				return nil, nil
			}
			return []ir.Type{f32(rows, cols)}, nil
		},
		WritesOf: func(s *ir.Stmt) []int {
			if len(s.Args) > 5 {
				return []int{5}
			}
			return nil
		},
		Eval: func(c *ir.EvalCtx) {
			d := logitsOf(c)
			first := c.First(1, 0)
			for i, w := range c.In[3].F {
				row := d.Row(i)
				for j, x := range row {
					if row[j] = 0; w != 0 {
						row[j] = w * math.Exp(x-c.In[4].F[i])
					}
				}
				if t := int(c.In[2].I[i]) - first; w != 0 && 0 <= t && t < len(row) {
					row[t] -= w
				}
			}
			if len(c.Out) > 0 {
				mulNN(c.Out[0], d, c.In[1])
			}
			if len(c.In) > 5 {
				mulTN(c.In[5], d, c.In[0])
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			n := 2 * float64(s.Args[0].Type().Elems(env)) * float64(s.Args[1].Type().Shape[0].N)
			work := []ir.Work{{Group: "head", FLOPs: n}}
			if dx, ok := s.Attrs["dx"].(bool); dx || !ok {
				work = append(work, ir.Work{Group: "head.dx", FLOPs: n})
			}
			if len(s.Args) > 5 {
				work = append(work, ir.Work{Group: "head.dw", FLOPs: n})
			}
			return work
		},
	})
	ir.Register(&ir.Op{
		Name: "sum_squares", NoAscend: oneCard, Doc: "Σ g² over all given gradients, all of which are cut or shared, or none", Kernel: "SumSquares", Shares: true, Args: []string{"grad"}, Variadic: true,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return ir.Lookup("norm").Infer(s) },
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			for i, place := range p.In {
				switch {
				case place.How.Partial():
					return nil, fmt.Errorf("%s is partial: nothing summed it before `sum_squares`", p.S.Args[i])
				case place.How != p.In[0].How:
					return nil, fmt.Errorf("%s is %s, %s is %s", p.S.Args[0], p.In[0], p.S.Args[i], place)
				}
			}
			if len(p.In) > 0 && p.In[0] != ir.IsWhole {
				return []ir.Placement{ir.IsSum}, nil
			}
			return []ir.Placement{ir.IsWhole}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for _, g := range c.In {
				c.Out[0].F[0] += dot(g.F, g.F)
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "root", NoAscend: oneCard, Doc: "√Σ of numbers", Kernel: "Root", Args: []string{"x"}, Variadic: true, Place: undivided("it takes numbers"),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			for i := range s.Args {
				if err := want(s, i, ir.Scalar(ir.F32)); err != nil {
					return nil, err
				}
			}
			return []ir.Type{ir.Scalar(ir.F32)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			sum := 0.0
			for _, x := range c.In {
				sum += x.F[0]
			}
			c.Out[0].F[0] = math.Sqrt(sum)
		},
	})
}

// logitsOf is x·wᵀ of operands 0 and 1.
func logitsOf(c *ir.EvalCtx) *ir.Array {
	x, w := c.In[0], c.In[1]
	logits := &ir.Array{Shape: []int{x.Rows(), w.Rows()}, F: make([]float64, x.Rows()*w.Rows())}
	mulNT(logits, x, w)
	return logits
}

func logSumExp(row []float64) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, x := range row {
		top = max(top, x)
	}
	for _, x := range row {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}
