package op

import (
	"lorac/ir"
)

// A bias is a row that is added to each row. Pass fuse-lora makes it part of its
// linear.

func init() {
	ir.Register(&ir.Op{
		Name: "add_bias", Ascend: "add_bias", Doc: "b added to each row of x", Args: []string{"x", "b"}, Kernel: "AddBias",
		Rowwise: []int{0}, Cheap: true, InPlace: [][2]int{{0, 0}}, Place: letters("tc,c->tc"),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, want(s, 1, f32(cols))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(rows, cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) { addBias(c.Out[0], c.In[0], c.In[1]) },
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.D[0])
			g.Add(1, g.Emit1("sum_rows", g.Name(1), nil, ir.Val(g.D[0])))
		},
	})
	acc(ir.Register(&ir.Op{
		Name: "sum_rows", NoAscend: wholeMatrix, Doc: "Σ of the rows of d, the gradient of a bias", Named: true, Args: []string{"d"}, Place: letters("tc->c", []int{0}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			_, cols, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			return []ir.Type{f32(cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i := range c.In[0].Rows() {
				axpy(c.Out[0].F, 1, c.In[0].Row(i))
			}
		},
	}), "SumRows")
}

// addBias: y = x, with b added to each row.
func addBias(y, x, b *ir.Array) {
	for i := range x.Rows() {
		for j, v := range x.Row(i) {
			y.Row(i)[j] = v + b.F[j]
		}
	}
}
