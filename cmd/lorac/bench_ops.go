package main

import (
	"math"

	"lorac/ir"
	"lorac/kernels"
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
		d.Seeds[i] = splitmix(uint64(i))
	}
	return d
}

// eachPart visits the groups of operands of a lora op from operand at on:
// the position of the weight and whether an adapter follows it.
func (c *benchCase) eachPart(at int, visit func(n, at int, kind string)) {
	for n, p := range c.s.Attrs.List("parts") {
		kind, _ := p.(string)
		visit(n, at, kind)
		if at++; kind != "plain" {
			at += 2
		}
	}
}

func (c *benchCase) adapted() []kernels.Adapted {
	var out []kernels.Adapted
	r := 0
	c.eachPart(1, func(n, at int, kind string) {
		p := kernels.Adapted{Y: c.out(r), W: c.weight(at)}
		if r++; kind != "plain" {
			p.XA, p.A, p.B, p.Scale = c.out(r), c.in(at+1), c.in(at+2), 2
			p.Drop = c.drop(n)
			r++
		}
		out = append(out, p)
	})
	return out
}

// adaptedGrad: the operands are one gradient a part, x, one xa an adapter,
// then the parts, as package ir/op orders them.
func (c *benchCase) adaptedGrad() (dx, x kernels.Mat, out []kernels.AdaptedGrad) {
	n, adapters := 0, 0
	for _, p := range c.s.Attrs.List("parts") {
		if n++; p != "plain" {
			adapters++
		}
	}
	if len(c.s.Results) > 0 {
		dx = c.out(0)
	}
	xa := n + 1
	c.eachPart(n+1+adapters, func(n, at int, kind string) {
		p := kernels.AdaptedGrad{DY: c.in(n), W: c.weight(at)}
		if kind != "plain" {
			p.XA, p.A, p.B, p.Scale = c.in(xa), c.in(at+1), c.in(at+2), 2
			p.Drop = c.drop(n)
			xa++
		}
		if kind == "lora" {
			p.DA, p.DB = kernels.NewMat(p.A.Rows, p.A.Cols), kernels.NewMat(p.B.Rows, p.B.Cols)
		}
		out = append(out, p)
	})
	return dx, c.in(n), out
}

// share is x as a percentage, for people.
func share(x float64) float64 { return math.Round(1000*x) / 10 }
