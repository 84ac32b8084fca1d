package codegen

import (
	"errors"
	"fmt"
	"go/token"
	"reflect"
	"regexp"
	"strings"

	"lorac/ir"
	"lorac/kernels"
	"lorac/kernels/ascend"
	rt "lorac/runtime"
)

// A module that obeys the language may still have no form as a program, as an
// edited dump: names that Go does not take, a gradient of what is frozen, an operand
// that a kernel does not read. What is here says so, with the line of the dump.

// formless is the error of what has no form, at a line of the dump.
func (v *view) formless(line int, format string, args ...any) error {
	return formless(v.m, line, format, args...)
}

func formless(m *ir.Module, line int, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	switch {
	case m.Dump == "":
		return errors.New(text)
	case line == 0:
		return fmt.Errorf("%s: %s", m.Dump, text)
	}
	return fmt.Errorf("%s:%d: %s", m.Dump, line, text)
}

// checkForm refuses a module that no program can be written of.
func (v *view) checkForm() error {
	for _, check := range []func() error{v.checkDims, v.checkStorages, v.checkFuncs, v.checkNames} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) checkDims() error {
	for _, d := range v.m.Dims {
		if d.Name != "T" && d.Name != "S" && d.Name != "N" {
			return v.formless(0, "dimension `%s`: a program knows T, S and N", d.Name)
		}
	}
	return nil
}

func (v *view) checkStorages() error {
	for _, s := range v.m.Storages {
		if n := s.Type.Rank(); n != 1 && n != 2 {
			return v.formless(s.Line, "$%s is %s: a program has vectors and matrices", s.Name, s.Type)
		}
		if of := v.m.Storage(s.Attrs.Str("of")); of != nil && !slab(of) {
			return v.formless(s.Line, "%s $%s: its parameter $%s is frozen; make it trainable, or delete this line and those that read it", s.Kind, s.Name, of.Name)
		}
		if name := s.Attrs.Str("name"); s.Stack != nil && s.Stack.Len() > 1 && name != "" && !strings.Contains(name, "{i}") {
			return v.formless(s.Line, "$%s has %d layers, its `name` does not say {i}, the number of the layer", s.Name, s.Stack.Len())
		}
	}
	return nil
}

// entries are the functions that the program calls itself, with what they return.
var entries = map[string]string{"loss": "the loss", "step": "the loss", "logits": "logits", "next": "logits", "update": "the norm of the gradients"}

func (v *view) checkFuncs() error {
	for _, x := range v.order {
		f := x.f
		what, known := entries[v.base(f)]
		switch {
		case known && !f.Entry:
			return v.formless(f.Line, "`%s` is no entry, but the program calls it", f.Name)
		case f.Entry && f.Index != nil:
			return v.formless(f.Line, "`%s` is an entry, which has no layer", f.Name)
		case f.Entry && len(f.Keep) > 0:
			return v.formless(f.Line, "`%s` is an entry, which keeps nothing", f.Name)
		}
		if known {
			if err := v.checkEntry(x, what); err != nil {
				return err
			}
		}
		if err := v.checkValues(x); err != nil {
			return err
		}
		groups := map[*group]*ir.Storage{}
		for _, s := range f.Body {
			switch {
			case s.Callee == nil:
			case !f.Entry:
				return v.formless(s.Line, "`%s` repeats a function; only entries do", f.Name)
			case s.Callee.Entry:
				return v.formless(s.Line, "`%s` is an entry; functions of a layer are repeated", s.Callee.Name)
			case len(s.Callee.Results) > 1:
				return v.formless(s.Line, "`%s` returns %d values; a function of a layer returns one", s.Callee.Name, len(s.Callee.Results))
			}
			for _, a := range s.Args {
				if g := v.groupHolding(a.Storage); g != nil && !f.Entry {
					groups[g] = a.Storage
					for other, st := range groups {
						if other != g {
							return v.formless(s.Line, "`%s` reads $%s and $%s: what one layer has begins with the same word and has the same layers", f.Name, st.Name, a.Storage.Name)
						}
					}
					if f.Index == nil {
						return v.formless(s.Line, "`%s` has no layer index, $%s is of a layer", f.Name, a.Storage.Name)
					}
				}
			}
		}
	}
	return nil
}

func (v *view) groupHolding(s *ir.Storage) *group {
	if s == nil || s.Stack == nil {
		return nil
	}
	for _, g := range v.groups {
		for _, t := range g.storages {
			if s == t {
				return g
			}
		}
	}
	return nil
}

// checkEntry checks what an entry takes and returns.
func (v *view) checkEntry(x *fn, what string) error {
	f := x.f
	r := ""
	if len(f.Results) == 1 {
		r = v.typeOfValue(x, f.Results[0])
	}
	if scalar := !strings.HasPrefix(what, "logits"); scalar && (r != "Scalar" || f.Results[0].Type.DType != ir.F32) || !scalar && r != "Mat" {
		return v.formless(f.Line, "`%s` must return %s, one value that a statement of it computes, and nothing else", f.Name, what)
	}
	if f.Name == "update" {
		if len(f.Params) != 2 || v.typeOfValue(x, f.Params[0]) != "float64" || v.typeOfValue(x, f.Params[1]) != "int" {
			return v.formless(f.Line, "`update` takes the rate, f32[], and the number of the step, i32[]")
		}
		return nil
	}
	batch := reflect.TypeFor[rt.MicroBatch]()
	for _, p := range f.Params {
		name := inputs[p.Name]
		if name == "" {
			name = public(p.Name)
		}
		field, ok := batch.FieldByName(name)
		if want := kernelTypes(false)[v.typeOfValue(x, p)]; !ok || field.Type != want {
			return v.formless(f.Line, "`%s` takes %s: %s, which a micro-batch does not have", f.Name, p, p.Type)
		}
	}
	return nil
}

func (v *view) checkValues(x *fn) (err error) {
	line := x.f.Line
	x.f.EachValue(func(val *ir.Value) {
		t := val.Type
		if err != nil || t.Kept != nil {
			return
		}
		if val.Def != nil {
			line = val.Def.Line
		}
		switch t.DType {
		case ir.F32, ir.F16, ir.BF16, ir.I32, ir.I64:
		default:
			err = v.formless(line, "%s is %s: values are f32, f16, bf16, i32 or i64", val, t)
		}
		if t.Rank() > 2 {
			err = v.formless(line, "%s is %s: a program has vectors and matrices", val, t)
		}
		if val.Place == nil {
			return
		}
		if x.f.Entry && val.Place.Region != "frame" {
			err = v.formless(line, "%s is placed in %s, which an entry does not have", val, val.Place.Region)
		}
		for _, d := range t.Shape {
			if d.Sym == "N" && !x.f.Entry {
				err = v.formless(line, "%s is %s: in `%s` the number of sequences is not known", val, t, x.f.Name)
			}
		}
	})
	return err
}

// packageNames are identifiers of the program's package and its imports.
var packageNames = []string{"model", "job", "load", "run", "main", "train", "program", "arenaBytes", "init", "k", "rt", "fmt", "math", "embed"}

// numbered are variables that a function numbers itself.
var numbered = regexp.MustCompile(`^(drop|rule)[0-9]+$`)

// checkNames refuses two things of one name: names differ in more than Go's do.
func (v *view) checkNames() error {
	pkg, model := newScope("the program"), newScope("the model")
	for _, name := range packageNames {
		pkg.taken[name] = "the program"
	}
	for _, name := range append([]string{"k", "arena", "T", "S"}, v.meshNames()...) {
		model.taken[name] = "the program"
	}
	check := func(s *scope, name, what string, line int) error {
		goes := predeclared[name] && s == pkg
		if old := s.taken[name]; old != "" || goes || token.IsKeyword(name) || !token.IsIdentifier(name) {
			if old == "" {
				old = "Go itself"
			}
			return v.formless(line, "%s has the name `%s` in the program, as %s has; give it another", what, name, old)
		}
		s.taken[name] = what
		return nil
	}
	for _, s := range v.single {
		if err := check(model, field(s), "$"+s.Name, s.Line); err != nil {
			return err
		}
	}
	for _, g := range v.groups {
		line, what := g.storages[0].Line, "$"+g.storages[0].Name
		if err := check(pkg, g.typ, "the layers of "+what, line); err != nil {
			return err
		}
		if err := check(model, g.field, "the layers of "+what, line); err != nil {
			return err
		}
		fields := newScope("a layer")
		for _, s := range g.storages {
			if err := check(fields, field(s), "$"+s.Name, s.Line); err != nil {
				return err
			}
			if !slab(s) {
				continue
			}
			if err := check(model, stackField(s), "$"+s.Name, s.Line); err != nil {
				return err
			}
		}
	}
	for _, x := range v.order {
		what := "`" + x.f.Name + "`"
		if err := check(model, x.name, what, x.f.Line); err != nil {
			return err
		}
		if x.record != "" {
			if err := check(pkg, x.record, "the record of "+what, x.f.Line); err != nil {
				return err
			}
			if err := check(model, x.record, "the record of "+what, x.f.Line); err != nil {
				return err
			}
		}
		if err := check(pkg, placesVar(x), "the places of "+what, x.f.Line); err != nil {
			return err
		}
		locals, places := newScope(what), newScope(what)
		var err error
		x.f.EachValue(func(val *ir.Value) {
			name, line := local(val.Name), x.f.Line
			if val.Def != nil {
				line = val.Def.Line
			}
			if err == nil && val != x.f.Index && numbered.MatchString(name) {
				err = v.formless(line, "%s has the name `%s` in the program, which it numbers itself; give it another", val, name)
			}
			if err == nil && val != x.f.Index {
				err = check(locals, name, val.String(), line)
			}
		})
		for _, p := range v.fieldsOf(x) {
			if err == nil {
				err = check(places, p.name, "a place of "+what, x.f.Line)
			}
		}
		if err != nil {
			return err
		}
	}
	sizes := newScope("the sizes")
	for _, s := range v.m.Sizes {
		if err := check(sizes, local(s.Name), "size `"+s.Name+"`", 0); err != nil {
			return err
		}
	}
	for name := range pkg.taken { // constants are named around them
		v.numbers.taken[name] = true
	}
	return nil
}

// scope is the names that something holds, with what has each.
type scope struct {
	of    string
	taken map[string]string
}

func newScope(of string) *scope { return &scope{of, map[string]string{}} }

// kernelTypes are the types of operands by what the emitter calls them.
func kernelTypes(onAscend bool) map[string]reflect.Type {
	if onAscend {
		return map[string]reflect.Type{"Mat": reflect.TypeFor[ascend.Mat](), "Vec": reflect.TypeFor[ascend.Vec](), "Weight": reflect.TypeFor[ascend.Weight](),
			"Ints": reflect.TypeFor[ascend.Ints](), "Seeds": reflect.TypeFor[ascend.Seeds](), "Scalar": reflect.TypeFor[ascend.Scalar](),
			"int": reflect.TypeFor[int](), "float64": reflect.TypeFor[float64]()}
	}
	return map[string]reflect.Type{"Mat": reflect.TypeFor[kernels.Mat](), "Vec": reflect.TypeFor[kernels.Vec](), "Weight": reflect.TypeFor[kernels.Weight](),
		"Ints": reflect.TypeFor[kernels.Ints](), "Seeds": reflect.TypeFor[kernels.Seeds](), "Scalar": reflect.TypeFor[kernels.Scalar](),
		"int": reflect.TypeFor[int](), "float64": reflect.TypeFor[float64]()}
}

// method is a kernel of the target.
func (v *view) method(name string) (reflect.Method, bool) {
	context := reflect.TypeFor[*kernels.Context]()
	if v.ascend {
		context = reflect.TypeFor[*ascend.Context]()
	}
	return context.MethodByName(name)
}

// typeOfValue names the type of a value where a function reads it, "" for none.
func (v *view) typeOfValue(x *fn, val *ir.Value) string {
	t := val.Type
	switch {
	case t.Kept != nil:
		return ""
	case t.Rank() == 0 && val.Def != nil:
		return "Scalar"
	case t.Rank() == 0 && t.DType == ir.I32:
		return "int"
	case t.Rank() == 0:
		return "float64"
	case t.DType == ir.I32:
		return "Ints"
	case t.DType == ir.I64:
		return "Seeds"
	case t.Rank() == 1:
		return "Vec"
	case t.DType != ir.F32 && !v.ascend:
		return "Weight"
	}
	return "Mat"
}

// typeOfOperand is the same of an operand: "" for a storage that the function
// cannot read as one tensor.
func (v *view) typeOfOperand(x *fn, o ir.Operand) string {
	s := o.Storage
	switch {
	case s == nil:
		return v.typeOfValue(x, o.Value)
	case s.Stack != nil && (x.f.Entry || s.Kind == ir.State):
		return ""
	case s.Type.Rank() == 1:
		return "Vec"
	case slab(s) && s.Kind != ir.Copy || s.Kind == ir.Table || s.Kind == ir.Cache:
		return "Mat"
	}
	return "Weight"
}
