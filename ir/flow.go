package ir

import (
	"fmt"
	"slices"
	"strings"
)

// Placing is what the rule of an op is asked: where its operands are on one axis.
type Placing struct {
	S    *Stmt
	Axis string
	In   []Placement
}

// Flow follows what ranks have of the storages through the statements of a
// function: sums make partial gradients whole.
type Flow struct {
	m    *Module
	f    *Func
	held map[*Storage]Type
}

// NewFlow begins a function: storages are as they are declared.
func (m *Module) NewFlow(f *Func) *Flow { return &Flow{m, f, map[*Storage]Type{}} }

// On is what a rank of the axis has of an operand before the next statement.
func (f *Flow) On(o Operand, axis string) Placement {
	if axis == Stage && f.f.Index != nil && o.Storage != nil {
		return IsWhole // the layer's tensor
	}
	if t, ok := f.held[o.Storage]; ok && o.Storage != nil && !(axis == Stage && o.Storage.Stack != nil) {
		return t.On(axis)
	}
	return o.On(axis)
}

// Place gives what a rank of the axis has of the results of a statement and of
// what it adds to, or leaves in, each storage it writes.
func (f *Flow) Place(s *Stmt, axis string) ([]Placement, error) {
	if s.Op.Place == nil {
		return nil, fmt.Errorf("`%s` has no rule for processes that divide a step", s.Op.Name)
	}
	p := &Placing{S: s, Axis: axis}
	for _, a := range s.Args {
		p.In = append(p.In, f.On(a, axis))
		if p.In[len(p.In)-1] == IsShare && !s.Op.Shares && !s.Op.Settles && !s.Op.Clears {
			return nil, fmt.Errorf("%s is shared, and `%s` needs all of it", a, s.Op.Name)
		}
	}
	return s.Op.Place(p)
}

// Shares reports whether a statement works on the rank's share of its storages.
func (f *Flow) Shares(s *Stmt) bool {
	return s.Op.Shares && slices.ContainsFunc(s.Args, func(a Operand) bool { return a.Storage != nil && f.On(a, Optimizer) == IsShare })
}

// Step checks a statement of known results and goes past it.
func (f *Flow) Step(s *Stmt) error {
	if s.Callee != nil {
		return f.call(s)
	}
	next := map[*Storage]Type{}
	for _, axis := range f.m.Mesh.axes() {
		out, err := f.Place(s, axis.Name)
		if err != nil {
			return fmt.Errorf("over `%s`, %w", axis.Name, err)
		}
		for i, r := range s.Results {
			if got := r.Type.On(axis.Name); got != out[i] {
				return fmt.Errorf("over `%s`, %s is %s, not %s", axis.Name, r, out[i], got)
			}
		}
		for k, i := range s.Op.writes(s) {
			w := s.Args[i].Storage
			if w == nil {
				continue
			}
			held := f.On(s.Args[i], axis.Name)
			switch now := out[len(s.Results)+k]; {
			case s.Op.Settles:
				t, ok := next[w]
				if !ok {
					if t, ok = f.held[w]; !ok {
						t = w.Type
					}
				}
				next[w] = t.Partial(axis.Name, now.How)
			case now == IsShare && held == IsWhole && w.Kind == Param: // until the shares are gathered
				t, ok := f.held[w]
				if !ok {
					t = w.Type
				}
				next[w] = t.Partial(axis.Name, Share)
			case axis.Name == Stage && w.Kind == Grad && w.Stack == nil && !s.Op.Clears: // the other stages add nothing
			case now != held:
				return fmt.Errorf("over `%s`, $%s is %s, and what is written to it %s", axis.Name, w.Name, held, now)
			}
		}
	}
	for w, t := range next {
		f.held[w] = t
	}
	return nil
}

// call checks that operands of a repeat are where the parameters are.
func (f *Flow) call(s *Stmt) error {
	for _, axis := range f.m.Mesh.axes() {
		for i, p := range s.Callee.Params {
			if got, want := f.On(s.Args[i], axis.Name), p.Type.On(axis.Name); got != want {
				return fmt.Errorf("over `%s`, %s is %s; %s of `%s` is %s", axis.Name, s.Args[i], got, p, s.Callee.Name, want)
			}
		}
		for i, r := range s.Callee.Results {
			if i < len(s.Callee.Params) && s.Range.Len() > 1 && r.Type.On(axis.Name) != s.Callee.Params[i].Type.On(axis.Name) {
				return fmt.Errorf("over `%s`, `%s` carries %s, which is %s, to %s", axis.Name, s.Callee.Name, r, r.Type.On(axis.Name), s.Callee.Params[i])
			}
			if s.Results[i].Type.On(axis.Name) != r.Type.On(axis.Name) {
				return fmt.Errorf("over `%s`, %s is %s, not %s", axis.Name, s.Results[i], r.Type.On(axis.Name), s.Results[i].Type.On(axis.Name))
			}
		}
	}
	return nil
}

// mesh checks the declaration and what storages say of it.
func (v *verifier) mesh() {
	if v.m.Mesh == nil {
		return
	}
	v.line = v.m.Mesh.Line
	seen := map[string]bool{}
	for _, a := range v.m.Mesh.Axes {
		switch {
		case !slices.Contains(Axes, a.Name):
			v.failf("mesh: `%s` is no axis; axes are %s", a.Name, strings.Join(Axes, ", "))
		case seen[a.Name]:
			v.failf("mesh: axis `%s` is declared twice", a.Name)
		case a.N < 1:
			v.failf("mesh: axis `%s` has %d ranks", a.Name, a.N)
		}
		seen[a.Name] = true
	}
}

// placed checks that what a type says of the mesh can be.
func (v *verifier) placed(what string, t Type) {
	seen := map[string]bool{}
	note := func(axis string) {
		if seen[axis] {
			v.failf("%s is %s: axis `%s` places it twice", what, t, axis)
		}
		seen[axis] = true
		if v.m.Mesh == nil || !slices.ContainsFunc(v.m.Mesh.Axes, func(a Axis) bool { return a.Name == axis }) {
			v.failf("%s is %s, but the module has no axis `%s`", what, t, axis)
		}
	}
	for _, d := range t.Shape {
		if d.By != "" {
			note(d.By)
			if n := v.m.Mesh.Axis(d.By); d.Parts != n {
				v.failf("%s is %s: %d parts where axis `%s` has %d ranks", what, t, d.Parts, d.By, n)
			}
		}
	}
	for _, o := range t.Over {
		note(o.Axis)
	}
}

// flow checks where the operands of a function are, and that it leaves storages as
// they are declared.
func (v *verifier) flow(f *Func) {
	if v.m.Mesh == nil {
		return
	}
	flow := v.m.NewFlow(f)
	for _, s := range f.Body {
		v.line = s.Line
		if n, ok := s.Attrs["bytes"].(int); ok && s.Op.Wire != nil {
			if want := s.Op.Wire(s, v.m.MaxEnv(), v.m.Mesh); n != want {
				v.failf("%s: a rank sends %d bytes, not %d, in `%s`", f.Name, want, n, s)
			}
		}
		if err := flow.Step(s); err != nil {
			v.failf("%s: %v, in `%s`", f.Name, err, s)
			return // what follows would be reported for the same reason
		}
		if s.Op.Clears {
			for _, a := range s.Args {
				delete(flow.held, a.Storage)
			}
		}
	}
	v.line = f.Line
	for _, s := range v.m.Storages {
		if t, ok := flow.held[s]; ok && !slices.Equal(t.Over, s.Type.Over) {
			v.failf("%s: $%s is %s and left as %s", f.Name, s.Name, s.Type, t)
		}
	}
}
