package bench

import (
	"encoding/binary"
	"fmt"

	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/kernels/ascend"
)

// ascendOps call, for each op, the method of the device's context that the emitted
// trainer calls, on operands of a statement's shapes.
var ascendOps = map[string]func(c *ascendCase){
	"add_bias":    func(c *ascendCase) { c.k.AddBias(c.out(0), c.in(0), c.vec(1)) },
	"add":         func(c *ascendCase) { c.k.Add(c.out(0), c.in(0), c.in(1)) },
	"swiglu":      func(c *ascendCase) { c.k.SwiGLU(c.out(0), c.in(0), c.in(1)) },
	"swiglu_grad": func(c *ascendCase) { c.k.SwiGLUGrad(c.out(0), c.out(1), c.in(0), c.in(1), c.in(2)) },
	"rmsnorm":     func(c *ascendCase) { c.k.RMSNorm(c.out(0), c.outVec(1), c.in(0), c.vec(1), 1e-5) },
	"add_rmsnorm": func(c *ascendCase) {
		c.k.AddRMSNorm(c.out(0), c.out(1), c.outVec(2), c.in(0), c.in(1), c.vec(2), 1e-5)
	},
	"rmsnorm_grad": func(c *ascendCase) { c.k.RMSNormGrad(c.out(0), c.in(0), c.in(1), c.vec(2), c.vec(3)) },
	"rmsnorm_grad_add": func(c *ascendCase) {
		c.k.RMSNormGradAdd(c.out(0), c.in(0), c.in(1), c.in(2), c.vec(3), c.vec(4))
	},
	"rope":         ascendRope,
	"embed":        func(c *ascendCase) { c.k.Embed(c.out(0), c.below(0, c.rows(1)), c.in(1)) },
	"gather_rows":  ascendGather,
	"scatter_rows": func(c *ascendCase) { c.k.ScatterRows(c.out(0), c.in(0), c.below(1, c.outRows(0))) },
	"matmul": func(c *ascendCase) {
		if c.s.Attrs.Str("trans") == "none" {
			c.k.MatMulNN(c.out(0), c.in(0), c.in(1))
		} else {
			c.k.MatMulNT(c.out(0), c.in(0), c.in(1))
		}
	},
	"lora_linear":          ascendLoRA,
	"lora_linear_grad":     ascendLoRAGrad,
	"lora_linear_grad_acc": ascendLoRAGrad,
	"attention": func(c *ascendCase) {
		a := c.s.Attrs
		c.k.Attention(c.out(0), c.out(1), c.in(0), c.in(1), c.in(2), c.starts(), c.chosen(4), a.Int("heads"), a.Int("kv_heads"), float32(a.Float("scale")))
	},
	"attention_grad": func(c *ascendCase) {
		a := c.s.Attrs
		c.k.AttentionGrad(c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), c.in(5), c.starts(), c.chosen(7), a.Int("heads"), a.Int("kv_heads"), float32(a.Float("scale")))
	},
	"head_loss": func(c *ascendCase) {
		c.k.HeadLoss(c.out(1), c.in(0), c.in(1), c.below(2, c.rows(1)), c.vec(3))
	},
	"norm": func(c *ascendCase) { c.k.Norm(c.vecs()...) },
	"zero": func(c *ascendCase) { c.k.Clear(c.vecs()...) },
	"clip": func(c *ascendCase) {
		norm := c.k.Norm(ascend.VecAt(c.alloc(4), 1))
		c.r.Launches = nil // of the norm, which is another statement
		c.k.Clip(norm, c.s.Attrs.Float("max"), c.s.Attrs.Str("rule") == "torch")
	},
	"adamw": ascendAdamW,
}

func ascendRope(c *ascendCase) {
	y, x, pos, cos, sin, head := c.out(0), c.in(0), c.below(1, c.rows(2)), c.in(2), c.in(3), c.s.Attrs.Int("head_dim")
	if c.s.Attrs.Bool("inverse") {
		c.k.RopeGrad(y, x, pos, cos, sin, head)
	} else {
		c.k.Rope(y, x, pos, cos, sin, head)
	}
}

// ascendGather: matrices by rows, vectors by numbers of four or eight bytes.
func ascendGather(c *ascendCase) {
	t, rows := c.s.Results[0].Type, c.below(1, c.rows(0))
	n, of := t.Elems(c.env), c.s.Args[0].Type().Elems(c.env)
	switch {
	case t.Rank() == 2:
		c.k.GatherRows(c.out(0), c.in(0), rows)
	case t.DType == ir.I64:
		c.k.GatherSeeds(ascend.SeedsAt(c.alloc(8*n), n), ascend.SeedsAt(c.alloc(8*of), of), rows)
	default:
		c.k.GatherInts(ascend.IntsAt(c.alloc(4*n), n), ascend.IntsAt(c.alloc(4*of), of), rows)
	}
}

func ascendLoRA(c *ascendCase) {
	var list []ascend.Adapted
	for _, l := range group(c.s).Linears {
		p := ascend.Adapted{Y: c.out(l.Y), W: c.in(l.W)}
		if l.Adapted {
			p.XA, p.A, p.B, p.Scale, p.Drop = c.out(l.XA), c.in(l.A), c.in(l.B), 1, c.drop(l.Stream)
		}
		list = append(list, p)
	}
	c.k.LoRALinear(c.in(0), list...)
}

func ascendLoRAGrad(c *ascendCase) {
	g := group(c.s)
	var dx, x ascend.Mat
	if g.DX != ir.None {
		dx = c.out(g.DX)
	}
	if g.X != ir.None {
		x = c.in(g.X)
	}
	var list []ascend.AdaptedGrad
	for _, l := range g.Linears {
		p := ascend.AdaptedGrad{DY: c.in(l.D), W: c.in(l.W)}
		if l.Adapted {
			p.XA, p.A, p.B, p.Scale, p.Drop = c.in(l.XA), c.in(l.A), c.in(l.B), 1, c.drop(l.Stream)
		}
		if l.Kind == "lora" {
			p.DA, p.DB = c.in(l.DA), c.in(l.DB)
		}
		list = append(list, p)
	}
	c.k.LoRALinearGrad(dx, x, list...)
}

func ascendAdamW(c *ascendCase) {
	var copies []ascend.Copy
	for i, a := range c.s.Args {
		if s := a.Storage; s != nil && s.Kind == ir.Copy {
			copies = append(copies, ascend.Copy{Mat: c.in(i), Scale: float32(s.Attrs.Float("scale"))})
		}
	}
	step := ascend.AdamStep{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, GradScale: ascend.Number(1), Step: 1, Torch: c.s.Attrs.Str("rule") == "torch"}
	c.k.AdamW(c.vec(0), c.vec(1), c.vec(2), c.vec(3), step, copies...)
}

// ascendCase makes the operands of one statement of f in memory that is not there.
type ascendCase struct {
	k   *ascend.Context
	r   *ascend.Recorder
	f   *ir.Func
	s   *ir.Stmt
	env ir.Env
}

// record is what a statement launches on a card, nil where ascendOps lacks its op.
func record(soc cost.SoC, f *ir.Func, s *ir.Stmt, env ir.Env) *ascend.Recording {
	call := ascendOps[s.Op.Name]
	if call == nil {
		return nil
	}
	r := &ascend.Recorder{Cubes: soc.Cubes, Vectors: soc.Vectors}
	call(&ascendCase{ascend.New(r), r, f, s, env})
	return &r.Recording
}

func (c *ascendCase) alloc(bytes int) ascend.Ptr {
	p, _ := c.r.Alloc(bytes)
	return p
}

var ascendTypes = map[ir.DType]ascend.DType{ir.F32: ascend.F32, ir.F16: ascend.F16, ir.BF16: ascend.BF16}

func (c *ascendCase) mat(t ir.Type, times int) ascend.Mat {
	d, ok := ascendTypes[t.DType]
	if !ok {
		panic(fmt.Sprintf("BUG: bench: %s has an operand of %s", c.s.Op.Name, t.DType))
	}
	rows, cols := times, t.Elems(c.env)
	if t.Rank() == 2 {
		rows, cols = times*c.env.Size(t.Shape[0]), c.env.Size(t.Shape[1])
	}
	return ascend.MatAt(c.alloc(rows*cols*d.Size()), rows, cols, d)
}

// in is an operand: outside of a layer, of all layers.
func (c *ascendCase) in(i int) ascend.Mat {
	times := 1
	if s := c.s.Args[i].Storage; s != nil && s.Stack != nil && c.f.Index == nil {
		times = s.Count()
	}
	return c.mat(c.s.Args[i].Type(), times)
}

func (c *ascendCase) vec(i int) ascend.Vec {
	m := c.in(i)
	return ascend.VecAt(m.At, m.Rows*m.Cols)
}

func (c *ascendCase) vecs() (list []ascend.Vec) {
	for i := range c.s.Args {
		list = append(list, c.vec(i))
	}
	return list
}

func (c *ascendCase) out(i int) ascend.Mat { return c.mat(c.s.Results[i].Type, 1) }

func (c *ascendCase) outVec(i int) ascend.Vec {
	n := c.s.Results[i].Type.Elems(c.env)
	return ascend.VecAt(c.alloc(4*n), n)
}

// rows and outRows are the first extents of an operand and of a result.
func (c *ascendCase) rows(i int) int    { return c.env.Size(c.s.Args[i].Type().Shape[0]) }
func (c *ascendCase) outRows(i int) int { return c.env.Size(c.s.Results[i].Type.Shape[0]) }

// ints puts numbers where the kernels read them.
func (c *ascendCase) ints(n int, of func(i int) int) ascend.Ints {
	b := make([]byte, 0, 4*n)
	for i := range n {
		b = binary.LittleEndian.AppendUint32(b, uint32(of(i)))
	}
	p := c.alloc(len(b))
	c.r.Upload(p, b) //nolint:errcheck // a recorder has no errors
	return ascend.IntsAt(p, n)
}

// below is an operand of integers that count up, again and again to a limit.
func (c *ascendCase) below(i, limit int) ascend.Ints {
	return c.ints(c.s.Args[i].Type().Elems(c.env), func(i int) int { return i % limit })
}

// starts is sequences of equal lengths, and the end of the last.
func (c *ascendCase) starts() ascend.Ints {
	list := c.ints(c.env["N"]+1, func(i int) int { return i * c.env["T"] / c.env["N"] })
	list.N--
	return list
}

// chosen is the operand of rows, all of them, nil where there is none.
func (c *ascendCase) chosen(i int) ascend.Ints {
	if i >= len(c.s.Args) {
		return nil
	}
	return c.below(i, c.env["T"])
}

func (c *ascendCase) drop(stream int) ascend.Drop {
	p := c.s.Attrs.Float("p")
	if p == 0 {
		return ascend.Drop{}
	}
	n := c.env["T"]
	return ascend.Drop{P: float32(p), Seeds: ascend.SeedsAt(c.alloc(8*n), n), Stream: stream}
}
