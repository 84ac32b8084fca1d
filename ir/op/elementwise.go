package op

import (
	"math"

	"lorac/ir"
)

func init() {
	ir.Register(&ir.Op{
		Name: "add", Ascend: "add", Doc: "a + b", Named: true, Args: []string{"a", "b"}, Kernel: "Add",
		Infer: likeFirst, Rowwise: []int{0, 1}, Cheap: true, InPlace: [][2]int{{0, 0}, {0, 1}}, Place: letters("tc,tc->tc", []int{0, 1}),
		Eval: elementwise(func(x []float64) float64 { return x[0] + x[1] }),
		Grad: func(g *ir.GradCtx) { g.Add(0, g.D[0]); g.Add(1, g.D[0]) },
	})
	ir.Register(&ir.Op{
		Name: "mul", NoAscend: "silu and product are one kernel there: leave pass fuse-elementwise on", Doc: "a ∘ b", Named: true, Args: []string{"a", "b"}, Kernel: "Mul",
		Infer: likeFirst, Rowwise: []int{0, 1}, Cheap: true, InPlace: [][2]int{{0, 0}, {0, 1}}, Place: letters("tc,tc->tc", []int{0}, []int{1}),
		Eval: elementwise(func(x []float64) float64 { return x[0] * x[1] }),
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.Emit1("mul", g.Name(0), nil, ir.Val(g.D[0]), g.Arg(1)))
			g.Add(1, g.Emit1("mul", g.Name(1), nil, ir.Val(g.D[0]), g.Arg(0)))
		},
	})
	ir.Register(&ir.Op{
		Name: "scale", NoAscend: halfAdapter, Doc: "by · x", Args: []string{"x"}, Kernel: "Scale",
		Attrs: []ir.AttrSpec{{Name: "by", Kind: ir.FloatAttr, Required: true}},
		Infer: likeFirst, Rowwise: []int{0}, Cheap: true, InPlace: [][2]int{{0, 0}}, Place: letters("tc->tc", []int{0}),
		Eval: func(c *ir.EvalCtx) {
			for i, x := range c.In[0].F {
				c.Out[0].F[i] = c.S.Attrs.Float("by") * x
			}
		},
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.Emit1("scale", g.Name(0), g.S.Attrs.Clone(), ir.Val(g.D[0])))
		},
	})
	ir.Register(&ir.Op{
		Name: "silu", NoAscend: "silu and product are one kernel there: leave pass fuse-elementwise on", Doc: "x·σ(x)", Args: []string{"x"}, Kernel: "SiLU",
		Infer: likeFirst, Rowwise: []int{0}, Cheap: true, InPlace: [][2]int{{0, 0}}, Place: letters("tc->tc"),
		Eval: elementwise(func(x []float64) float64 { return silu(x[0]) }),
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.Emit1("silu_grad", g.Name(0), nil, ir.Val(g.D[0]), g.Arg(0)))
		},
	})
	ir.Register(&ir.Op{
		Name: "silu_grad", NoAscend: "silu and product are one kernel there: leave pass fuse-elementwise on", Doc: "d · silu'(x)", Args: []string{"d", "x"}, Kernel: "SiLUGrad",
		Infer: likeFirst, InPlace: [][2]int{{0, 0}, {0, 1}}, Place: letters("tc,tc->tc", []int{0}),
		Eval: elementwise(func(x []float64) float64 { return x[0] * siluGrad(x[1]) }),
	})
	ir.Register(&ir.Op{
		Name: "swiglu", Ascend: "swiglu", Doc: "silu(gate) ∘ up", Named: true, Args: []string{"gate", "up"}, Kernel: "SwiGLU",
		Infer: likeFirst, Rowwise: []int{0, 1}, Cheap: true, InPlace: [][2]int{{0, 0}, {0, 1}}, Place: letters("tc,tc->tc", []int{1}),
		Eval: elementwise(func(x []float64) float64 { return silu(x[0]) * x[1] }),
		Grad: func(g *ir.GradCtx) {
			d := g.Emit("swiglu_grad", []string{g.Name(0), g.Name(1)}, nil, ir.Val(g.D[0]), g.Arg(0), g.Arg(1))
			g.Add(0, d[0])
			g.Add(1, d[1])
		},
	})
	ir.Register(&ir.Op{
		Name: "swiglu_grad", Ascend: "swiglu_grad", Doc: "dgate = d ∘ up ∘ silu'(gate), dup = d ∘ silu(gate)", Args: []string{"d", "gate", "up"}, Kernel: "SwiGLUGrad",
		InPlace: [][2]int{{0, 1}, {1, 2}, {1, 0}}, Place: letters("tc,tc,tc->tc,tc", []int{0}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			t, err := likeFirst(s)
			if err != nil {
				return nil, err
			}
			return []ir.Type{t[0], t[0]}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i, d := range c.In[0].F {
				gate, up := c.In[1].F[i], c.In[2].F[i]
				c.Out[0].F[i] = d * up * siluGrad(gate)
				c.Out[1].F[i] = d * silu(gate)
			}
		},
	})
}

func sigmoid(x float64) float64  { return 1 / (1 + math.Exp(-x)) }
func silu(x float64) float64     { return x * sigmoid(x) }
func siluGrad(x float64) float64 { s := sigmoid(x); return s * (1 + x*(1-s)) }
