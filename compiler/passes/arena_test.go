package passes

import (
	"fmt"
	"math"
	"testing"

	"lorac/ir"
)

// simulate runs the entry functions of a placed module in an arena laid out by
// the plan: every operand is read from its place, every result written to it.
// A value that was overwritten before its last use, a record that is too small
// or a frame that overlaps another shows in the numbers.
func simulate(t *testing.T, what string, m *ir.Module, want map[string][]float64) {
	t.Helper()
	in := ir.NewInterp(m, env)
	fill(m, in.Storage)
	in.Refresh()
	got := map[string][]float64{}
	for _, f := range m.Funcs {
		if !f.Entry || f.Name == "update" {
			continue
		}
		a := &machine{in: in, l: m.Layout(f), mem: make([]float64, m.Arena()/2), kept: map[key]ref{}}
		for i := range a.mem {
			a.mem[i] = math.NaN()
		}
		got[f.Name] = a.entry(f, inputs(f))
		if a.fault != "" {
			t.Fatalf("%s: %s: %s", what, f.Name, a.fault)
		}
	}
	for _, s := range m.Storages {
		if s.Kind == ir.Grad && m.Storage(s.Attrs.Str("of")).Trainable {
			got[s.Name] = in.Storage[s.Name].F
		}
	}
	compare(t, what+", in the arena", want, got)
}

// machine executes statements on the arena. One cell stands for two bytes.
type machine struct {
	in    *ir.Interp
	l     *ir.Layout
	mem   []float64
	kept  map[key]ref
	fault string
}

type key struct {
	fn    string
	layer int
	name  string
}

// ref is where a value is: given (inputs, scalars), or cells of the arena.
type ref struct {
	given *ir.Array
	at    int // byte offset
}

type call struct {
	f      *ir.Func
	refs   map[*ir.Value]ref
	frame  int
	record int // base of the record of this layer
	hand   int
	layer  int
}

func (a *machine) entry(f *ir.Func, args []*ir.Array) []float64 {
	c := &call{f: f, refs: map[*ir.Value]ref{}, frame: a.l.Frame}
	for i, p := range f.Params {
		c.refs[p] = ref{given: args[i]}
	}
	a.body(c)
	return a.load(f.Results[0], c.refs[f.Results[0]]).F
}

func (a *machine) body(c *call) {
	for _, s := range c.f.Body {
		if s.Callee != nil {
			a.repeat(c, s)
			continue
		}
		ctx := &ir.EvalCtx{S: s, Env: env, Low: a.in.M.Low()}
		for _, o := range s.Args {
			if o.Storage != nil {
				ctx.In = append(ctx.In, a.storage(c, o.Storage))
			} else {
				ctx.In = append(ctx.In, a.load(o.Value, c.refs[o.Value]))
			}
		}
		for _, r := range s.Results {
			ctx.Out = append(ctx.Out, ir.NewArray(r.Type, env))
		}
		s.Op.Eval(ctx)
		for i, r := range s.Results {
			ctx.Out[i].Round(r.Type.DType)
			c.refs[r] = a.store(c, r, ctx.Out[i])
		}
	}
}

func (a *machine) storage(c *call, s *ir.Storage) *ir.Array {
	all := a.in.Storage[s.Name]
	if s.Stack == nil || c.f.Index == nil {
		return all
	}
	n := s.Type.Elems(env)
	k := (c.layer - s.Stack.Lo) * n
	return &ir.Array{Shape: all.Shape[1:], F: all.F[k : k+n]}
}

// store writes a result to its place.
func (a *machine) store(c *call, v *ir.Value, x *ir.Array) ref {
	if v.Place == nil {
		if v.Type.Rank() > 0 {
			a.fault = fmt.Sprintf("%s has no place", v)
		}
		return ref{given: x}
	}
	if v.Place.Offset%a.in.M.Align() != 0 {
		a.fault = fmt.Sprintf("%s is not aligned", v)
	}
	at := v.Place.Offset + c.frame
	if v.Place.Region == "keep" {
		at = v.Place.Offset + c.record
	}
	if v.Place.Region == "hand" {
		at = v.Place.Offset + c.hand
	}
	n := v.Type.DType.Size() / 2
	for i := range (len(x.F) + len(x.I)) * n {
		a.mem[at/2+i] = math.NaN()
	}
	for i, e := range x.F {
		a.mem[at/2+i*n] = e
	}
	for i, e := range x.I {
		a.mem[at/2+i*n] = math.Float64frombits(uint64(e))
	}
	return ref{at: at}
}

// load reads a value back.
func (a *machine) load(v *ir.Value, r ref) *ir.Array {
	if r.given != nil {
		return r.given
	}
	x := ir.NewArray(v.Type, env)
	n := v.Type.DType.Size() / 2
	for i := range x.F {
		x.F[i] = a.mem[r.at/2+i*n]
	}
	for i := range x.I {
		x.I[i] = int64(math.Float64bits(a.mem[r.at/2+i*n]))
	}
	return x
}

// repeat calls layer after layer; carried values and kept ones are views.
func (a *machine) repeat(c *call, s *ir.Stmt) {
	f := s.Callee
	rec := a.l.Record(f)
	carried := make([]ref, len(f.Params))
	for i := range carried {
		carried[i] = c.refs[s.Args[i].Value]
	}
	s.Range.Each(func(layer int) {
		in := &call{f: f, refs: map[*ir.Value]ref{}, frame: a.l.Callee, layer: layer, record: a.at(rec, layer)}
		if rec.CarryCount > 0 {
			in.hand = rec.Carry + layer%rec.CarryCount*rec.CarryStride
		}
		in.refs[f.Index] = ref{given: &ir.Array{I: []int64{int64(layer)}}}
		for i, p := range f.Params {
			in.refs[p] = carried[i]
		}
		for _, p := range f.Saved {
			in.refs[p] = a.kept[key{f.Of, layer, p.Name}]
		}
		a.body(in)
		for i, r := range f.Results {
			carried[i] = in.refs[r]
		}
		for _, k := range f.Keep {
			a.kept[key{f.Name, layer, k.Name}] = in.refs[k]
		}
	})
	for i, r := range s.Results[:len(f.Results)] {
		c.refs[r] = carried[i]
	}
}

// at is where the record of a layer begins.
func (a *machine) at(r *ir.Record, layer int) int {
	i := layer % r.Count
	if r.Lo >= 0 {
		i = layer - r.Lo
	}
	if i < 0 || i >= r.Count {
		a.fault = fmt.Sprintf("%s has no record of layer %d", r.Func.Name, layer)
		i = 0
	}
	return r.Base + i*r.Stride
}
