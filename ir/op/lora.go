package op

import (
	"fmt"
	"slices"

	"lorac/ir"
)

// LoRA (Hu et al. 2021) fused: linears that read the same x, each plain or
// with an adapter, in one op that reads x once.
//
//	y  = x·wᵀ + scale·xa·bᵀ,  xa = drop(x)·aᵀ
//	g  = d·b (once), da = scale·gᵀ·drop(x), db = scale·dᵀ·xa
//	dx = Σ d·w + scale·drop(g·a)

var loraAttrs = []ir.AttrSpec{
	{Name: "parts", Kind: ir.ListAttr, Required: true}, // per linear: lora, plain or (gradient only) frozen: an adapter that does not train
	{Name: "scale", Kind: ir.FloatAttr, Required: true},
	{Name: "p", Kind: ir.FloatAttr},      // dropout
	{Name: "streams", Kind: ir.ListAttr}, // masks of the adapted parts
}

func init() {
	ir.Register(&ir.Op{
		Name: "lora_linear", Doc: "y = x·wᵀ + scale·(drop(x)·aᵀ)·bᵀ for linears that share x", Args: []string{"x", "w"}, Variadic: true,
		Attrs: loraAttrs, Kernel: "LoRALinear", Rowwise: []int{0},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			l, err := parseLoRA(s, 0, 1)
			if err != nil {
				return nil, err
			}
			var out []ir.Type
			for _, p := range l.parts {
				out = append(out, f32(l.rows, p.out))
				if p.adapted {
					out = append(out, f32(l.rows, p.rank))
				}
			}
			return out, nil
		},
		Eval: evalLoRA,
		Grad: gradLoRA,
		Only: onlyLoRA,
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			l, err := parseLoRA(s, 0, 1)
			if err != nil {
				return nil
			}
			rows, in := float64(env.Size(l.rows)), float64(env.Size(l.in))
			var base, lora float64
			for _, p := range l.parts {
				base += 2 * rows * in * float64(p.out.N)
				lora += 2 * rows * float64(p.rank.N) * (in + float64(p.out.N))
			}
			return work(ir.Work{Group: "linear", FLOPs: base}, ir.Work{Group: "lora", FLOPs: lora})
		},
	})
	acc(ir.Register(&ir.Op{
		Name: "lora_linear_grad", Doc: "gradients of lora_linear in x (unless dx=false) and in a and b of the adapters that train",
		Args: []string{"d"}, Variadic: true,
		Attrs:  append(append([]ir.AttrSpec(nil), loraAttrs...), ir.AttrSpec{Name: "dx", Kind: ir.BoolAttr}),
		Kernel: "LoRALinearGrad",
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			g, err := parseLoRAGrad(s)
			if err != nil {
				return nil, err
			}
			var out []ir.Type
			if g.dx {
				out = append(out, f32(g.rows, g.in))
			}
			for _, p := range g.parts {
				if p.kind == "lora" {
					out = append(out, f32(p.rank, g.in), f32(p.out, p.rank))
				}
			}
			return out, nil
		},
		AccResults: func(s *ir.Stmt) []int {
			g, err := parseLoRAGrad(s)
			if err != nil {
				return nil
			}
			n := 0
			if g.dx {
				n = 1
			}
			var out []int
			for _, p := range g.parts {
				if p.kind == "lora" {
					out = append(out, n, n+1)
					n += 2
				}
			}
			return out
		},
		Drop: dropLoRA,
		Eval: evalLoRAGrad,
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			g, err := parseLoRAGrad(s)
			if err != nil {
				return nil
			}
			rows, in := float64(env.Size(g.rows)), float64(env.Size(g.in))
			var base, lora float64
			for _, p := range g.parts {
				out, r := float64(p.out.N), float64(p.rank.N)
				if g.dx {
					base += 2 * rows * in * out
					lora += 2 * rows * in * r
				}
				if p.kind == "lora" {
					lora += 2 * rows * r * (in + out)
				}
				if p.kind == "lora" || g.dx {
					lora += 2 * rows * r * out
				}
			}
			return work(ir.Work{Group: "linear.dx", FLOPs: base}, ir.Work{Group: "lora.grad", FLOPs: lora})
		},
	}))
}

// work leaves out what takes nothing: there may be no adapter at all.
func work(parts ...ir.Work) []ir.Work {
	return slices.DeleteFunc(parts, func(w ir.Work) bool { return w.FLOPs == 0 })
}

// loraPart is one linear of the group; the indices point into the operands.
type loraPart struct {
	kind      string
	adapted   bool
	out, rank ir.Dim
	w, a, b   int
	d, xa     int // gradient only
	stream    int
	y, xaR    int // result indices, forward only
}

type loraForm struct {
	rows, in ir.Dim
	x        int
	parts    []loraPart
	scale, p float64
	keys     int // operands keys and layer, 0 when there is no dropout
	dx       bool
}

// parseLoRA reads the operands: x at index x, weights from w on.
func parseLoRA(s *ir.Stmt, x, w int) (*loraForm, error) {
	l := &loraForm{x: x, scale: s.Attrs.Float("scale"), p: s.Attrs.Float("p")}
	streams := s.Attrs.List("streams")
	result, adapted := 0, 0
	for _, v := range s.Attrs.List("parts") {
		kind, _ := v.(string)
		p := loraPart{kind: kind, adapted: kind != "plain", w: w, y: result}
		n := 1
		result++
		if p.adapted {
			n, p.a, p.b, p.xaR = 3, w+1, w+2, result
			result++
			if l.p > 0 {
				if adapted >= len(streams) {
					return nil, fmt.Errorf("attribute `streams` lists %d masks", len(streams))
				}
				p.stream, _ = streams[adapted].(int)
			}
			adapted++
		}
		if kind != "lora" && kind != "plain" && kind != "frozen" || w+n > len(s.Args) {
			return nil, fmt.Errorf("attribute `parts` has %q, or more parts than operands", kind)
		}
		w += n
		l.parts = append(l.parts, p)
	}
	if l.p > 0 {
		l.keys = w
		w += 2
	}
	if len(l.parts) == 0 || w != len(s.Args) || x >= len(s.Args) {
		return nil, fmt.Errorf("%d operands do not match the parts", len(s.Args))
	}
	rows, in, err := matrix(s, x)
	if err != nil {
		return nil, err
	}
	l.rows, l.in = rows, in
	for i := range l.parts {
		p := &l.parts[i]
		out, wc, err := matrix(s, p.w)
		if err = all(err, equalDims(s, wc, in)); err != nil {
			return nil, err
		}
		p.out = out
		if !p.adapted {
			continue
		}
		r, ac, err := matrix(s, p.a)
		if err = all(err, equalDims(s, ac, in), want(s, p.b, ir.Tensor(s.Args[p.b].Type().DType, out, r))); err != nil {
			return nil, err
		}
		p.rank = r
	}
	if l.p > 0 {
		if err := all(want(s, l.keys, ir.Tensor(ir.I64, rows)), want(s, l.keys+1, ir.Scalar(ir.I32))); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// parseLoRAGrad reads d per part, x, xa per adapted part, then as parseLoRA.
func parseLoRAGrad(s *ir.Stmt) (*loraForm, error) {
	n, adapted := 0, 0
	for _, v := range s.Attrs.List("parts") {
		n++
		if v != "plain" {
			adapted++
		}
	}
	g, err := parseLoRA(s, n, n+1+adapted)
	if err != nil {
		return nil, err
	}
	g.dx = true
	if v, ok := s.Attrs["dx"].(bool); ok {
		g.dx = v
	}
	xa := n + 1
	for i := range g.parts {
		p := &g.parts[i]
		p.d = i
		if err := want(s, i, f32(g.rows, p.out)); err != nil {
			return nil, err
		}
		if p.adapted {
			p.xa = xa
			xa++
			if err := want(s, p.xa, f32(g.rows, p.rank)); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

func (l *loraForm) drop(in []*ir.Array, p *loraPart) dropSpec {
	if l.p == 0 {
		return dropSpec{}
	}
	return dropSpec{l.p, in[l.keys].I, in[l.keys+1].I[0], p.stream}
}

func like(a *ir.Array) *ir.Array { return &ir.Array{Shape: a.Shape, F: make([]float64, len(a.F))} }

func evalLoRA(c *ir.EvalCtx) {
	l, _ := parseLoRA(c.S, 0, 1)
	for i := range l.parts {
		p := &l.parts[i]
		y := c.Out[p.y]
		mulNT(y, c.In[0], c.In[p.w])
		if !p.adapted {
			continue
		}
		xd, delta := like(c.In[0]), like(y)
		l.drop(c.In, p).apply(xd, c.In[0])
		mulNT(c.Out[p.xaR], xd, c.In[p.a])
		mulNT(delta, c.Out[p.xaR], c.In[p.b])
		axpy(y.F, l.scale, delta.F)
	}
}

func evalLoRAGrad(c *ir.EvalCtx) {
	g, _ := parseLoRAGrad(c.S)
	out := c.Out
	var dx *ir.Array
	if g.dx {
		dx, out = out[0], out[1:]
	}
	x := c.In[g.x]
	for i := range g.parts {
		p := &g.parts[i]
		d := c.In[p.d]
		if dx != nil {
			mulNN(dx, d, c.In[p.w])
		}
		if !p.adapted {
			continue
		}
		gr := like(c.In[p.xa])
		mulNN(gr, d, c.In[p.b])
		drop := g.drop(c.In, p)
		if dx != nil {
			t, td := like(x), like(x)
			mulNN(t, gr, c.In[p.a])
			drop.apply(td, t)
			axpy(dx.F, g.scale, td.F)
		}
		if p.kind == "lora" {
			xd := like(x)
			drop.apply(xd, x)
			da, db := like(out[0]), like(out[1])
			mulTN(da, gr, xd)
			mulTN(db, d, c.In[p.xa])
			axpy(out[0].F, g.scale, da.F)
			axpy(out[1].F, g.scale, db.F)
			out = out[2:]
		}
	}
}

func gradLoRA(g *ir.GradCtx) {
	s := g.S
	l, _ := parseLoRA(s, 0, 1)
	var ds, xas, ws []ir.Operand
	names := []string{g.Name(0)}
	for i := range l.parts {
		p := &l.parts[i]
		d := g.D[p.y]
		if d == nil {
			d = g.Emit1("zeros", "d."+s.Results[p.y].Name, zerosLike(s.Results[p.y].Type))
		}
		ds = append(ds, ir.Val(d))
		ws = append(ws, g.Arg(p.w))
		if p.adapted {
			xas = append(xas, g.Result(p.xaR))
			ws = append(ws, g.Arg(p.a), g.Arg(p.b))
			names = append(names, g.Name(p.a), g.Name(p.b))
		}
	}
	if len(xas) == 0 {
		g.Add(0, sumOfProducts(g, ds, ws))
		for i, p := range l.parts {
			g.Add(p.w, g.Emit1("matmul", g.Name(p.w), ir.Attrs{"group": "linear", "trans": "lhs"}, ds[i], g.Arg(0)))
		}
		return
	}
	args := append(append(append(append([]ir.Operand(nil), ds...), g.Arg(0)), xas...), ws...)
	if l.p > 0 {
		args = append(args, g.Arg(l.keys), g.Arg(l.keys+1))
	}
	out := g.Emit("lora_linear_grad", names, s.Attrs.Clone(), args...)
	g.Add(0, out[0])
	out = out[1:]
	for i := range l.parts {
		p := &l.parts[i]
		if p.adapted {
			g.Add(p.a, out[0])
			g.Add(p.b, out[1])
			out = out[2:]
		}
		g.Add(p.w, g.Emit1("matmul", g.Name(p.w), ir.Attrs{"group": "linear", "trans": "lhs"}, ds[i], g.Arg(0)))
	}
}

// sumOfProducts is Σ d·w, each product added onto the one before.
func sumOfProducts(g *ir.GradCtx, ds, ws []ir.Operand) *ir.Value {
	attrs := ir.Attrs{"group": "linear", "trans": "none"}
	name := func(i int) string {
		if i < len(ds)-1 {
			return g.Name(0) + ".part"
		}
		return g.Name(0)
	}
	sum := g.Emit1("matmul", name(0), attrs, ds[0], ws[0])
	for i := range ds[1:] {
		sum = g.Emit1("add_matmul", name(i+1), attrs.Clone(), ir.Val(sum), ds[i+1], ws[i+1])
	}
	return sum
}

// dropLoRA drops the input gradient, and the pair of an adapter's gradients
// when neither is wanted.
func dropLoRA(s *ir.Stmt, dead []bool) (ir.Attrs, bool) {
	g, err := parseLoRAGrad(s)
	if err != nil || s.Op.Name != "lora_linear_grad" {
		return nil, false
	}
	attrs, changed := s.Attrs.Clone(), false
	if g.dx {
		if dead[0] {
			attrs["dx"], changed = false, true
		}
		dead = dead[1:]
	}
	var parts []any
	for _, p := range g.parts {
		kind := p.kind
		if kind == "lora" {
			if dead[0] && dead[1] {
				kind, changed = "frozen", true
			} else if dead[0] != dead[1] {
				return nil, false
			}
			dead = dead[2:]
		}
		parts = append(parts, kind)
	}
	attrs["parts"] = parts
	return attrs, changed
}

// onlyLoRA is the linear that makes result r, alone.
func onlyLoRA(s *ir.Stmt, r int) ([]ir.Operand, ir.Attrs, []int) {
	l, err := parseLoRA(s, 0, 1)
	if err != nil {
		return nil, nil, nil
	}
	for _, p := range l.parts {
		if r != p.y && !(p.adapted && r == p.xaR) {
			continue
		}
		args, attrs, results := []ir.Operand{s.Args[0], s.Args[p.w]}, s.Attrs.With("parts", []any{p.kind}), []int{p.y}
		if p.adapted {
			args, results = append(args, s.Args[p.a], s.Args[p.b]), append(results, p.xaR)
		}
		switch {
		case l.p > 0 && p.adapted:
			args = append(args, s.Args[l.keys], s.Args[l.keys+1])
			attrs["streams"] = []any{p.stream}
		case l.p > 0:
			delete(attrs, "p")
			delete(attrs, "streams")
		}
		return args, attrs, results
	}
	return nil, nil, nil
}
