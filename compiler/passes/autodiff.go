package passes

import (
	"fmt"
	"slices"
	"strings"

	"lorac/ir"
)

// autodiff writes the gradient of the root function (train, or loss when
// nothing is random) by reverse mode, complete: frozen parameters too, so that
// what pruning saves can be seen. The root becomes step, which runs forward,
// then backward. A function it repeats gets a keep list and a backward
// function that loads what was saved:
//
//	func f.forward[%i](%x) -> (%y) {…}    →  func f.forward[%i](%x) -> (%y) keep (%x, …) {…}
//	                                         func f.backward[%i](%d.y) saved f.forward (%x, …) -> (%d.x) {…}
//	entry func loss(%t) -> (%loss) {…}    →  entry func step(%t) -> (%loss) {…}
func autodiff(m *ir.Module, o *Options) int {
	root := m.Func("train")
	if root == nil {
		root = m.Func("loss")
	}
	if root == nil || m.Func("step") != nil || !trains(m) {
		return 0
	}
	step, _ := root.Clone("step")
	step.Entry, step.Doc = true, extend(root.Doc, ", and its gradient, which is added to that of every parameter that trains")
	at := slices.Index(m.Funcs, root)
	if root.Name == "train" {
		m.Funcs[at] = step
	} else {
		m.Funcs = slices.Insert(m.Funcs, at, step)
	}

	d := &differ{m: m, f: step, b: ir.NewBuilder(step), grads: map[*ir.Value]*ir.Value{}, backs: map[*ir.Func]*ir.Func{}}
	d.use = func(o ir.Operand) ir.Operand { return o }
	loss := step.Results[0]
	if len(step.Results) != 1 || loss.Def == nil || loss.Def.Op.Name != "cross_entropy" {
		panic(fmt.Sprintf("`%s` must return what a cross_entropy gives, and nothing else", root.Name))
	}
	d.grads[loss] = loss // stands for one: the rule of cross_entropy takes its result as the root
	d.run(slices.Clone(step.Body))
	return 1
}

func trains(m *ir.Module) bool {
	for _, s := range m.Storages {
		if s.Kind == ir.Param && s.Trainable {
			return true
		}
	}
	return false
}

// differ differentiates one function into statements appended by b.
type differ struct {
	m     *ir.Module
	f     *ir.Func // whose statements are differentiated
	b     *ir.Builder
	grads map[*ir.Value]*ir.Value
	use   func(ir.Operand) ir.Operand // makes a forward value readable in the backward
	backs map[*ir.Func]*ir.Func       // backward functions made so far; root only
}

func (d *differ) run(body []*ir.Stmt) {
	for i := len(body) - 1; i >= 0; i-- {
		s := body[i]
		ds := make([]*ir.Value, len(s.Results))
		reached := false
		for k, r := range s.Results {
			ds[k] = d.grads[r]
			reached = reached || ds[k] != nil
		}
		if !reached {
			continue
		}
		d.b.Line = s.Line
		if s.Callee != nil {
			d.repeat(s, ds[0])
		} else if s.Op.Grad != nil {
			s.Op.Grad(&ir.GradCtx{S: s, D: ds, B: d.b, Use: d.use, Add: func(i int, g *ir.Value) { d.add(s, i, g) }})
		}
	}
}

// add contributes g to the gradient of operand i of s.
func (d *differ) add(s *ir.Stmt, i int, g *ir.Value) {
	a := s.Args[i]
	if st := a.Storage; st != nil {
		if st.Kind == ir.Param {
			d.b.Op(s.Pos, "accumulate", nil, nil, ir.Ref(d.gradOf(st)), ir.Val(g))
		}
		return
	}
	if sum := d.grads[a.Value]; sum != nil {
		name := "d." + a.Value.Name
		total := d.b.Op1(s.Pos, "add", name, nil, ir.Val(sum), ir.Val(g))
		// The sum bears the plain name, its parts the numbers.
		for _, part := range []*ir.Value{sum, g} {
			if part.Name == name {
				part.Name, total.Name = total.Name, name
			}
		}
		g = total
	}
	d.grads[a.Value] = g
}

// gradOf returns the gradient storage of a parameter, declaring it for frozen ones.
func (d *differ) gradOf(p *ir.Storage) *ir.Storage {
	if g := d.m.GradOf(p); g != nil {
		return g
	}
	g := &ir.Storage{Name: p.Name + ".grad", Kind: ir.Grad, Type: ir.Type{DType: ir.F32, Shape: p.Type.Shape}, Stack: p.Stack,
		Attrs: ir.Attrs{"of": p.Name}, Pos: p.Pos}
	d.m.Storages = append(d.m.Storages, g)
	return g
}

// repeat differentiates a repeat: the callee is split into what it keeps and
// a backward function, called over the layers in reverse.
func (d *differ) repeat(s *ir.Stmt, dout *ir.Value) {
	f := s.Callee
	if len(f.Results) != 1 {
		panic(fmt.Sprintf("`%s` carries %d values; one can be differentiated", f.Name, len(f.Results)))
	}
	back := d.backs[f]
	if back == nil {
		back = d.backward(f)
		d.backs[f] = back
	}
	handle := s.Results[len(s.Results)-1]
	args := []ir.Operand{ir.Val(dout)}
	for _, p := range back.Params[1:] {
		args = append(args, s.Args[paramIndex(f, p.Name)])
	}
	if len(back.Saved) > 0 {
		args = append(args, ir.Val(handle))
	}
	d.add(s, 0, d.b.Repeat(s.Pos, back, s.Range.Reversed(), []string{"d." + s.Args[0].Value.Name}, args...)[0])
}

func paramIndex(f *ir.Func, name string) int {
	for i, p := range f.Params {
		if p.Name == name {
			return i
		}
	}
	panic("BUG: autodiff: no parameter %" + name)
}

// backward makes the backward function of f and f's keep list.
func (d *differ) backward(f *ir.Func) *ir.Func {
	back := &ir.Func{Name: freshFunc(d.m, backwardName(f.Name)), Doc: prefix("backward of ", f.Doc), Of: f.Name}
	b := ir.NewBuilder(back)
	if f.Index != nil {
		back.Index = &ir.Value{Name: b.Name(f.Index.Name), Type: f.Index.Type}
	}
	out := f.Results[0]
	inner := &differ{m: d.m, f: f, b: b, grads: map[*ir.Value]*ir.Value{}}
	inner.grads[out] = b.Param("d."+out.Name, out.Type)
	local := map[*ir.Value]*ir.Value{f.Index: back.Index}
	inner.use = func(o ir.Operand) ir.Operand {
		if o.Storage != nil {
			return o
		}
		v := local[o.Value]
		if v == nil {
			v = &ir.Value{Name: o.Value.Name, Type: o.Value.Type}
			local[o.Value] = v
			if isInvariant(f, o.Value) {
				back.Params = append(back.Params, v)
			} else {
				back.Saved = append(back.Saved, v)
				f.Keep = append(f.Keep, o.Value)
			}
		}
		return ir.Val(v)
	}
	// Reserve the forward names first, so that saved values keep theirs.
	f.EachValue(func(v *ir.Value) { b.Reserve(v.Name) })
	inner.run(f.Body)
	dx := inner.grads[f.Params[0]]
	if dx == nil {
		panic(fmt.Sprintf("no gradient reaches %s of `%s`", f.Params[0], f.Name))
	}
	back.Results = []*ir.Value{dx}
	// Parameters in the order of the forward, so that calls read alike.
	slices.SortFunc(back.Params[1:], func(a, b *ir.Value) int { return paramIndex(f, a.Name) - paramIndex(f, b.Name) })
	d.giveHandle(f)
	insertFunc(d.m, f, back)
	return back
}

// isInvariant reports whether v is a parameter that is the same for all layers.
func isInvariant(f *ir.Func, v *ir.Value) bool {
	return slices.Contains(f.Params[len(f.Results):], v)
}

// giveHandle adds the handle of saved values to every repeat of f.
func (d *differ) giveHandle(f *ir.Func) {
	if len(f.Keep) == 0 {
		return
	}
	eachCall(d.m, f, func(caller *ir.Func, s *ir.Stmt) {
		name := "kept." + strings.TrimSuffix(f.Name, ".forward")
		h := &ir.Value{Name: caller.Fresh(name), Type: ir.Type{Kept: &ir.Kept{Func: f.Name, Range: s.Range}}, Def: s}
		if caller == d.f {
			h.Name = d.b.Name(name)
		}
		s.Results = append(s.Results, h)
	})
}

// backwardName: layer.forward → layer.backward.
func backwardName(name string) string {
	if base, ok := strings.CutSuffix(name, ".forward"); ok {
		return base + ".backward"
	}
	return name + ".backward"
}
