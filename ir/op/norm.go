package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// RMSNorm (Zhang & Sennrich 2019): y = x·rstd·w, rstd = 1/√(mean(x²)+eps).

func init() {
	eps := []ir.AttrSpec{{Name: "eps", Kind: ir.FloatAttr, Required: true}}
	ir.Register(&ir.Op{
		Name: "rmsnorm", Ascend: "rmsnorm", Doc: "y = x·rstd·w, rstd = 1/√(mean(x²)+eps)", Args: []string{"x", "w"}, Attrs: eps,
		Kernel: "RMSNorm", Place: letters("t.,.->t.,t"), Rowwise: []int{0}, Cheap: true, InPlace: [][2]int{{0, 0}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, want(s, 1, f32(cols))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(rows, cols), f32(rows)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			evalNorm(c.Out[0], c.Out[1], c.In[0], c.In[1].F, c.S.Attrs.Float("eps"))
		},
		Grad: func(g *ir.GradCtx) {
			if g.D[0] == nil {
				return
			}
			g.Add(0, g.Emit1("rmsnorm_grad", g.Name(0), nil, ir.Val(g.D[0]), g.Arg(0), g.Result(1), g.Arg(1)))
			g.Add(1, g.Emit1("rmsnorm_grad_w", g.Name(1), nil, ir.Val(g.D[0]), g.Arg(0), g.Result(1)))
		},
	})
	ir.Register(&ir.Op{
		Name: "add_rmsnorm", Ascend: "add_rmsnorm", Doc: "sum = a + b and its rmsnorm",
		Formula: func(s *ir.Stmt) string {
			if len(s.Results) < 2 {
				return s.Op.Doc
			}
			sum, y := s.Results[0].Name, s.Results[1].Name
			return fmt.Sprintf("%s = %s + %s, %s = rmsnorm(%s)", sum, s.Args[0].Short(), s.Args[1].Short(), y, sum)
		},
		Args: []string{"a", "b", "w"}, Attrs: eps,
		Kernel: "AddRMSNorm", Place: letters("t.,t.,.->t.,t.,t"), Rowwise: []int{0, 1}, InPlace: [][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, same(s, 1, 0), want(s, 2, f32(cols))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(rows, cols), f32(rows, cols), f32(rows)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i, x := range c.In[0].F {
				c.Out[0].F[i] = x + c.In[1].F[i]
			}
			evalNorm(c.Out[1], c.Out[2], c.Rounded(c.Out[0]), c.In[2].F, c.S.Attrs.Float("eps"))
		},
		Grad: func(g *ir.GradCtx) {
			d := g.D[0]
			name := "d." + g.S.Results[0].Name // of the sum, and so of both its terms
			if g.D[1] != nil {
				if d == nil {
					d = g.Emit1("rmsnorm_grad", name, nil, ir.Val(g.D[1]), g.Result(0), g.Result(2), g.Arg(2))
				} else {
					d = g.Emit1("rmsnorm_grad_add", name, nil, ir.Val(d), ir.Val(g.D[1]), g.Result(0), g.Result(2), g.Arg(2))
				}
				g.Add(2, g.Emit1("rmsnorm_grad_w", g.Name(2), nil, ir.Val(g.D[1]), g.Result(0), g.Result(2)))
			}
			g.Add(0, d)
			g.Add(1, d)
		},
	})
	ir.Register(&ir.Op{
		Name: "rmsnorm_grad", Ascend: "rmsnorm_grad", Doc: "rstd·(d∘w − x·rstd²·mean(d∘w∘x)), the gradient of rmsnorm in x", Named: true, Args: []string{"d", "x", "rstd", "w"},
		Kernel: "RMSNormGrad", Place: letters("t.,t.,t,.->t.", []int{0}), InPlace: [][2]int{{0, 0}}, Infer: inferNormGrad(0),
		Eval: func(c *ir.EvalCtx) { evalNormGrad(c.Out[0], nil, c.In[0], c.In[1], c.In[2].F, c.In[3].F) },
	})
	ir.Register(&ir.Op{
		Name: "rmsnorm_grad_add", Ascend: "rmsnorm_grad", Doc: "res + rstd·(d∘w − x·rstd²·mean(d∘w∘x)), the gradient of rmsnorm in x added", Named: true, Args: []string{"res", "d", "x", "rstd", "w"},
		Kernel: "RMSNormGradAdd", Place: letters("t.,t.,t.,t,.->t.", []int{0, 1}), InPlace: [][2]int{{0, 0}, {0, 1}}, Infer: inferNormGrad(1),
		Eval: func(c *ir.EvalCtx) { evalNormGrad(c.Out[0], c.In[0], c.In[1], c.In[2], c.In[3].F, c.In[4].F) },
	})
	acc(ir.Register(&ir.Op{
		Name: "rmsnorm_grad_w", NoAscend: wholeMatrix, Doc: "Σ over rows of d∘x·rstd, the gradient of rmsnorm in w", Args: []string{"d", "x", "rstd"}, Place: letters("tc,tc,t->c", []int{0}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, same(s, 1, 0), want(s, 2, f32(rows))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i := 0; i < c.In[0].Rows(); i++ {
				x := c.In[1].Row(i)
				for j, d := range c.In[0].Row(i) {
					c.Out[0].F[j] += d * x[j] * c.In[2].F[i]
				}
			}
		},
	}), "RMSNormGradW")
}

func inferNormGrad(d int) func(s *ir.Stmt) ([]ir.Type, error) {
	return func(s *ir.Stmt) ([]ir.Type, error) {
		rows, cols, err := matrix(s, d)
		if err = all(err, same(s, d+1, d), want(s, d+2, f32(rows)), want(s, d+3, f32(cols)), activation(s, 0, rows, cols)); err != nil {
			return nil, err
		}
		return []ir.Type{f32(rows, cols)}, nil
	}
}

func evalNorm(y, rstd, x *ir.Array, w []float64, eps float64) {
	for i := 0; i < x.Rows(); i++ {
		row := x.Row(i)
		r := 1 / math.Sqrt(dot(row, row)/float64(len(row))+eps)
		rstd.F[i] = r
		for j, v := range row {
			y.Row(i)[j] = v * r * w[j]
		}
	}
}

// evalNormGrad: dx = [res +] rstd·(d∘w − x·rstd²·mean(d∘w∘x)).
func evalNormGrad(dx, res, d, x *ir.Array, rstd, w []float64) {
	for i := 0; i < x.Rows(); i++ {
		row, r := x.Row(i), rstd[i]
		s := 0.0
		for j, v := range row {
			s += d.Row(i)[j] * w[j] * v
		}
		s *= r * r / float64(len(row))
		for j, v := range row {
			g := r * (d.Row(i)[j]*w[j] - v*s)
			if res != nil {
				g += res.Row(i)[j]
			}
			dx.Row(i)[j] = g
		}
	}
}
