package op

import (
	"fmt"
	"math"
	"slices"

	"lorac/ir"
)

// What the ranks of one axis of the mesh say to each other. Of a tensor of n
// bytes on one rank, each of r ranks sends
//
//	all_reduce, sum_units   2·(r−1)/r·n    partial → whole
//	reduce_scatter          (r−1)/r·n      partial → cut
//	scatter_units           (r−1)/r·n      partial → shared
//	all_gather              (r−1)·n        cut → whole
//	gather_shares           (r−1)/r·n      shared → whole
//	send                    n              to a neighbour along the axis
//	norm_layers             (r−1)·(numbers that say all of the rank's layers)
//	norm_shares             (r−1)·(the same of its share)
//
// The pass partition writes the bytes of the largest micro-batch as attribute
// bytes. It runs after autodiff, so no gradient passes through these ops: the
// backward has collectives of its own.
func init() {
	axis := ir.AttrSpec{Name: "axis", Kind: ir.StringAttr, Required: true}
	bytes := ir.AttrSpec{Name: "bytes", Kind: ir.IntAttr}
	ir.Register(&ir.Op{
		Name: "all_reduce", NoAscend: oneCard, Doc: "the sum of x over the ranks of an axis (of: lse, the logarithm of the sum of exponentials)",
		Args: []string{"x"}, InPlace: [][2]int{{0, 0}},
		Formula: func(s *ir.Stmt) string {
			if s.Attrs.Str("of") == "lse" {
				return "the logarithm of the sum of exponentials over the processes"
			}
			return "the sum over the processes"
		},
		Attrs: []ir.AttrSpec{axis, bytes, {Name: "of", Kind: ir.StringAttr}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			if _, err := joins(s); err != nil {
				return nil, err
			}
			return likeFirst(s)
		},
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if p.Axis != p.S.Attrs.Str("axis") {
				return p.In, nil
			}
			how, _ := joins(p.S)
			if p.In[0].How != how {
				return nil, fmt.Errorf("%s is %s: nothing to sum", p.S.Args[0], p.In[0])
			}
			return []ir.Placement{ir.IsWhole}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			how, _ := joins(c.S)
			join(c.Out[0], ranks(c, c.In[0]), how)
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int {
			return 2 * share(s.Args[0].Type().Bytes(env), along(s, m))
		},
	})
	ir.Register(&ir.Op{
		Name: "reduce_scatter", NoAscend: oneCard, Doc: "this rank's part of the sum of x over the ranks of an axis; to: the extent of that part",
		Args:  []string{"x"},
		Attrs: []ir.AttrSpec{axis, bytes, {Name: "dim", Kind: ir.IntAttr, Required: true}, {Name: "to", Kind: ir.DimAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			t, dim, err := alongDim(s)
			to := s.Attrs.Dim("to")
			if err == nil && (to.By != s.Attrs.Str("axis") || !to.Whole().Same(t.Shape[dim])) {
				err = fmt.Errorf("`to` is %s, no part of %s", to, t)
			}
			if err != nil {
				return nil, err
			}
			return []ir.Type{f32(t.With(dim, to).Shape...)}, nil
		},
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if p.Axis != p.S.Attrs.Str("axis") {
				return p.In, nil
			}
			if p.In[0] != ir.IsSum {
				return nil, fmt.Errorf("%s is %s: nothing to sum", p.S.Args[0], p.In[0])
			}
			return []ir.Placement{ir.CutOn(p.S.Attrs.Int("dim"))}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			sum := like(c.In[0])
			join(sum, ranks(c, c.In[0]), ir.Sum)
			at := 0
			if c.Rank != nil {
				at = c.Rank.Coord(c.S.Attrs.Str("axis"))
			}
			from, _ := ir.Even(sum.Shape[c.S.Attrs.Int("dim")], c.S.Attrs.Dim("to").Parts, at)
			copyPart(sum, c.Out[0], c.S.Attrs.Int("dim"), from, false)
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int { return share(s.Args[0].Type().Bytes(env), along(s, m)) },
	})
	ir.Register(&ir.Op{
		Name: "all_gather", NoAscend: oneCard, Doc: "the parts of x that the ranks of an axis have, put together on all",
		Formula: func(*ir.Stmt) string { return "the parts of all processes side by side" },
		Args:    []string{"x"},
		Attrs:   []ir.AttrSpec{axis, bytes, {Name: "dim", Kind: ir.IntAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			t, dim, err := alongDim(s)
			if err == nil && t.Shape[dim].By != s.Attrs.Str("axis") {
				err = fmt.Errorf("operand %s is %s, not cut by %s on dimension %d", s.Args[0], t, s.Attrs.Str("axis"), dim)
			}
			if err != nil {
				return nil, err
			}
			return []ir.Type{f32(t.With(dim, t.Shape[dim].Whole()).Shape...)}, nil
		},
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if p.Axis != p.S.Attrs.Str("axis") {
				return p.In, nil
			}
			return []ir.Placement{ir.IsWhole}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			from := 0
			for _, part := range ranks(c, c.In[0]) {
				copyPart(c.Out[0], part, c.S.Attrs.Int("dim"), from, true)
				from += part.Shape[c.S.Attrs.Int("dim")]
			}
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int { return (along(s, m) - 1) * s.Args[0].Type().Bytes(env) },
	})
	ir.Register(&ir.Op{
		Name: "own_rows", NoAscend: oneCard, Doc: "this rank's rows of x, which all ranks of an axis have; to: their number",
		Args:  []string{"x"},
		Attrs: []ir.AttrSpec{axis, bytes, {Name: "to", Kind: ir.DimAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			t, to := s.Args[0].Type(), s.Attrs.Dim("to")
			if t.Kept != nil || t.Rank() == 0 || t.Shape[0].Sym == "" || to.By != s.Attrs.Str("axis") || !to.Whole().Same(t.Shape[0]) {
				return nil, fmt.Errorf("`to` is %s, no part of the rows of %s", to, t)
			}
			return []ir.Type{f32(t.With(0, to).Shape...)}, nil
		},
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if p.Axis != p.S.Attrs.Str("axis") {
				return p.In, nil
			}
			if p.In[0] != ir.IsWhole {
				return nil, fmt.Errorf("%s is %s: there are no rows of it to take", p.S.Args[0], p.In[0])
			}
			return []ir.Placement{ir.CutOn(0)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			at := 0
			if c.Rank != nil {
				at = c.Rank.Coord(c.S.Attrs.Str("axis"))
			}
			from, _ := ir.Even(c.In[0].Shape[0], c.S.Attrs.Dim("to").Parts, at)
			copyPart(c.In[0], c.Out[0], 0, from, false)
		},
		Wire: func(*ir.Stmt, ir.Env, *ir.Mesh) int { return 0 },
	})
	ir.Register(&ir.Op{
		Name: "sum_units", NoAscend: oneCard, Doc: "gradients summed over the ranks of an axis, once a step; order tree: by the binary tree of the step's units, which no number of ranks changes",
		Args: []string{"grad"}, Variadic: true, Settles: true,
		Formula: func(*ir.Stmt) string { return "gradients summed over the processes, once a step" },
		Attrs:   []ir.AttrSpec{axis, bytes, {Name: "order", Kind: ir.StringAttr}, {Name: "share", Kind: ir.StringAttr}},
		Infer:   inferUnits, WritesOf: allOf, Shares: true,
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if share := p.S.Attrs.Str("share"); p.Axis == ir.Optimizer && p.Axis != p.S.Attrs.Str("axis") && slices.Contains(p.In, ir.IsShare) != (share == ir.Optimizer) {
				return nil, fmt.Errorf("attribute `share` is %q, and %s is %s", share, p.S.Args[0], p.In[0])
			}
			if p.Axis != p.S.Attrs.Str("axis") {
				return p.In, nil
			}
			for i, place := range p.In {
				if place != ir.IsSum {
					return nil, fmt.Errorf("%s is %s: nothing to sum", p.S.Args[i], place)
				}
			}
			return make([]ir.Placement, len(p.In)), nil
		},
		Eval: func(c *ir.EvalCtx) {
			for _, g := range c.In {
				join(g, ranks(c, g), ir.Sum)
			}
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int {
			return 2 * share(layersOf(s, m)/m.Axis(s.Attrs.Str("share")), along(s, m))
		},
	})
	ir.Register(&ir.Op{
		Name: "scatter_units", NoAscend: oneCard, Doc: "gradients summed over the ranks of an axis, once a step, of which each rank gets its share; order tree: by the binary tree of the step's units",
		Args: []string{"grad"}, Variadic: true, Settles: true,
		Formula: func(*ir.Stmt) string {
			return "gradients summed over the processes, once a step; each has a share of them"
		},
		Attrs: []ir.AttrSpec{axis, bytes, {Name: "order", Kind: ir.StringAttr}},
		Infer: inferUnits, WritesOf: allOf,
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			out := slices.Clone(p.In)
			for i, place := range p.In {
				if p.Axis != p.S.Attrs.Str("axis") {
					continue
				}
				if place != ir.IsSum || p.Axis != ir.Optimizer {
					return nil, fmt.Errorf("%s is %s over `%s`: there are no shares of that", p.S.Args[i], place, p.Axis)
				}
				out[i] = ir.IsShare
			}
			return out, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i, g := range c.In {
				join(g, ranks(c, g), ir.Sum)
				from, to := c.Share(i)
				for k := range g.F {
					if k < from || k >= to { // programs leave anything there
						g.F[k] = math.NaN()
					}
				}
			}
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int { return share(layersOf(s, m), along(s, m)) },
	})
	ir.Register(&ir.Op{
		Name: "gather_shares", NoAscend: oneCard, Doc: "parameters of which each rank of an axis stepped its share, put together on all",
		Args: []string{"param"}, Variadic: true, Settles: true,
		Formula: func(*ir.Stmt) string { return "what the other processes stepped of the parameters" },
		Attrs:   []ir.AttrSpec{axis, bytes},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			for _, a := range s.Args {
				if a.Storage == nil || a.Storage.Kind != ir.Param {
					return nil, fmt.Errorf("operand %s is no parameter", a)
				}
			}
			return nil, nil
		},
		WritesOf: allOf,
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			out := slices.Clone(p.In)
			for i, place := range p.In {
				if p.Axis != p.S.Attrs.Str("axis") {
					continue
				}
				if place != ir.IsShare {
					return nil, fmt.Errorf("%s is %s: nothing to gather", p.S.Args[i], place)
				}
				out[i] = ir.IsWhole
			}
			return out, nil
		},
		Eval: func(c *ir.EvalCtx) {
			for i, x := range c.In {
				from, to := c.Share(i)
				at := -1 // where the first rank's share begins
				for r, part := range ranks(c, &ir.Array{Shape: []int{1 + to - from}, F: append([]float64{float64(from)}, x.F[from:to]...)}) {
					if r == 0 {
						at = int(part.F[0])
					}
					at += copy(x.F[at:], part.F[1:])
				}
			}
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int { return share(layersOf(s, m), along(s, m)) },
	})
	ir.Register(&ir.Op{
		Name: "norm_shares", NoAscend: oneCard, Doc: "√Σ g² over all given gradients, of which each rank of an axis has a share; layers: each stage has layers of its own; added up in the order of one process",
		Args: []string{"grad"}, Variadic: true, Shares: true,
		Formula: func(*ir.Stmt) string { return "√Σ g² over all given gradients, in the order of one process" },
		Attrs:   []ir.AttrSpec{axis, bytes, {Name: "layers", Kind: ir.BoolAttr}},
		Infer:   func(s *ir.Stmt) ([]ir.Type, error) { return ir.Lookup("norm").Infer(s) },
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			layers := p.S.Attrs.Bool("layers") && p.Axis == ir.Stage
			if p.Axis != p.S.Attrs.Str("axis") && !layers {
				return undivided("it adds up shares")(p)
			}
			for i, place := range p.In {
				if !layers && place != ir.IsShare || layers && place != ir.ByLayers && place != ir.IsWhole {
					return nil, fmt.Errorf("%s is %s: nothing summed it before `norm_shares`", p.S.Args[i], place)
				}
			}
			return []ir.Placement{ir.IsWhole}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			own := &ir.Array{Shape: []int{2}, F: make([]float64, 2)} // of layers, of the rest
			for i, g := range c.In {
				at := 1
				if c.S.Args[i].Storage.Stack != nil {
					at = 0
				}
				own.F[at] += dot(g.F, g.F)
			}
			all := &ir.Array{Shape: []int{2}, F: make([]float64, 2)}
			join(all, ranks(c, own), ir.Sum)
			sum := all.F[0]
			if c.Rank != nil && c.S.Attrs.Bool("layers") {
				sum = 0
				for _, of := range c.Rank.All(ir.Stage, all) {
					sum += of.F[0]
				}
			}
			c.Out[0].F[0] = math.Sqrt(sum + all.F[1])
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int {
			all, peers := 0, along(s, m)
			if s.Attrs.Bool("layers") {
				peers *= m.Axis(ir.Stage)
			}
			for _, a := range s.Args {
				n := (own(a.Storage, m)*a.Type().Elems(env) + along(s, m) - 1) / along(s, m)
				all += (n + normBlock - 1) / normBlock * 8
				if s.Attrs.Bool("layers") { // which end within blocks
					all += 4 * min(n, 2*normBlock)
				}
			}
			return (peers - 1) * all
		},
	})
	ir.Register(&ir.Op{
		Name: "norm_layers", NoAscend: oneCard, Doc: "√Σ g² over all given gradients, of which each rank of an axis has layers of its own; added up in the order of one process",
		Args: []string{"grad"}, Variadic: true,
		Formula: func(*ir.Stmt) string { return "√Σ g² over all given gradients, in the order of one process" },
		Attrs:   []ir.AttrSpec{axis, bytes},
		Infer:   func(s *ir.Stmt) ([]ir.Type, error) { return ir.Lookup("norm").Infer(s) },
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			if p.Axis != p.S.Attrs.Str("axis") {
				return undivided("it adds up layers")(p)
			}
			for i, place := range p.In {
				if place != ir.ByLayers && place != ir.IsWhole {
					return nil, fmt.Errorf("%s is %s: nothing summed it before `norm_layers`", p.S.Args[i], place)
				}
			}
			return []ir.Placement{ir.IsWhole}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			own, all := &ir.Array{F: []float64{0}}, 0.0
			for i, g := range c.In {
				if c.S.Args[i].Storage.Stack != nil {
					own.F[0] += dot(g.F, g.F)
				} else {
					all += dot(g.F, g.F)
				}
			}
			for _, of := range ranks(c, own) {
				all += of.F[0]
			}
			c.Out[0].F[0] = math.Sqrt(all)
		},
		Wire: func(s *ir.Stmt, env ir.Env, m *ir.Mesh) int {
			all := 0
			for _, a := range s.Args {
				if a.Storage.Stack != nil {
					n := own(a.Storage, m) * a.Type().Elems(env)
					all += n/normBlock*8 + 4*min(n, 2*normBlock)
				}
			}
			return (along(s, m) - 1) * all
		},
	})
	by := ir.AttrSpec{Name: "by", Kind: ir.IntAttr, Required: true}
	ir.Register(&ir.Op{
		Name: "send", NoAscend: oneCard, Doc: "x to the rank so far along an axis", Args: []string{"x"},
		Formula: func(s *ir.Stmt) string { return s.Args[0].Short() + " to the " + away(s) },
		Attrs:   []ir.AttrSpec{axis, by, bytes}, Sends: true,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { _, err := likeFirst(s); return nil, err },
		Place: func(p *ir.Placing) ([]ir.Placement, error) { return nil, unsent(p) },
		Eval: func(c *ir.EvalCtx) {
			if c.Rank != nil {
				c.Rank.Send(c.S.Attrs.Str("axis"), c.S.Attrs.Int("by"), c.In[0])
			}
		},
		Wire: func(s *ir.Stmt, env ir.Env, _ *ir.Mesh) int { return s.Args[0].Type().Bytes(env) },
	})
	ir.Register(&ir.Op{
		Name: "recv", NoAscend: oneCard, Doc: "what the rank so far along an axis sends",
		Formula: func(s *ir.Stmt) string { return "from the " + away(s) },
		Attrs:   []ir.AttrSpec{axis, by, {Name: "shape", Kind: ir.DimsAttr, Required: true}}, Sends: true,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return ir.Lookup("zeros").Infer(s) },
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			return []ir.Placement{p.S.Results[0].Type.On(p.Axis)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			if c.Rank != nil {
				copy(c.Out[0].F, c.Rank.Receive(c.S.Attrs.Str("axis"), c.S.Attrs.Int("by")).F)
			}
		},
		Wire: func(*ir.Stmt, ir.Env, *ir.Mesh) int { return 0 },
	})
}

// away names the rank that a statement sends to or hears.
func away(s *ir.Stmt) string {
	axis := s.Attrs.Str("axis")
	switch by := s.Attrs.Int("by"); {
	case by == 1:
		return axis + " after"
	case by == -1:
		return axis + " before"
	case by < 0:
		return fmt.Sprintf("%s %d before", axis, -by)
	default:
		return fmt.Sprintf("%s %d after", axis, by)
	}
}

// normBlock is of how many numbers a norm has one sum (kernels.NormBlock).
const normBlock = 4096

// unsent refuses to send what is partial: the receiver would have to know.
func unsent(p *ir.Placing) error {
	if p.In[0].How.Partial() {
		return fmt.Errorf("%s is partial, and `send` needs it whole", p.S.Args[0])
	}
	return nil
}

// along is the number of ranks that a statement talks to, this one included.
func along(s *ir.Stmt, m *ir.Mesh) int { return m.Axis(s.Attrs.Str("axis")) }

// own is the most layers of a storage that a stage has; 1 of one that is not stacked.
func own(s *ir.Storage, m *ir.Mesh) int {
	n := m.Axis(ir.Stage)
	return (s.Count() + n - 1) / n
}

// layersOf is the bytes of the operands, all layers of them that a stage has at most.
func layersOf(s *ir.Stmt, m *ir.Mesh) (all int) {
	for _, a := range s.Args {
		all += own(a.Storage, m) * a.Type().Bytes(nil)
	}
	return all
}

// allOf lists all operands.
func allOf(s *ir.Stmt) []int {
	out := make([]int, len(s.Args))
	for i := range out {
		out[i] = i
	}
	return out
}

// inferUnits checks a statement that sums gradients.
func inferUnits(s *ir.Stmt) ([]ir.Type, error) {
	for _, a := range s.Args {
		if a.Storage == nil || a.Storage.Kind != ir.Grad {
			return nil, fmt.Errorf("operand %s is no gradient", a)
		}
	}
	if order := s.Attrs.Str("order"); order != "" && order != "tree" {
		return nil, fmt.Errorf("attribute `order` is %s, not tree", order)
	}
	return nil, nil
}

// share is (n−1)/n of the bytes.
func share(bytes, n int) int { return bytes / n * (n - 1) }

// joins is how the ranks' tensors become one.
func joins(s *ir.Stmt) (ir.How, error) {
	switch of := s.Attrs.Str("of"); of {
	case "", "sum":
		return ir.Sum, nil
	case "lse":
		return ir.LSE, nil
	default:
		return ir.Whole, fmt.Errorf("attribute `of` is %s, not sum or lse", of)
	}
}

// alongDim is the type of the operand and the dimension that the attribute names.
func alongDim(s *ir.Stmt) (ir.Type, int, error) {
	t, dim := s.Args[0].Type(), s.Attrs.Int("dim")
	if t.Kept != nil || !t.DType.Float() || dim < 0 || dim >= t.Rank() {
		return t, 0, fmt.Errorf("operand %s is %s: dimension %d is none that can be cut", s.Args[0], t, dim)
	}
	return t, dim, nil
}

// ranks is what all ranks of the axis have, this one's alone on one process.
func ranks(c *ir.EvalCtx, mine *ir.Array) []*ir.Array {
	if c.Rank == nil {
		return []*ir.Array{mine}
	}
	return c.Rank.All(c.S.Attrs.Str("axis"), mine)
}

// join puts the sum of some arrays into out, which may be one of them.
func join(out *ir.Array, parts []*ir.Array, how ir.How) {
	for i := range out.F {
		top, sum := math.Inf(-1), 0.0
		for _, p := range parts {
			top = max(top, p.F[i])
			sum += p.F[i]
		}
		if how == ir.LSE {
			sum = 0
			for _, p := range parts {
				sum += math.Exp(p.F[i] - top)
			}
			sum = top + math.Log(sum)
		}
		out.F[i] = sum
	}
}

// copyPart copies between a whole array and a part of it, from an index on along a
// dimension; into the whole, or out of it.
func copyPart(whole, part *ir.Array, dim, from int, into bool) {
	inner := 1
	for _, n := range part.Shape[dim+1:] {
		inner *= n
	}
	run, stride := part.Shape[dim]*inner, whole.Shape[dim]*inner
	for i := 0; i*run < len(part.F); i++ {
		w, p := whole.F[i*stride+from*inner:][:run], part.F[i*run:][:run]
		if into {
			copy(w, p)
		} else {
			copy(p, w)
		}
	}
}
