package op

import (
	"fmt"

	"lorac/ir"
)

func init() {
	ir.Register(&ir.Op{
		Name: "rope", Ascend: "rope", Doc: "rotary embedding, rotate-half layout (Su et al. 2021): pairs (j, j+head_dim/2) of each head turn by the row's position",
		Args: []string{"x", "pos", "cos", "sin"}, Place: letters("th,t,..,..->th", []int{0}),
		Formula: func(s *ir.Stmt) string {
			if s.Attrs.Bool("inverse") {
				return "the inverse rotation"
			}
			return "rotary embedding: columns j and j+D/2 of each head turn by the position of the row (Su et al. 2021)"
		},
		KernelOf: func(s *ir.Stmt) string {
			if s.Attrs.Bool("inverse") {
				return "RopeGrad"
			}
			return "Rope"
		},
		Attrs:   []ir.AttrSpec{{Name: "head_dim", Kind: ir.DimAttr, Required: true}, {Name: "inverse", Kind: ir.BoolAttr}},
		Rowwise: []int{0, 1}, Cheap: true, InPlace: [][2]int{{0, 0}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			hd := s.Attrs.Int("head_dim")
			if hd <= 0 || hd%2 != 0 || cols.Sym != "" || cols.N%hd != 0 {
				return nil, fmt.Errorf("head_dim %d does not divide the %s columns of %s into even heads", hd, cols, s.Args[0])
			}
			_, half, err := matrix(s, 2)
			if err = all(err, want(s, 1, i32(rows)), same(s, 3, 2)); err != nil {
				return nil, err
			}
			if half.Sym != "" || half.N != hd/2 {
				return nil, fmt.Errorf("table %s has %s columns for head_dim %d", s.Args[2], half, hd)
			}
			return []ir.Type{f32(rows, cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			hd := c.S.Attrs.Int("head_dim")
			sign := 1.0
			if c.S.Attrs.Bool("inverse") {
				sign = -1
			}
			for i := 0; i < c.In[0].Rows(); i++ {
				cos, sin := c.In[2].Row(int(c.In[1].I[i])), c.In[3].Row(int(c.In[1].I[i]))
				x, y := c.In[0].Row(i), c.Out[0].Row(i)
				for h := 0; h < len(x); h += hd {
					for j := 0; j < hd/2; j++ {
						a, b := x[h+j], x[h+j+hd/2]
						y[h+j] = a*cos[j] - sign*b*sin[j]
						y[h+j+hd/2] = b*cos[j] + sign*a*sin[j]
					}
				}
			}
		},
		Grad: func(g *ir.GradCtx) {
			attrs := g.S.Attrs.With("inverse", true)
			g.Add(0, g.Emit1("rope", g.Name(0), attrs, ir.Val(g.D[0]), g.Arg(1), g.Arg(2), g.Arg(3)))
		},
	})
}
