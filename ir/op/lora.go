package op

import (
	"slices"

	"lorac/ir"
)

// LoRA (Hu et al. 2021) fused: linears that read the same x, each plain or
// with an adapter, in one op that reads x once.
//
//	y  = x·wᵀ + bias + scale·xa·bᵀ,  xa = drop(x)·aᵀ
//	g  = d·b (once), da = scale·gᵀ·drop(x), db = scale·dᵀ·xa
//	dx = Σ d·w + scale·drop(g·a)

var loraAttrs = []ir.AttrSpec{
	{Name: "parts", Kind: ir.ListAttr, Required: true}, // per linear: lora, plain or (gradient only) frozen: an adapter that does not train
	{Name: "scale", Kind: ir.FloatAttr, Required: true},
	{Name: "p", Kind: ir.FloatAttr},      // dropout
	{Name: "streams", Kind: ir.ListAttr}, // masks of the adapted parts
}

// biasAttr lists the linears of lora_linear that have a bias, by their numbers.
var biasAttr = ir.AttrSpec{Name: "bias", Kind: ir.ListAttr}

// formula is what a statement of the family computes: y = x·wᵀ alone, where no
// linear has an adapter.
func formula(s *ir.Stmt) string {
	g, err := ir.LoRAOf(s)
	if err != nil {
		return s.Op.Doc
	}
	xd := "x"
	if g.Dropout > 0 {
		xd = "drop(x)"
	}
	if s.Op.Name == "lora_linear" {
		bias := ""
		if len(s.Attrs.List("bias")) > 0 {
			bias = " + bias"
		}
		if len(g.Adapters()) == 0 {
			return "y = x·wᵀ" + bias + " of each w"
		}
		return "y = x·wᵀ" + bias + " + scale·xa·bᵀ, xa = " + xd + "·aᵀ"
	}
	back := "g·a"
	if g.Dropout > 0 {
		back = "drop(g·a)"
	}
	switch text := "da += scale·gᵀ·" + xd + ", db += scale·dyᵀ·xa, with g = dy·b"; {
	case len(g.Adapters()) == 0:
		return "dx = Σ dy·w over the linears"
	case !g.Trains():
		return "dx = Σ (dy·w + scale·" + back + ") over the linears, with g = dy·b"
	case g.DX != ir.None:
		return "dx = Σ (dy·w + scale·" + back + ") over the linears, " + text
	default:
		return text
	}
}

func init() {
	ir.Register(&ir.Op{
		Name: "lora_linear", Ascend: "lora_down lora_down_drop lora_linear", Doc: "y = x·wᵀ + bias + scale·(drop(x)·aᵀ)·bᵀ for linears that share x", Args: []string{"x", "w"}, Variadic: true,
		Attrs: append(slices.Clone(loraAttrs), biasAttr), NoAscendOf: func(s *ir.Stmt) string {
			if len(s.Attrs.List("bias")) > 0 {
				return biasInside
			}
			return ""
		},
		Kernel: "LoRALinear", Formula: formula, Place: placeLoRA, Rowwise: []int{0},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			g, err := checkLoRA(s)
			if err != nil {
				return nil, err
			}
			var out []ir.Type
			for i, l := range g.Linears {
				out = append(out, f32(g.rows, g.out[i]))
				if l.Adapted {
					out = append(out, f32(g.rows, g.rank[i]))
				}
			}
			return out, nil
		},
		Eval: evalLoRA,
		Grad: gradLoRA,
		Only: onlyLoRA,
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			g, err := checkLoRA(s)
			if err != nil {
				return nil
			}
			rows, in := float64(env.Size(g.rows)), float64(env.Size(g.in))
			var base, lora float64
			for i := range g.Linears {
				base += 2 * rows * in * float64(g.out[i].N)
				lora += 2 * rows * float64(g.rank[i].N) * (in + float64(g.out[i].N))
			}
			return work(ir.Work{Group: "linear", FLOPs: base}, ir.Work{Group: "lora", FLOPs: lora})
		},
	})
	acc(ir.Register(&ir.Op{
		Name: "lora_linear_grad", Ascend: "lora_up_grad lora_linear_grad lora_dx_drop", Doc: "gradients of lora_linear in x (unless dx=false) and in a and b of the adapters that train",
		Args: []string{"d"}, Variadic: true, Place: placeLoRA,
		Attrs: append(append([]ir.AttrSpec(nil), loraAttrs...), ir.AttrSpec{Name: "dx", Kind: ir.BoolAttr}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			g, err := checkLoRA(s)
			if err != nil {
				return nil, err
			}
			var out []ir.Type
			if g.DX != ir.None {
				out = append(out, f32(g.rows, g.in))
			}
			for i, l := range g.Linears {
				if l.Kind == "lora" {
					out = append(out, f32(g.rank[i], g.in), f32(g.out[i], g.rank[i]))
				}
			}
			return out, nil
		},
		AccResults: func(s *ir.Stmt) []int {
			g, err := ir.LoRAOf(s)
			if err != nil {
				return nil
			}
			var out []int
			for _, l := range g.Linears {
				if l.Kind == "lora" {
					out = append(out, l.DA, l.DB)
				}
			}
			return out
		},
		// With nothing to add to storages, it is what runs.
		KernelOf: func(s *ir.Stmt) string {
			if g, err := ir.LoRAOf(s); err != nil || g.Trains() {
				return ""
			}
			return "LoRALinearGrad"
		},
		Drop:    dropLoRA,
		Formula: formula,
		Eval:    evalLoRAGrad,
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			g, err := checkLoRA(s)
			if err != nil {
				return nil
			}
			rows, in := float64(env.Size(g.rows)), float64(env.Size(g.in))
			var base, lora float64
			for i, l := range g.Linears {
				out, r := float64(g.out[i].N), float64(g.rank[i].N)
				if g.DX != ir.None {
					base += 2 * rows * in * out
					lora += 2 * rows * in * r
				}
				if l.Kind == "lora" {
					lora += 2 * rows * r * (in + out)
				}
				if l.Kind == "lora" || g.DX != ir.None {
					lora += 2 * rows * r * out
				}
			}
			return work(ir.Work{Group: "linear.dx", FLOPs: base}, ir.Work{Group: "lora.grad", FLOPs: lora})
		},
	}), "LoRALinearGrad").Ascend = "lora_up_grad lora_linear_grad lora_dx_drop weight_grad weight_grad_drop"
}

// work leaves out what takes nothing: there may be no adapter at all.
func work(parts ...ir.Work) []ir.Work {
	return slices.DeleteFunc(parts, func(w ir.Work) bool { return w.FLOPs == 0 })
}

// loraForm is a group with its extents, once they are checked.
type loraForm struct {
	*ir.LoRAGroup
	rows, in  ir.Dim
	out, rank []ir.Dim // by linear; the rank of a plain one is 0
}

// checkLoRA reads a statement and checks the shapes of its operands.
func checkLoRA(s *ir.Stmt) (*loraForm, error) {
	group, err := ir.LoRAOf(s)
	if err != nil {
		return nil, err
	}
	g := &loraForm{LoRAGroup: group}
	if g.X != ir.None {
		g.rows, g.in, err = matrix(s, g.X)
	} else if g.rows, _, err = matrix(s, g.Linears[0].D); err == nil {
		_, g.in, err = matrix(s, g.Linears[0].W)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range g.Linears {
		out, wc, err := matrix(s, l.W)
		if err = all(err, equalDims(s, wc, g.in)); err != nil {
			return nil, err
		}
		rank := ir.N(0)
		if l.Adapted {
			r, ac, err := matrix(s, l.A)
			if err = all(err, equalDims(s, ac, g.in), want(s, l.B, ir.Tensor(s.Args[l.B].Type().DType, out, r))); err != nil {
				return nil, err
			}
			rank = r
		}
		if l.Bias != ir.None {
			if err := want(s, l.Bias, f32(out)); err != nil {
				return nil, err
			}
		}
		if l.D != ir.None {
			if err := activation(s, l.D, g.rows, out); err != nil {
				return nil, err
			}
			if l.Adapted {
				if err := activation(s, l.XA, g.rows, rank); err != nil {
					return nil, err
				}
			}
		}
		g.out, g.rank = append(g.out, out), append(g.rank, rank)
	}
	if g.Dropout > 0 {
		return g, all(want(s, g.Seeds, ir.Tensor(ir.I64, g.rows)), want(s, g.Layer, ir.Scalar(ir.I32)))
	}
	return g, nil
}

func (g *loraForm) drop(c *ir.EvalCtx, l *ir.LoRALinear) dropSpec {
	if g.Dropout == 0 {
		return dropSpec{}
	}
	return dropSpec{g.Dropout, c.In[g.Seeds].I, c.In[g.Layer].I[0], l.Stream, c.First(g.X, 1)}
}

func like(a *ir.Array) *ir.Array { return &ir.Array{Shape: a.Shape, F: make([]float64, len(a.F))} }

func evalLoRA(c *ir.EvalCtx) {
	g, _ := checkLoRA(c.S)
	x := c.In[g.X]
	for i := range g.Linears {
		l := &g.Linears[i]
		y := c.Out[l.Y]
		mulNT(y, x, c.In[l.W])
		if l.Bias != ir.None {
			addBias(y, y, c.In[l.Bias])
		}
		if !l.Adapted {
			continue
		}
		xd, delta := like(x), like(y)
		g.drop(c, l).apply(xd, x)
		mulNT(c.Out[l.XA], c.Rounded(xd), c.In[l.A])
		mulNT(delta, c.Rounded(c.Out[l.XA]), c.In[l.B])
		axpy(y.F, g.Scale, delta.F)
	}
}

func evalLoRAGrad(c *ir.EvalCtx) {
	g, _ := checkLoRA(c.S)
	var dx *ir.Array
	if g.DX != ir.None {
		dx = c.Out[g.DX]
	}
	for _, l := range g.Linears {
		if dx != nil {
			mulNN(dx, c.In[l.D], c.In[l.W])
		}
	}
	if dx != nil && g.Dropout > 0 {
		c.Rounded(dx) // a device adds what masks leave in a second pass
	}
	for i := range g.Linears {
		l := &g.Linears[i]
		if !l.Adapted {
			continue
		}
		x, d := c.In[g.X], c.In[l.D]
		gr := like(c.In[l.XA])
		mulNN(gr, d, c.In[l.B])
		c.Rounded(gr)
		drop := g.drop(c, l)
		if dx != nil {
			t, td := like(x), like(x)
			mulNN(t, gr, c.In[l.A])
			drop.apply(td, t)
			axpy(dx.F, g.Scale, td.F)
		}
		if l.Kind == "lora" {
			xd := like(x)
			drop.apply(xd, x)
			c.Rounded(xd)
			da, db := like(c.Out[l.DA]), like(c.Out[l.DB])
			mulTN(da, gr, xd)
			mulTN(db, d, c.In[l.XA])
			axpy(c.Out[l.DA].F, g.Scale, da.F)
			axpy(c.Out[l.DB].F, g.Scale, db.F)
		}
	}
}

func gradLoRA(c *ir.GradCtx) {
	s := c.S
	g, _ := checkLoRA(s)
	for _, l := range g.Linears {
		if l.Bias != ir.None && c.D[l.Y] != nil {
			c.Add(l.Bias, c.Emit1("sum_rows", c.Name(l.Bias), nil, ir.Val(c.D[l.Y])))
		}
	}
	var ds, xas, ws []ir.Operand
	names := []string{c.Name(g.X)}
	for _, l := range g.Linears {
		d := c.D[l.Y]
		if d == nil {
			d = c.Emit1("zeros", "d."+s.Results[l.Y].Name, zerosLike(s.Results[l.Y].Type))
		}
		ds = append(ds, ir.Val(d))
		ws = append(ws, c.Arg(l.W))
		if l.Adapted {
			xas = append(xas, c.Result(l.XA))
			ws = append(ws, c.Arg(l.A), c.Arg(l.B))
			names = append(names, c.Name(l.A), c.Name(l.B))
		}
	}
	if len(xas) == 0 {
		c.Add(g.X, sumOfProducts(c, ds, ws))
		for i, l := range g.Linears {
			c.Add(l.W, c.Emit1("matmul", c.Name(l.W), ir.Attrs{"group": "linear", "trans": "lhs"}, ds[i], c.Arg(g.X)))
		}
		return
	}
	args := append(append(append(append([]ir.Operand(nil), ds...), c.Arg(g.X)), xas...), ws...)
	if g.Dropout > 0 {
		args = append(args, c.Arg(g.Seeds), c.Arg(g.Layer))
	}
	attrs := s.Attrs.Clone()
	delete(attrs, "bias")
	out := c.Emit("lora_linear_grad", names, attrs, args...)
	c.Add(g.X, out[0])
	out = out[1:]
	for i, l := range g.Linears {
		if l.Adapted {
			c.Add(l.A, out[0])
			c.Add(l.B, out[1])
			out = out[2:]
		}
		c.Add(l.W, c.Emit1("matmul", c.Name(l.W), ir.Attrs{"group": "linear", "trans": "lhs"}, ds[i], c.Arg(g.X)))
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
	if s.Op.Name != "lora_linear_grad" {
		return nil, false
	}
	g, err := ir.LoRAOf(s)
	if err != nil {
		return nil, false
	}
	attrs, changed := s.Attrs.Clone(), false
	if g.DX != ir.None && dead[g.DX] {
		attrs["dx"], changed = false, true
	}
	var parts []any
	for _, l := range g.Linears {
		kind := l.Kind
		if kind == "lora" {
			if dead[l.DA] && dead[l.DB] {
				kind, changed = "frozen", true
			} else if dead[l.DA] != dead[l.DB] {
				return nil, false
			}
		}
		parts = append(parts, kind)
	}
	attrs["parts"] = parts
	return attrs, changed
}

// onlyLoRA is the linear that makes result r, alone.
func onlyLoRA(s *ir.Stmt, r int) ([]ir.Operand, ir.Attrs, []int) {
	g, err := ir.LoRAOf(s)
	if err != nil {
		return nil, nil, nil
	}
	for _, l := range g.Linears {
		if r != l.Y && !(l.Adapted && r == l.XA) {
			continue
		}
		args, attrs, results := []ir.Operand{s.Args[g.X], s.Args[l.W]}, s.Attrs.With("parts", []any{l.Kind}), []int{l.Y}
		if l.Adapted {
			args, results = append(args, s.Args[l.A], s.Args[l.B]), append(results, l.XA)
		}
		if delete(attrs, "bias"); l.Bias != ir.None {
			args, attrs["bias"] = append(args, s.Args[l.Bias]), []any{0}
		}
		switch {
		case g.Dropout > 0 && l.Adapted:
			args = append(args, s.Args[g.Seeds], s.Args[g.Layer])
			attrs["streams"] = []any{l.Stream}
		case g.Dropout > 0:
			delete(attrs, "p")
			delete(attrs, "streams")
		}
		return args, attrs, results
	}
	return nil, nil, nil
}
