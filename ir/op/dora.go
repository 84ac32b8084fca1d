package op

import (
	"math"

	"lorac/ir"
)

// DoRA (Liu et al. 2024): rows of an adapted matrix have the lengths m, which train,
// and the directions of W + by·B·A. Their norms n are constants to the gradient, as in
// PEFT.
//
//	y = (x·Wᵀ + by·x·Aᵀ·Bᵀ) ∘ m/n,  n = norms of the rows of W + by·B·A

func init() {
	ir.Register(&ir.Op{
		Name: "row_norms", NoAscend: ofDoRA, Doc: "‖·‖ of each row of w + by·b·a; no gradient passes", Named: true,
		Args: []string{"w", "a", "b"}, Attrs: []ir.AttrSpec{{Name: "by", Kind: ir.FloatAttr, Required: true}},
		Kernel: "RowNorms", Place: undivided(wholeRows), Exact: []int{0},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			out, in, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			rank, ac, err := matrix(s, 1)
			if err = all(err, equalDims(s, ac, in), want(s, 2, ir.Tensor(s.Args[2].Type().DType, out, rank))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(out)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			w, a, b := c.In[0], c.In[1], c.In[2]
			row := make([]float64, w.Cols())
			for i := range w.Rows() {
				copy(row, w.Row(i))
				for k, x := range b.Row(i) {
					axpy(row, c.S.Attrs.Float("by")*x, a.Row(k))
				}
				c.Out[0].F[i] = math.Sqrt(dot(row, row))
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			return []ir.Work{{Group: "lora", FLOPs: 2 * float64(s.Args[0].Type().Elems(env)) * float64(env.Size(s.Args[1].Type().Shape[0]))}}
		},
	})
	ir.Register(&ir.Op{
		Name: "scale_cols", NoAscend: ofDoRA, Doc: "x with its columns multiplied by m/n; where n is 0, by 0", Named: true, Args: []string{"x", "m", "n"},
		Kernel: "ScaleCols", Place: letters("tc,c,c->tc", []int{0}), Rowwise: []int{0}, Cheap: true, InPlace: [][2]int{{0, 0}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, want(s, 1, f32(cols)), want(s, 2, f32(cols))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(rows, cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			x, m, n := c.In[0], c.In[1].F, c.In[2].F
			for i := range x.Rows() {
				for j, v := range x.Row(i) {
					if n[j] != 0 {
						c.Out[0].Row(i)[j] = v * (m[j] / n[j])
					}
				}
			}
		},
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.Emit1("scale_cols", g.Name(0), nil, ir.Val(g.D[0]), g.Arg(1), g.Arg(2)))
			g.Add(1, g.Emit1("scale_cols_grad_m", g.Name(1), nil, ir.Val(g.D[0]), g.Arg(0), g.Arg(2)))
		},
	})
	acc(ir.Register(&ir.Op{
		Name: "scale_cols_grad_m", NoAscend: ofDoRA, Doc: "Σ over rows of d∘x/n, the gradient of scale_cols in m", Args: []string{"d", "x", "n"}, Place: letters("tc,tc,c->c", []int{0}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			_, cols, err := matrix(s, 0)
			if err = all(err, same(s, 1, 0), want(s, 2, f32(cols))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			d, x, n, out := c.In[0], c.In[1], c.In[2].F, c.Out[0].F
			for i := range d.Rows() {
				for j, v := range d.Row(i) {
					out[j] += v * x.Row(i)[j]
				}
			}
			for j, v := range n {
				if v == 0 {
					out[j] = 0
				} else {
					out[j] /= v
				}
			}
		},
	}), "ScaleColsGradM")
}
