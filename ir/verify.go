package ir

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks what every module must obey: declared names, values defined
// once and before use, types as inferred, kept values that exist, repeats that
// stay inside their stacks. All faults are joined.
func (m *Module) Verify() error {
	var errs []error
	for _, p := range m.problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// Problem is what is wrong with a module, and where in the dump it was read from.
type Problem struct {
	Line int // 0 where it was not read
	Text string
}

func (p *Problem) Error() string { return p.Text }

// problems lists what Verify finds.
func (m *Module) problems() []*Problem {
	v := verifier{m: m, low: m.Low()}
	if m.Setting("device") != nil && v.low.Size() != 2 {
		v.failf("setting device: device.low must be f16 or bf16")
	}
	seen := map[string]bool{}
	for _, d := range m.Dims {
		if d.Max.Sym != "" && !seen[d.Max.Sym] {
			v.failf("dim %s: `%s` is not declared before it", d.Name, d.Max.Sym)
		}
		seen[d.Name] = true
	}
	for _, s := range m.Sizes {
		if seen[s.Name] {
			v.failf("size %s: the name is taken", s.Name)
		}
		seen[s.Name] = true
	}
	v.mesh()
	for _, s := range m.Storages {
		v.storage(s)
	}
	done := map[string]bool{}
	for _, f := range m.Funcs {
		v.fn(f, done)
		done[f.Name] = true
	}
	return v.found
}

type verifier struct {
	m     *Module
	low   DType
	line  int // of what is checked
	found []*Problem
}

func (v *verifier) failf(format string, args ...any) {
	v.found = append(v.found, &Problem{v.line, fmt.Sprintf(format, args...)})
}

// side reports whether a state has one element for each row, or each column,
// of its parameter, as factored second moments have.
func side(s, of *Storage) bool {
	return s.Kind == State && s.Type.Rank() == 1 && of.Type.Rank() == 2 && slices.ContainsFunc(of.Type.Shape, s.Type.Shape[0].Same)
}

// symbolic reports whether an extent of a type is not a number.
func symbolic(t Type) bool {
	return slices.ContainsFunc(t.Shape, func(d Dim) bool { return d.Sym != "" })
}

func (v *verifier) storage(s *Storage) {
	v.line = s.Line
	if symbolic(s.Type) {
		v.failf("storage $%s is %s: shapes of storages are numbers", s.Name, s.Type)
		return
	}
	v.placed("storage $"+s.Name, s.Type)
	if s.Type.Kept != nil {
		v.failf("storage $%s: a storage is a tensor, not %s", s.Name, s.Type)
		return
	}
	if s.Kind != State && slices.ContainsFunc(s.Type.Over, func(o Over) bool { return o.How == Share }) {
		v.failf("%s $%s is %s: only states are shared", s.Kind, s.Name, s.Type)
	}
	if s.Kind == Grad || s.Kind == State || s.Kind == Copy {
		of := v.m.Storage(s.Attrs.Str("of"))
		switch {
		case of == nil || of.Kind != Param || of.Type.Kept != nil || symbolic(of.Type):
			v.failf("%s $%s: `of` names no parameter", s.Kind, s.Name)
		case s.Type.Rank() == of.Type.Rank() && !slices.EqualFunc(s.Type.Shape, of.Type.Shape, func(a, b Dim) bool { return a.By == b.By }):
			v.failf("%s $%s is cut in another way than its parameter $%s", s.Kind, s.Name, of.Name)
		case of.Count() != s.Count() || of.Type.Elems(nil) != s.Type.Elems(nil) && !side(s, of):
			v.failf("%s $%s differs in shape from its parameter $%s", s.Kind, s.Name, of.Name)
		case s.Kind == Copy && (v.low == 0 || s.Type.DType != v.low):
			v.failf("copy $%s is %s; a copy has the 16 bits of the module's setting device.low", s.Name, s.Type.DType)
		case s.Kind == Copy && s.Attrs.Float("scale") == 0:
			v.failf("copy $%s: `scale` is missing or 0", s.Name)
		}
	}
	for _, d := range s.Type.Shape {
		if size := v.m.Size(d.Name); d.Name != "" && (size == nil || size.N != d.Whole().N) {
			v.failf("storage $%s: `%s` is no size of this module, or not %d", s.Name, d.Name, d.N)
		}
	}
	if elems, _ := s.Type.DType.Block(); (s.Type.DType.Quantised() || s.Type.DType == I8) && (s.Kind != Param || s.Trainable || s.Type.Rank() != 2 || s.Type.Shape[1].N%elems != 0) {
		v.failf("storage $%s: %s is for frozen matrices whose rows are whole blocks of %d", s.Name, s.Type.DType, elems)
	}
	if s.Stack != nil && (s.Stack.Lo < 0 || s.Stack.Hi < s.Stack.Lo) {
		v.failf("storage $%s: no layers in %s", s.Name, s.Stack)
	}
}

func (v *verifier) fn(f *Func, done map[string]bool) {
	v.line = f.Line
	defined := map[*Value]bool{}
	names := map[string]bool{}
	define := func(x *Value) {
		if names[x.Name] {
			v.failf("%s: %s is defined twice", f.Name, x)
		}
		v.placed(f.Name+": "+x.String(), x.Type)
		names[x.Name], defined[x] = true, true
	}
	if f.Index != nil {
		define(f.Index)
	}
	for _, p := range f.Params {
		define(p)
	}
	for _, p := range f.Saved {
		define(p)
	}
	v.saved(f)
	for _, s := range f.Body {
		v.line = s.Line
		for _, a := range s.Args {
			if a.Value != nil && !defined[a.Value] {
				v.failf("%s: %s is used before it is defined, in `%s`", f.Name, a.Value, s)
			}
			if a.Storage != nil && v.m.Storage(a.Storage.Name) != a.Storage {
				v.failf("%s: storage $%s is not of this module, in `%s`", f.Name, a.Storage.Name, s)
			}
		}
		v.stmt(f, s, done)
		for _, r := range s.Results {
			define(r)
			if r.Def != s {
				v.failf("BUG: %s: %s does not know its statement", f.Name, r)
			}
		}
	}
	v.line = f.Line
	for _, r := range append(append([]*Value(nil), f.Results...), f.Keep...) {
		if !defined[r] {
			v.failf("%s: returns or keeps %s, which it does not define", f.Name, r)
		}
	}
	if len(v.found) == 0 {
		v.flow(f)
	}
}

func (v *verifier) saved(f *Func) {
	if f.Of == "" {
		return
	}
	of := v.m.Func(f.Of)
	if of == nil {
		v.failf("%s: saved values of `%s`, which does not exist", f.Name, f.Of)
		return
	}
	for _, p := range f.Saved {
		ok := false
		for _, k := range of.Keep {
			ok = ok || k.Name == p.Name && k.Type.Equal(p.Type) && slices.Equal(k.Type.Over, p.Type.Over)
		}
		if !ok {
			v.failf("%s: `%s` keeps no %s: %s", f.Name, f.Of, p, p.Type)
		}
	}
}

func (v *verifier) stmt(f *Func, s *Stmt, done map[string]bool) {
	if s.Callee != nil {
		if v.m.Func(s.Callee.Name) != s.Callee || !done[s.Callee.Name] {
			v.failf("%s: repeats `%s`, which is not defined above it", f.Name, s.Callee.Name)
		}
		v.stacks(s)
	}
	v.narrow(f, s)
	types, err := infer(s)
	if err != nil {
		v.failf("%s: %v, in `%s`", f.Name, err, s)
		return
	}
	if len(types) != len(s.Results) {
		v.failf("%s: %d results where %d are made, in `%s`", f.Name, len(s.Results), len(types), s)
		return
	}
	for i, t := range types {
		if !v.m.stores(s.Results[i].Type, t) {
			v.failf("%s: %s is %s, not %s", f.Name, s.Results[i], t, s.Results[i].Type)
		}
	}
}

// narrow checks where values of 16 bits may stand: everywhere on a device of
// that type, elsewhere only where they become f32 again.
func (v *verifier) narrow(f *Func, s *Stmt) {
	for _, a := range s.Args {
		if a.Value == nil || !a.Value.Type.narrow() || a.Value.Type.DType == v.low || v.low == 0 && s.Op.Name == "widen" {
			continue
		}
		v.failf("%s: %s is %s, which only `widen` reads here, in `%s`", f.Name, a.Value, a.Value.Type, s)
	}
}

// stacks checks that the layers of a repeat exist in every stacked storage it uses.
func (v *verifier) stacks(s *Stmt) {
	if s.Callee.Index == nil {
		v.failf("repeat of `%s`, which has no layer index", s.Callee.Name)
	}
	for _, t := range s.Callee.Body {
		for _, a := range t.Args {
			if st := a.Storage; st != nil && st.Stack != nil && !(st.Stack.Contains(s.Range.Lo) && st.Stack.Contains(s.Range.Hi)) {
				v.failf("repeat %s%s reaches outside $%s%s", s.Callee.Name, s.Range, st.Name, *st.Stack)
			}
		}
	}
}
