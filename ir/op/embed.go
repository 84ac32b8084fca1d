package op

import "lorac/ir"

func init() {
	ir.Register(&ir.Op{
		Name: "embed", Ascend: "gather_rows", Doc: "rows of w by tokens", Named: true, Args: []string{"tokens", "w"}, KernelOf: func(s *ir.Stmt) string {
			if s.Args[1].Type().Shape[0].By != "" {
				return "EmbedPart"
			}
			return "Embed"
		}, Rowwise: []int{0}, Place: letters("t,vc->tc", []int{1}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			tok, err := shape(s, 0, 1)
			if err != nil {
				return nil, err
			}
			_, cols, err := matrix(s, 1)
			if err = all(err, want(s, 0, i32(tok[0]))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(tok[0], cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			first := c.First(1, 0)
			for i, t := range c.In[0].I {
				if row := int(t) - first; c.Rank == nil || 0 <= row && row < c.In[1].Rows() {
					copy(c.Out[0].Row(i), c.In[1].Row(row))
				}
			}
		},
		Grad: func(g *ir.GradCtx) {
			vocab := g.S.Args[1].Type().Shape[0]
			g.Add(1, g.Emit1("embed_grad", g.Name(1), ir.Attrs{"vocab": vocab.Attr()}, ir.Val(g.D[0]), g.Arg(0)))
		},
	})
	acc(ir.Register(&ir.Op{
		Name: "embed_grad", NoAscend: wholeMatrix, Doc: "sum of the rows of d by token", Args: []string{"d", "tokens"}, Place: letters("tc,t->vc", []int{0}),
		Attrs: []ir.AttrSpec{{Name: "vocab", Kind: ir.DimAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, want(s, 1, i32(rows))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(s.Attrs.Dim("vocab"), cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			vocab, first := c.S.Attrs.Dim("vocab"), 0
			if c.Rank != nil && vocab.By != "" {
				first = c.Rank.Coord(vocab.By) * vocab.N
			}
			for i, t := range c.In[1].I {
				if row := int(t) - first; c.Rank == nil || 0 <= row && row < c.Out[0].Rows() {
					axpy(c.Out[0].Row(row), 1, c.In[0].Row(i))
				}
			}
		},
	}), "EmbedGrad").KernelOf = func(s *ir.Stmt) string {
		if s.Attrs.Dim("vocab").By != "" {
			return "EmbedGradPart"
		}
		return "EmbedGrad"
	}
}
