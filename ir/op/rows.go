package op

import (
	"fmt"

	"lorac/ir"
)

func init() {
	ir.Register(&ir.Op{
		Name: "gather_rows", Ascend: "gather_rows", Doc: "the chosen rows of x", Named: true, Args: []string{"x", "rows"}, Cheap: true, Place: letters("tc,t->tc", []int{0}),
		KernelOf: func(s *ir.Stmt) string {
			switch t := s.Args[0].Type(); {
			case t.Rank() != 1:
				return "GatherRows"
			case t.DType == ir.I32:
				return "GatherInts"
			case t.DType == ir.I64:
				return "GatherSeeds"
			}
			return "Gather"
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			x, r := s.Args[0].Type(), s.Args[1].Type()
			if x.Kept != nil || x.Rank() == 0 || r.DType != ir.I32 || r.Rank() != 1 {
				return nil, fmt.Errorf("cannot take rows %s of %s", r, x)
			}
			return []ir.Type{x.With(0, r.Shape[0])}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			n := c.In[0].Cols()
			for i, r := range c.In[1].I {
				if c.In[0].F != nil {
					copy(c.Out[0].F[i*n:(i+1)*n], c.In[0].F[int(r)*n:])
				} else {
					copy(c.Out[0].I[i*n:(i+1)*n], c.In[0].I[int(r)*n:])
				}
			}
		},
		Grad: func(g *ir.GradCtx) {
			dim := g.S.Args[0].Type().Shape[0]
			g.Add(0, g.Emit1("scatter_rows", g.Name(0), ir.Attrs{"dim": dim.String()}, ir.Val(g.D[0]), g.Arg(1)))
		},
	})
	ir.Register(&ir.Op{
		Name: "scatter_rows", Ascend: "scatter_rows", Doc: "zeros, with the rows of d at the chosen rows", Named: true, Args: []string{"d", "rows"}, Kernel: "ScatterRows", Place: letters("tc,t->tc", []int{0}),
		Attrs: []ir.AttrSpec{{Name: "dim", Kind: ir.StringAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			d, r := s.Args[0].Type(), s.Args[1].Type()
			if !d.DType.Float() || d.Rank() == 0 || !r.Equal(i32(d.Shape[0])) {
				return nil, fmt.Errorf("cannot place %s at rows %s", d, r)
			}
			return []ir.Type{d.With(0, ir.Sym(s.Attrs.Str("dim")))}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i, r := range c.In[1].I {
				copy(c.Out[0].Row(int(r)), c.In[0].Row(i))
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "split_cols", NoAscend: sideBySide, Doc: "x cut into blocks of columns", Args: []string{"x"}, Kernel: "SplitCols", Rowwise: []int{0}, Place: placeSplit,
		Attrs: []ir.AttrSpec{{Name: "widths", Kind: ir.DimsAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			var out []ir.Type
			sum := 0
			for _, w := range s.Attrs.List("widths") {
				d, ok := ir.DimOf(w)
				if !ok || d.N <= 0 {
					return nil, fmt.Errorf("width %v is no positive number", w)
				}
				sum += d.N
				out = append(out, f32(rows, d))
			}
			if cols.Sym != "" || cols.N != sum {
				return nil, fmt.Errorf("widths sum to %d, %s has %s columns", sum, s.Args[0], cols)
			}
			return out, nil
		},
		Eval: func(c *ir.EvalCtx) {
			at := 0
			for _, out := range c.Out {
				for i := 0; i < out.Rows(); i++ {
					copy(out.Row(i), c.In[0].Row(i)[at:])
				}
				at += out.Cols()
			}
		},
		Grad: func(g *ir.GradCtx) {
			var parts []ir.Operand
			for i, d := range g.D {
				if d == nil {
					d = g.Emit1("zeros", "d."+g.S.Results[i].Name, zerosLike(g.S.Results[i].Type))
				}
				parts = append(parts, ir.Val(d))
			}
			width := g.S.Args[0].Type().Shape[1]
			g.Add(0, g.Emit1("concat_cols", g.Name(0), ir.Attrs{"width": width.Attr()}, parts...))
		},
	})
	ir.Register(&ir.Op{
		Name: "concat_cols", NoAscend: sideBySide, Doc: "blocks of columns side by side", Args: []string{"part"}, Variadic: true, Kernel: "ConcatCols", Place: placeConcat,
		Attrs: []ir.AttrSpec{{Name: "width", Kind: ir.DimAttr}}, // the columns of all, by name
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			sum := 0
			var rows ir.Dim
			for i := range s.Args {
				r, c, err := matrix(s, i)
				if err != nil {
					return nil, err
				}
				if i > 0 && !r.Same(rows) || c.Sym != "" {
					return nil, fmt.Errorf("operand %s is %s, the first has rows %s", s.Args[i], s.Args[i].Type(), rows)
				}
				rows = r
				sum += c.N
			}
			width := ir.N(sum)
			if w, ok := ir.DimOf(s.Attrs["width"]); ok {
				if width = w; w.N != sum {
					return nil, fmt.Errorf("width is %d, the parts have %d columns", w.N, sum)
				}
			}
			return []ir.Type{f32(rows, width)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i := 0; i < c.Out[0].Rows(); i++ {
				row := c.Out[0].Row(i)
				for _, in := range c.In {
					row = row[copy(row, in.Row(i)):]
				}
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "zeros", Ascend: "zero", Doc: "a tensor of zeros", Kernel: "Zeros", Place: func(p *ir.Placing) ([]ir.Placement, error) {
			return []ir.Placement{p.S.Results[0].Type.On(p.Axis)}, nil
		},
		Attrs: []ir.AttrSpec{{Name: "shape", Kind: ir.DimsAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			t := f32()
			for _, d := range s.Attrs.List("shape") {
				switch n, ok := ir.DimOf(d); d := d.(type) {
				case string:
					t.Shape = append(t.Shape, ir.Sym(d))
				default:
					if !ok {
						return nil, fmt.Errorf("%v is no dimension", d)
					}
					t.Shape = append(t.Shape, n)
				}
			}
			return []ir.Type{t}, nil
		},
		Eval: func(*ir.EvalCtx) {},
	})
}

func zerosLike(t ir.Type) ir.Attrs {
	var shape []any
	for _, d := range t.Shape {
		shape = append(shape, d.Attr())
	}
	return ir.Attrs{"shape": shape}
}
