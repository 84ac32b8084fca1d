package ir

import (
	"fmt"
	"math"
)

// Interp evaluates functions of a module in float64. It is the judge of every
// pass and every kernel, not a way to train.
type Interp struct {
	M       *Module
	Env     Env
	Storage map[string]*Array // stacked storages have their layers as first extent
	Rank    *Rank             // of the mesh; nil: one process
}

// NewInterp returns an evaluator with all storages zero.
func NewInterp(m *Module, env Env) *Interp {
	in := &Interp{M: m, Env: env, Storage: map[string]*Array{}}
	for _, s := range m.Storages {
		in.Storage[s.Name] = NewArray(stackedType(s), env)
	}
	return in
}

func stackedType(s *Storage) Type {
	t := s.Type
	if s.Stack != nil {
		t = Type{DType: t.DType, Shape: append([]Dim{N(s.Count())}, t.Shape...)}
	}
	return t
}

// Refresh gives the storages of a device what it holds once parameters are
// loaded: frozen matrices in its 16 bits, and the copies of adapters. The
// optimizer's ops keep the copies up to date. On the CPU it changes nothing.
func (in *Interp) Refresh() {
	low := in.M.Low()
	if low == 0 {
		return
	}
	for _, s := range in.M.Storages {
		if s.Kind == Copy {
			in.Storage[s.Name].CopyScaled(in.Storage[s.Attrs.Str("of")], s.Attrs.Float("scale"))
		}
		in.Storage[s.Name].Round(s.Type.DType)
	}
}

// kept is the value of a handle: what each layer kept, by name.
type kept map[int]map[string]*Array

// frame holds the values of one call.
type frame struct {
	arrays map[*Value]*Array
	kept   map[*Value]kept
	layer  int
}

// Call evaluates an entry function and returns its results and what it kept.
func (in *Interp) Call(name string, args ...*Array) []*Array {
	f := in.M.Func(name)
	if f == nil || len(args) != len(f.Params) {
		panic(fmt.Sprintf("BUG: ir: call of %s with %d arguments", name, len(args)))
	}
	out, _ := in.call(f, 0, args, nil)
	return out
}

func (in *Interp) call(f *Func, layer int, args []*Array, saved map[string]*Array) ([]*Array, map[string]*Array) {
	fr := &frame{arrays: map[*Value]*Array{}, kept: map[*Value]kept{}, layer: layer}
	if f.Index != nil {
		fr.arrays[f.Index] = &Array{I: []int64{int64(layer)}}
	}
	for i, p := range f.Params {
		fr.arrays[p] = args[i]
	}
	for _, p := range f.Saved {
		a := saved[p.Name]
		if a == nil {
			panic(fmt.Sprintf("BUG: ir: %s finds no kept %s", f.Name, p))
		}
		fr.arrays[p] = a
	}
	low, flow := in.M.Low(), in.M.NewFlow(f)
	for _, s := range f.Body {
		if s.Callee != nil {
			in.repeat(fr, s)
			continue
		}
		ctx := &EvalCtx{S: s, Env: in.Env, Low: low, Rank: in.Rank}
		for _, a := range s.Args {
			ctx.In = append(ctx.In, in.operand(fr, f, a))
		}
		for _, r := range s.Results {
			out := NewArray(r.Type, in.Env)
			ctx.Out = append(ctx.Out, out)
			fr.arrays[r] = out
		}
		if in.Rank != nil && in.M.Mesh.Axis(Optimizer) > 1 {
			if flow.Shares(s) {
				in.share(ctx)
			}
			flow.Step(s) // which the verifier checks
		}
		s.Op.Eval(ctx)
		for i, r := range s.Results {
			ctx.Out[i].Round(r.Type.DType)
		}
	}
	var out []*Array
	for _, r := range f.Results {
		out = append(out, fr.arrays[r])
	}
	keep := map[string]*Array{}
	for _, k := range f.Keep {
		keep[k.Name] = fr.arrays[k]
	}
	return out, keep
}

// share leaves a statement this rank's share of its storages. Parameters are numbers
// nowhere else then, until the shares are gathered.
func (in *Interp) share(c *EvalCtx) {
	for i, a := range c.S.Args {
		if a.Storage == nil {
			continue
		}
		from, to := c.Share(i)
		own := c.In[i].F[from:to]
		if a.Storage.Kind == Param {
			own = append([]float64(nil), own...)
			for k := range c.In[i].F {
				c.In[i].F[k] = math.NaN()
			}
			copy(c.In[i].F[from:to], own)
			own = c.In[i].F[from:to]
		}
		c.In[i] = &Array{Shape: []int{to - from}, F: own}
	}
}

func (in *Interp) operand(fr *frame, f *Func, a Operand) *Array {
	if a.Value != nil {
		return fr.arrays[a.Value]
	}
	all := in.Storage[a.Storage.Name]
	if a.Storage.Stack == nil || f.Index == nil {
		return all
	}
	// The layer's tensor shares memory with the stack, so that writes reach it.
	n := a.Storage.Type.Elems(in.Env)
	k := (fr.layer - a.Storage.Stack.Lo) * n
	return &Array{Shape: all.Shape[1:], F: all.F[k : k+n]}
}

func (in *Interp) repeat(fr *frame, s *Stmt) {
	f := s.Callee
	args := make([]*Array, len(f.Params))
	for i := range args {
		args[i] = fr.arrays[s.Args[i].Value]
	}
	var saved kept
	if len(f.Saved) > 0 {
		saved = fr.kept[s.Args[len(f.Params)].Value]
	}
	keeps := kept{}
	s.Range.Each(func(layer int) {
		out, keep := in.call(f, layer, args, saved[layer])
		args = append([]*Array(nil), args...)
		copy(args, out)
		keeps[layer] = keep
	})
	for i := range f.Results {
		fr.arrays[s.Results[i]] = args[i]
	}
	if len(f.Keep) > 0 {
		fr.kept[s.Results[len(f.Results)]] = keeps
	}
}
