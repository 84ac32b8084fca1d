package bench

import (
	"fmt"
	"math"

	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/rng"
)

// benchOps makes, for each op, operands of a statement's shapes and the call
// the emitted trainer would make. Ops that are not here cost next to nothing.
var benchOps = map[string]func(c *benchCase) func(){
	"matmul":     benchMatMul,
	"matmul_acc": benchMatMul,
	"add_matmul": func(c *benchCase) func() {
		y, sum, dy, w := c.out(0), c.in(0), c.in(1), c.weight(2)
		return func() { c.k.AddMatMul(y, sum, dy, w) }
	},
	"lora_linear": func(c *benchCase) func() {
		x, parts := c.in(0), c.adapted()
		return func() { c.k.LoRALinear(x, parts...) }
	},
	"lora_linear_grad_acc": func(c *benchCase) func() {
		dx, x, parts := c.adaptedGrad()
		return func() { c.k.LoRALinearGrad(dx, x, parts...) }
	},
	"attention": func(c *benchCase) func() {
		o, lse, q, k, v, at := c.out(0), c.out(1), c.in(0), c.in(1), c.in(2), c.attention(4)
		return func() { c.k.Attention(o, lse, q, k, v, at.starts, at.rows, at.heads, at.kvHeads, at.scale) }
	},
	"attention_grad": func(c *benchCase) func() {
		dq, dk, dv := c.out(0), c.out(1), c.out(2)
		do, q, k, v, o, lse, at := c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), c.in(5), c.attention(7)
		c.k.Attention(o, lse, q, k, v, at.starts, at.rows, at.heads, at.kvHeads, at.scale) // lse must fit q and k
		return func() {
			c.k.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, at.starts, at.rows, at.heads, at.kvHeads, at.scale)
		}
	},
	"head_loss": func(c *benchCase) func() {
		x, w := c.in(0), c.weight(1)
		targets, weights := c.tokens(2, w.Rows), c.vec(c.s.Args[3].Type())
		var dx, dw kernels.Mat
		if c.s.Attrs.Bool("dx") {
			dx = c.out(1)
		}
		if len(c.s.Args) > 4 {
			dw = c.in(4)
			return func() { c.k.HeadLossGradW(dx, dw, x, w, targets, weights) }
		}
		return func() { c.k.HeadLoss(dx, x, w, targets, weights) }
	},
	"add": func(c *benchCase) func() {
		y, a, b := c.out(0), c.in(0), c.in(1)
		return func() { c.k.Add(y, a, b) }
	},
	"add_bias": func(c *benchCase) func() {
		y, x, b := c.out(0), c.in(0), c.vec(c.s.Args[1].Type())
		return func() { c.k.AddBias(y, x, b) }
	},
	"row_norms": func(c *benchCase) func() {
		n, w, a, b := c.vec(c.s.Results[0].Type), c.weight(0), c.in(1), c.in(2)
		return func() { c.k.RowNorms(n, w, a, b, 2) }
	},
	"scale_cols": func(c *benchCase) func() {
		y, x, m, n := c.out(0), c.in(0), c.vec(c.s.Args[1].Type()), c.vec(c.s.Args[2].Type())
		return func() { c.k.ScaleCols(y, x, m, n) }
	},
	"scale_cols_grad_m_acc": func(c *benchCase) func() {
		d, x, n, dm := c.in(0), c.in(1), c.vec(c.s.Args[2].Type()), c.vec(c.s.Args[3].Type())
		return func() { c.k.ScaleColsGradM(dm, d, x, n) }
	},
	"swiglu": func(c *benchCase) func() {
		y, a, b := c.out(0), c.in(0), c.in(1)
		return func() { c.k.SwiGLU(y, a, b) }
	},
	"swiglu_grad": func(c *benchCase) func() {
		dg, du, dh, g, u := c.out(0), c.out(1), c.in(0), c.in(1), c.in(2)
		return func() { c.k.SwiGLUGrad(dg, du, dh, g, u) }
	},
	"rmsnorm": func(c *benchCase) func() {
		y, rstd, x, w := c.out(0), c.vec(c.s.Results[1].Type), c.in(0), c.vec(c.s.Args[1].Type())
		return func() { c.k.RMSNorm(y, rstd, x, w, 1e-5) }
	},
	"add_rmsnorm": func(c *benchCase) func() {
		sum, y, rstd := c.out(0), c.out(1), c.vec(c.s.Results[2].Type)
		a, b, w := c.in(0), c.in(1), c.vec(c.s.Args[2].Type())
		return func() { c.k.AddRMSNorm(sum, y, rstd, a, b, w, 1e-5) }
	},
	"rmsnorm_grad": func(c *benchCase) func() {
		dx, d, x, rstd, w := c.out(0), c.in(0), c.in(1), c.vec(c.s.Args[2].Type()), c.vec(c.s.Args[3].Type())
		return func() { c.k.RMSNormGrad(dx, d, x, rstd, w) }
	},
	"rmsnorm_grad_add": func(c *benchCase) func() {
		dx, res, d, x, rstd, w := c.out(0), c.in(0), c.in(1), c.in(2), c.vec(c.s.Args[3].Type()), c.vec(c.s.Args[4].Type())
		return func() { c.k.RMSNormGradAdd(dx, res, d, x, rstd, w) }
	},
	"rope": func(c *benchCase) func() {
		y, x, pos, head := c.out(0), c.in(0), c.positions(1), c.s.Attrs.Int("head_dim")
		table := c.s.Args[2].Type()
		table.Shape = []ir.Dim{ir.N(max(c.env.Size(table.Shape[0]), y.Rows)), table.Shape[1]}
		cos, sin := c.mat(table), c.mat(table)
		if c.s.Attrs.Bool("inverse") {
			return func() { c.k.RopeGrad(y, x, pos, cos, sin, head) }
		}
		return func() { c.k.Rope(y, x, pos, cos, sin, head) }
	},
	"embed": func(c *benchCase) func() {
		y, w := c.out(0), c.weight(1)
		tokens := c.tokens(0, w.Rows)
		return func() { c.k.Embed(y, tokens, w) }
	},
	"dropout": func(c *benchCase) func() {
		y, x, drop := c.out(0), c.in(0), c.drop(0)
		return func() { c.k.Dropout(y, x, drop) }
	},
	"adamw": func(c *benchCase) func() {
		p, g, m, v := c.in(0).Data, c.in(1).Data, c.in(2).Data, c.in(3).Data
		clear(v) // squares are no less than zero
		step := kernels.AdamStep{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, GradScale: 1, Step: 1, Torch: c.s.Attrs.Str("rule") == "torch"}
		return func() { c.k.AdamW(p, g, m, v, step) }
	},
}

func benchMatMul(c *benchCase) func() {
	acc := len(c.s.Results) == 0
	y := func() kernels.Mat {
		if acc {
			return c.in(2)
		}
		return c.out(0)
	}()
	x := c.in(0)
	switch c.s.Attrs.Str("trans") {
	case "lhs":
		b := c.in(1)
		if acc {
			return func() { c.k.AddMatMulTN(y, x, b) }
		}
		return func() { c.k.MatMulTN(y, x, b) }
	case "rhs":
		w := c.weight(1)
		if acc {
			return func() { c.k.AddMatMulNT(y, x, w) }
		}
		return func() { c.k.MatMulNT(y, x, w) }
	}
	w := c.weight(1)
	if acc {
		return func() { c.k.AddMatMulNN(y, x, w) }
	}
	return func() { c.k.MatMulNN(y, x, w) }
}

type attentionArgs struct {
	starts, rows   []int32
	heads, kvHeads int
	scale          float32
}

// attention reads the attributes; row numbers are operand i, where given.
func (c *benchCase) attention(i int) attentionArgs {
	a := attentionArgs{starts: []int32{0}, heads: c.s.Attrs.Int("heads"), kvHeads: c.s.Attrs.Int("kv_heads"), scale: float32(c.s.Attrs.Float("scale"))}
	if len(c.s.Args) > i {
		a.rows = c.positions(i)
	}
	return a
}

func (c *benchCase) drop(stream int) kernels.Drop {
	d := kernels.Drop{P: float32(c.s.Attrs.Float("p")), Seeds: make([]uint64, c.env["T"]), Stream: stream}
	for i := range d.Seeds {
		d.Seeds[i] = rng.Mix(uint64(i))
	}
	return d
}

// group reads a statement of the lora family.
func group(s *ir.Stmt) *ir.LoRAGroup {
	g, err := ir.LoRAOf(s)
	if err != nil {
		panic(fmt.Sprintf("BUG: bench: %v", err)) // the module was verified
	}
	return g
}

func (c *benchCase) adapted() []kernels.Adapted {
	var out []kernels.Adapted
	for n, l := range group(c.s).Linears {
		p := kernels.Adapted{Y: c.out(l.Y), W: c.weight(l.W)}
		if l.Bias != ir.None {
			p.Bias = c.vec(c.s.Args[l.Bias].Type())
		}
		if l.Adapted {
			p.XA, p.A, p.B, p.Scale, p.Drop = c.out(l.XA), c.in(l.A), c.in(l.B), 2, c.drop(n)
		}
		out = append(out, p)
	}
	return out
}

func (c *benchCase) adaptedGrad() (dx, x kernels.Mat, out []kernels.AdaptedGrad) {
	g := group(c.s)
	if g.DX != ir.None {
		dx = c.out(g.DX)
	}
	for n, l := range g.Linears {
		p := kernels.AdaptedGrad{DY: c.in(l.D), W: c.weight(l.W)}
		if l.Adapted {
			p.XA, p.A, p.B, p.Scale, p.Drop = c.in(l.XA), c.in(l.A), c.in(l.B), 2, c.drop(n)
		}
		if l.Kind == "lora" {
			p.DA, p.DB = kernels.NewMat(p.A.Rows, p.A.Cols), kernels.NewMat(p.B.Rows, p.B.Cols)
		}
		out = append(out, p)
	}
	return dx, c.in(g.X), out
}

// share is x as a percentage, for people.
func share(x float64) float64 { return math.Round(1000*x) / 10 }
