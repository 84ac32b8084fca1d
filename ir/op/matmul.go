package op

import (
	"fmt"

	"lorac/ir"
)

func init() {
	matmul := ir.Register(&ir.Op{
		Name: "matmul", Ascend: "lora_linear lora_linear_grad linear_f32", Doc: "matrix product; trans=rhs: a·bᵀ, lhs: aᵀ·b, none: a·b",
		Args: []string{"a", "b"},
		Attrs: []ir.AttrSpec{
			{Name: "group", Kind: ir.StringAttr, Required: true}, // linear, head or lora: where its cost is counted
			{Name: "trans", Kind: ir.StringAttr, Required: true},
		},
		Named: true, Formula: func(s *ir.Stmt) string {
			return map[string]string{"rhs": "a·bᵀ", "lhs": "aᵀ·b", "none": "a·b"}[s.Attrs.Str("trans")]
		},
		KernelOf: func(s *ir.Stmt) string {
			return map[string]string{"rhs": "MatMulNT", "lhs": "MatMulTN", "none": "MatMulNN"}[s.Attrs.Str("trans")]
		},
		NoAscendOf: func(s *ir.Stmt) string {
			switch {
			case s.Attrs.Str("trans") == "lhs":
				return wholeMatrix
			case s.Attrs.Str("group") == "lora":
				return halfAdapter
			}
			return ""
		},
		Rowwise: []int{0}, Place: placeMatMul,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			ar, ac, err := matrix(s, 0)
			if err != nil {
				return nil, err
			}
			br, bc, err := matrix(s, 1)
			if err != nil {
				return nil, err
			}
			var m, n, k1, k2 ir.Dim
			switch t := s.Attrs.Str("trans"); t {
			case "rhs":
				m, n, k1, k2 = ar, br, ac, bc
			case "lhs":
				m, n, k1, k2 = ac, bc, ar, br
			case "none":
				m, n, k1, k2 = ar, bc, ac, br
			default:
				return nil, fmt.Errorf("attribute `trans` is %s, not rhs, lhs or none", t)
			}
			if !k1.Same(k2) {
				return nil, fmt.Errorf("inner dimensions differ: %s × %s with trans=%s", s.Args[0].Type(), s.Args[1].Type(), s.Attrs.Str("trans"))
			}
			return []ir.Type{f32(m, n)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			a, b := c.In[0], c.In[1]
			switch c.S.Attrs.Str("trans") {
			case "rhs":
				mulNT(c.Out[0], a, b)
			case "lhs":
				mulTN(c.Out[0], a, b)
			default:
				mulNN(c.Out[0], a, b)
			}
		},
		Grad: func(g *ir.GradCtx) {
			if g.S.Attrs.Str("trans") != "rhs" {
				panic("BUG: op: matmul is differentiated in the form a·bᵀ only")
			}
			group := g.S.Attrs.Str("group")
			g.Add(0, g.Emit1("matmul", g.Name(0), ir.Attrs{"trans": "none", "group": group}, ir.Val(g.D[0]), g.Arg(1)))
			g.Add(1, g.Emit1("matmul", g.Name(1), ir.Attrs{"trans": "lhs", "group": group}, ir.Val(g.D[0]), g.Arg(0)))
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			a, b := s.Args[0].Type(), s.Args[1].Type()
			flops := 2 * float64(a.Elems(env))
			group := s.Attrs.Str("group")
			switch s.Attrs.Str("trans") {
			case "rhs":
				flops *= float64(env.Size(b.Shape[0]))
			case "lhs":
				flops *= float64(env.Size(b.Shape[1]))
				group += ".dw"
			default:
				flops *= float64(env.Size(b.Shape[1]))
				group += ".dx"
			}
			return []ir.Work{{Group: group, FLOPs: flops}}
		},
	})
	acc(matmul, "AddMatMulTN").NoAscend = wholeMatrix
	ir.Register(&ir.Op{
		Name: "add_matmul", NoAscend: "a sum of products is one statement there, lora_linear_grad: leave pass device-types on", Doc: "c + a·b", Named: true, Args: []string{"c", "a", "b"},
		Attrs: matmul.Attrs, Kernel: "AddMatMul", Place: placeAddMatMul, Rowwise: []int{0, 1}, InPlace: [][2]int{{0, 0}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			if t := s.Attrs.Str("trans"); t != "none" {
				return nil, fmt.Errorf("attribute `trans` is %s, not none", t)
			}
			t, err := matmul.Infer(product(s))
			if err != nil {
				return nil, err
			}
			return t, activation(s, 0, t[0].Shape...)
		},
		Eval: func(c *ir.EvalCtx) {
			mulNN(c.Out[0], c.In[1], c.In[2])
			axpy(c.Out[0].F, 1, c.In[0].F)
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work { return matmul.Cost(product(s), env) },
	})
}

// product is the matmul in an add_matmul.
func product(s *ir.Stmt) *ir.Stmt { return &ir.Stmt{Op: s.Op, Args: s.Args[1:], Attrs: s.Attrs} }

// mulNT: out = a·bᵀ.
func mulNT(out, a, b *ir.Array) {
	for i := 0; i < a.Rows(); i++ {
		for j := 0; j < b.Rows(); j++ {
			out.F[i*b.Rows()+j] = dot(a.Row(i), b.Row(j))
		}
	}
}

// mulNN: out = a·b.
func mulNN(out, a, b *ir.Array) {
	for i := 0; i < a.Rows(); i++ {
		row := out.Row(i)
		for k, x := range a.Row(i) {
			axpy(row, x, b.Row(k))
		}
	}
}

// mulTN: out = aᵀ·b.
func mulTN(out, a, b *ir.Array) {
	for t := 0; t < a.Rows(); t++ {
		for i, x := range a.Row(t) {
			axpy(out.Row(i), x, b.Row(t))
		}
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, x := range a {
		s += x * b[i]
	}
	return s
}

// axpy: y += x·v.
func axpy(y []float64, x float64, v []float64) {
	for i, e := range v {
		y[i] += x * e
	}
}
