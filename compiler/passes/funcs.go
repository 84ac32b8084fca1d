package passes

import (
	"fmt"
	"slices"
	"strings"

	"lorac/ir"
)

// variant names a specialised function: layer.forward → layer.last.forward.
func variant(name, kind string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i] + "." + kind + name[i:]
	}
	return name + "." + kind
}

// extend adds to what a function says of itself, if it says anything.
func extend(doc, more string) string {
	if doc == "" {
		return ""
	}
	return doc + more
}

// prefix is the same for words before it.
func prefix(more, doc string) string {
	if doc == "" {
		return ""
	}
	return more + doc
}

// freshFunc returns name, followed by a number when the module already uses it.
func freshFunc(m *ir.Module, name string) string {
	if m.Func(name) == nil {
		return name
	}
	for i := 2; ; i++ {
		if n := fmt.Sprintf("%s.%d", name, i); m.Func(n) == nil {
			return n
		}
	}
}

// insertFunc puts f after the function it derives from.
func insertFunc(m *ir.Module, from, f *ir.Func) {
	m.Funcs = slices.Insert(m.Funcs, slices.Index(m.Funcs, from)+1, f)
}

// backwards lists the functions that load what f saved.
func backwards(m *ir.Module, f *ir.Func) []*ir.Func {
	var out []*ir.Func
	for _, b := range m.Funcs {
		if b.Of == f.Name {
			out = append(out, b)
		}
	}
	return out
}

// eachCall visits every repeat of f.
func eachCall(m *ir.Module, f *ir.Func, visit func(caller *ir.Func, s *ir.Stmt)) {
	for _, g := range m.Funcs {
		for _, s := range g.Body {
			if s.Callee == f {
				visit(g, s)
			}
		}
	}
}

// readers lists the statements that read v, once per operand; nil stands for
// the function's results and keep list.
func readers(f *ir.Func, v *ir.Value) []*ir.Stmt {
	var out []*ir.Stmt
	for _, s := range f.Body {
		for _, a := range s.Args {
			if a.Value == v {
				out = append(out, s)
			}
		}
	}
	for _, list := range [][]*ir.Value{f.Results, f.Keep} {
		for _, r := range list {
			if r == v {
				out = append(out, nil)
			}
		}
	}
	return out
}

func readsValue(s *ir.Stmt, v *ir.Value) bool {
	return slices.ContainsFunc(s.Args, func(a ir.Operand) bool { return a.Value == v && v != nil })
}

// mustStmt makes a statement whose results are the given values, so that
// their readers need no change. Those that a device stores in 16 bits stay so.
func mustStmt(op *ir.Op, results []*ir.Value, args []ir.Operand, attrs ir.Attrs, from *ir.Stmt) *ir.Stmt {
	names := make([]string, len(results))
	for i, r := range results {
		names[i] = r.Name
	}
	s, err := ir.NewStmt(op, names, args, attrs, from.Pos)
	if err != nil {
		panic(fmt.Sprintf("BUG: rewriting `%s`: %v", from, err))
	}
	s.Line = from.Line
	for i, r := range results {
		t := s.Results[i].Type
		if d := r.Type.DType; t.DType == ir.F32 && (d == ir.BF16 || d == ir.F16) && r.Type.Kept == nil {
			t.DType = d
		}
		t.Over = r.Type.Over
		r.Type, r.Def = t, s
		s.Results[i] = r
	}
	return s
}
