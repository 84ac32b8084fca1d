package passes

import (
	"fmt"
	"slices"

	"lorac/ir"
)

// Mesh is how processes divide the steps of a job.
type Mesh struct {
	Axes []ir.Axis // those of more than one rank
	Cut  []string  // the sizes that axis model divides
}

// knowsMesh reports whether several processes share a step.
func knowsMesh(m *ir.Module, o *Options) bool {
	return o.Facts.Mesh != nil && len(o.Facts.Mesh.Axes) > 0 && m.Mesh == nil
}

// partition makes of the graph of one process that of each process of a mesh.
// Axis model cuts the sizes it is given wherever types and attributes name them.
// What ranks have of everything else follows from the rules of the ops, and where
// one needs a partial value whole, it is summed once, where it is made:
//
//	param $layer.wo.w : f32[hidden,q_width]           param $layer.wo.w : f32[hidden,q_width/model]
//	grad $layer.wo.b.grad : f32[hidden,rank]          grad $layer.wo.b.grad : f32[hidden,rank] sum(data,model)
//	%attn = matmul %o, $layer.wo.w              →     %attn.part = matmul %o, $layer.wo.w : f32[T,hidden] sum(model)
//	                                                  %attn = all_reduce %attn.part {axis=model}
//	%norm = norm $layer.wo.b.grad                     sum_units $layer.wo.b.grad {axis=data, order=tree}
//	                                                  sum_units $layer.wo.b.grad {axis=model}
//	                                                  %norm = norm $layer.wo.b.grad
//
// So linears are cut as Megatron does (Shoeybi et al. 2019). Adapters need no
// sum of their own: that of a linear cut by columns has its y within the linear's,
// and gradients of factors that are whole are partial and summed once a step.
// Axis data changes no statement of a step: rows are each rank's own. So are they over
// axis optimizer, whose ranks share the states of the optimizer besides (partition_shares.go).
func partition(m *ir.Module, o *Options) int {
	settled := map[string]bool{}
	for {
		p := &partitioner{m: m.Clone(), settled: settled, cut: map[string]bool{}, over: map[*ir.Storage]ir.Placement{}, own: map[*ir.Value]*ir.Value{}, all: map[*ir.Value]*ir.Value{}}
		p.m.Mesh = &ir.Mesh{Axes: o.Facts.Mesh.Axes}
		for _, a := range p.m.Mesh.Axes {
			p.tokens = p.tokens || a.Name == ir.Model && a.Tokens
		}
		for _, name := range o.Facts.Mesh.Cut {
			p.cut[name] = true
		}
		if again := p.run(); again {
			continue
		}
		if o.Facts.Job != "" {
			set(p.m, "hash", o.Facts.Job)
		}
		*m = *p.m
		return p.n
	}
}

type partitioner struct {
	m       *ir.Module
	tokens  bool                         // axis model divides tokens, too
	own     map[*ir.Value]*ir.Value      // of a value with all tokens: this rank's
	all     map[*ir.Value]*ir.Value      // and the other way round
	cut     map[string]bool              // sizes
	over    map[*ir.Storage]ir.Placement // of gradients, what is added to them over model
	settled map[string]bool              // gradients that are whole over model, because some of what is added is
	n       int
}

// run partitions the module; it reports whether that must be done again, with
// more gradients settled.
func (p *partitioner) run() (again bool) {
	p.keepLogits()
	p.storages()
	for _, f := range p.m.Funcs {
		p.types(f)
		p.normOfCut(f)
		p.headOfCut(f)
		for p.place(f) {
		}
		again = p.note(f) || again
	}
	if again {
		return true
	}
	for s, place := range p.over {
		s.Type = s.Type.Partial(ir.Model, place.How)
	}
	for _, f := range p.m.Funcs {
		for p.place(f) {
		}
		p.gather(f)
		p.joinTokens(f)
	}
	p.stages()
	p.bytes()
	return false
}

// keepLogits leaves a vocabulary whole whose logits some loss reads as they are:
// pass fuse-head is off.
func (p *partitioner) keepLogits() {
	for _, f := range p.m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "cross_entropy" {
				delete(p.cut, s.Args[0].Type().Shape[1].Name)
			}
		}
	}
}

// dim is what a rank has of an extent.
func (p *partitioner) dim(d ir.Dim) ir.Dim {
	n := p.m.Mesh.Axis(ir.Model)
	if n == 1 || d.Name == "" || !p.cut[d.Name] {
		return d
	}
	cut, err := d.Cut(ir.Model, n)
	if err != nil {
		panic(fmt.Sprintf("BUG: partition: %v", err))
	}
	return cut
}

func (p *partitioner) typ(t ir.Type) ir.Type {
	if t.Kept != nil {
		return t
	}
	shape := make([]ir.Dim, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = p.dim(d)
	}
	return ir.Type{DType: t.DType, Shape: shape, Over: t.Over}
}

// attr is an attribute with the extents that a rank has.
func (p *partitioner) attr(v any) any {
	switch v := v.(type) {
	case ir.Dim:
		return p.dim(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.attr(v[i])
		}
		return out
	}
	return v
}

// storages cuts the storages. Where blocks are side by side in one that is cut,
// each rank has a part of each.
func (p *partitioner) storages() {
	blocks := map[string][]any{}
	for _, f := range p.m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "split_cols" {
				blocks[s.Args[0].Type().Shape[1].Name] = s.Attrs.List("widths")
			}
		}
	}
	for _, s := range p.m.Storages {
		s.Type = p.typ(s.Type)
		for i, d := range s.Type.Shape {
			if b := blocks[d.Name]; d.By != "" && b != nil {
				s.Attrs = s.Attrs.With("blocks", b).With("blocks_dim", i)
			}
			if d.By != "" {
				p.n++
			}
		}
		for _, axis := range []string{ir.Data, ir.Optimizer} {
			if s.Kind == ir.Grad && p.m.Mesh.Axis(axis) > 1 {
				s.Type = s.Type.Partial(axis, ir.Sum)
			}
		}
		if s.Kind == ir.State && p.m.Mesh.Axis(ir.Optimizer) > 1 {
			s.Type = s.Type.Partial(ir.Optimizer, ir.Share)
			p.n++
		}
		if s.Kind == ir.Grad && p.m.Mesh.Axis(ir.Stage) > 1 && s.Stack == nil { // the first or the last stage adds to it
			s.Type = s.Type.Partial(ir.Stage, ir.Sum)
		}
	}
}

// types gives the parameters of a function and the attributes of its statements
// the extents that a rank has.
func (p *partitioner) types(f *ir.Func) {
	for _, v := range f.Params {
		v.Type = p.typ(v.Type)
		if p.tokens && !f.Entry && hasTokens(v.Type) {
			v.Type = v.Type.With(0, p.part())
		}
	}
	for _, v := range f.Saved {
		v.Type = p.typ(v.Type)
		for _, k := range p.m.Func(f.Of).Keep {
			if k.Name == v.Name {
				v.Type = k.Type
			}
		}
	}
	for _, s := range f.Body {
		for k, v := range s.Attrs {
			s.Attrs[k] = p.attr(v)
		}
	}
}

// place infers the types of a function and where its values are. Where a value
// must be whole that is partial, it sums it and reports true: types change from
// there on.
func (p *partitioner) place(f *ir.Func) (changed bool) {
	flow := p.m.NewFlow(f)
	for i, s := range f.Body {
		if s.Callee != nil {
			for k, a := range s.Args[:len(s.Callee.Params)] {
				switch got, want := a.Value.Type.On(ir.Model), s.Callee.Params[k].Type.On(ir.Model); {
				case got == want:
				case got.How.Partial():
					return p.reduce(f, a.Value, ir.Model)
				case want == ir.CutOn(0):
					return p.takeTokens(f, s, a.Value)
				default:
					return p.allTokens(f, s, a.Value)
				}
			}
			for k, r := range s.Callee.Results {
				s.Results[k].Type = r.Type
			}
			continue
		}
		if p.fitTokens(f, flow, s, false) {
			return true
		}
		s = mustStmt(s.Op, s.Results, s.Args, s.Attrs, s)
		f.Body[i] = s
		for _, r := range s.Results {
			r.Type.Over = nil
		}
		for _, axis := range p.m.Mesh.Axes {
			out, err := flow.Place(s, axis.Name)
			if err != nil && (p.sumGrads(f, flow, i, axis.Name) || p.detachBias(f, i)) {
				return true
			}
			if err == nil && axis.Name == ir.Model && p.mustBeWhole(s, out) && p.fitTokens(f, flow, s, true) {
				return true
			}
			if err != nil || axis.Name == ir.Model && p.mustBeWhole(s, out) {
				v := p.partialOf(flow, s, axis.Name)
				if v == nil || axis.Name == ir.Data {
					panic(fmt.Sprintf("BUG: partition: over `%s`, %v, in `%s`", axis.Name, err, s))
				}
				return p.reduce(f, v, axis.Name)
			}
			for k, r := range s.Results {
				r.Type = r.Type.Partial(axis.Name, out[k].How)
			}
		}
		if err := flow.Step(s); err != nil && !p.gradient(s) {
			panic(fmt.Sprintf("BUG: partition: %v, in `%s`", err, s))
		}
	}
	return p.results(f)
}

// gradient reports whether a statement writes gradients, of which it is decided
// last whether they are partial.
func (p *partitioner) gradient(s *ir.Stmt) bool {
	return slices.ContainsFunc(s.Written(), func(w *ir.Storage) bool { return w.Kind == ir.Grad })
}

// mustBeWhole reports whether something partial goes into a gradient that is whole.
func (p *partitioner) mustBeWhole(s *ir.Stmt, out []ir.Placement) bool {
	for k, i := range s.Op.Written(s) {
		if w := s.Args[i].Storage; w != nil && p.settled[w.Name] && out[len(s.Results)+k].How.Partial() {
			return true
		}
	}
	return false
}

// partialOf is the operand of a statement that must be summed first: one that
// suffices alone, else the first that is partial.
func (p *partitioner) partialOf(flow *ir.Flow, s *ir.Stmt, axis string) *ir.Value {
	var first *ir.Value
	for i, a := range s.Args {
		if a.Value == nil || !flow.On(a, axis).How.Partial() {
			continue
		}
		if first == nil {
			first = a.Value
		}
		try := &ir.Placing{S: s, Axis: axis}
		for k, b := range s.Args {
			try.In = append(try.In, flow.On(b, axis))
			if b.Value == s.Args[i].Value {
				try.In[k] = ir.IsWhole
			}
		}
		if out, err := s.Op.Place(try); err == nil && !p.mustBeWhole(s, out) {
			return a.Value
		}
	}
	return first
}

// note remembers what goes into gradients over model. It reports whether some of
// it is whole where other parts are partial: then all must be whole.
func (p *partitioner) note(f *ir.Func) (conflict bool) {
	flow := p.m.NewFlow(f)
	for _, s := range f.Body {
		if s.Callee != nil || s.Op.Settles || s.Op.Clears {
			continue
		}
		out, err := flow.Place(s, ir.Model)
		if err != nil {
			continue // an axis that the mesh does not have, or what reads sums
		}
		for k, i := range s.Op.Written(s) {
			w, place := s.Args[i].Storage, out[len(s.Results)+k]
			if w == nil || w.Kind != ir.Grad {
				continue
			}
			if before, ok := p.over[w]; ok && before != place {
				p.settled[w.Name], conflict = true, true
			}
			p.over[w] = place
		}
	}
	return conflict
}

// bytes writes at each statement that communicates what a rank sends for the
// largest micro-batch.
func (p *partitioner) bytes() {
	env := p.m.MaxEnv()
	for _, f := range p.m.Funcs {
		for _, s := range f.Body {
			if s.Op.Wire == nil {
				continue
			}
			if n := s.Op.Wire(s, env, p.m.Mesh); n > 0 {
				s.Attrs = s.Attrs.With("bytes", n)
			}
		}
	}
}
