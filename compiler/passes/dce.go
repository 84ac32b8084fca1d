package passes

import (
	"slices"

	"lorac/compiler/cost"
	"lorac/ir"
)

// dce removes statements nobody reads, results that an op can leave out,
// parameters and saved values that are not used, and functions nobody calls.
func dce(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		n += sweep(f, o)
	}
	return n + shrink(m)
}

// sweep removes dead statements of one function, last first.
func sweep(f *ir.Func, o *Options) int {
	n := 0
	uses := f.Uses()
	dead := map[*ir.Stmt]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		s := f.Body[i]
		if unread, all := unreadResults(s, uses); all && !s.Effect() {
			if !o.spend() {
				continue
			}
			dead[s] = true
			n++
			for _, a := range s.Args {
				if a.Value != nil {
					uses[a.Value]--
				}
			}
		} else if unread != nil && s.Op.Drop != nil {
			if attrs, ok := s.Op.Drop(s, unread); ok && o.spend() {
				f.Body[i] = without(s, attrs, unread)
				n++
			}
		}
	}
	f.Remove(dead)
	return n
}

// unreadResults flags the results nobody reads; all is true when that is every one.
func unreadResults(s *ir.Stmt, uses map[*ir.Value]int) (unread []bool, all bool) {
	all = true
	for i, r := range s.Results {
		if uses[r] == 0 {
			if unread == nil {
				unread = make([]bool, len(s.Results))
			}
			unread[i] = true
		} else {
			all = false
		}
	}
	return unread, all
}

// without rebuilds s under attrs, which no longer give the unread results.
func without(s *ir.Stmt, attrs ir.Attrs, unread []bool) *ir.Stmt {
	var rest []*ir.Value
	for i, r := range s.Results {
		if !unread[i] {
			rest = append(rest, r)
		}
	}
	return mustStmt(s.Op, rest, s.Args, attrs, s)
}

// shrink drops what functions take and keep but nobody uses, and functions
// that are not called.
func shrink(m *ir.Module) int {
	n := 0
	for _, f := range m.Funcs {
		if f.Of == "" {
			continue
		}
		uses := f.Uses()
		before := len(f.Saved)
		f.Saved = slices.DeleteFunc(f.Saved, func(v *ir.Value) bool { return uses[v] == 0 })
		n += before - len(f.Saved)
		if len(f.Saved) == 0 {
			eachCall(m, f, func(_ *ir.Func, s *ir.Stmt) { s.Args = s.Args[:len(f.Params)] })
		}
		n += dropParams(m, f, uses)
	}
	n += dropFuncs(m)
	for _, f := range m.Funcs {
		n += dropKeeps(m, f)
	}
	return n
}

// dropParams removes the parameters that are neither carried nor used.
func dropParams(m *ir.Module, f *ir.Func, uses map[*ir.Value]int) int {
	n := 0
	for i := len(f.Params) - 1; i >= max(len(f.Results), 1); i-- {
		if uses[f.Params[i]] > 0 {
			continue
		}
		n++
		f.Params = append(f.Params[:i:i], f.Params[i+1:]...)
		eachCall(m, f, func(_ *ir.Func, s *ir.Stmt) { s.Args = append(s.Args[:i:i], s.Args[i+1:]...) })
	}
	return n
}

// dropFuncs removes the functions no entry reaches.
func dropFuncs(m *ir.Module) int {
	live := map[*ir.Func]bool{}
	var visit func(f *ir.Func)
	visit = func(f *ir.Func) {
		if live[f] {
			return
		}
		live[f] = true
		for _, s := range f.Body {
			if s.Callee != nil {
				visit(s.Callee)
			}
		}
	}
	for _, f := range m.Funcs {
		if f.Entry {
			visit(f)
		}
	}
	if r := cost.Root(m); r != nil {
		visit(r)
	}
	before := len(m.Funcs)
	m.Funcs = slices.DeleteFunc(m.Funcs, func(f *ir.Func) bool { return !live[f] })
	return before - len(m.Funcs)
}

// dropKeeps shortens the keep list of f to what its backward functions load.
func dropKeeps(m *ir.Module, f *ir.Func) int {
	if len(f.Keep) == 0 {
		return 0
	}
	wanted := map[string]bool{}
	for _, b := range backwards(m, f) {
		for _, v := range b.Saved {
			wanted[v.Name] = true
		}
	}
	before := len(f.Keep)
	f.Keep = slices.DeleteFunc(f.Keep, func(v *ir.Value) bool { return !wanted[v.Name] })
	if len(f.Keep) == 0 {
		eachCall(m, f, func(_ *ir.Func, s *ir.Stmt) { s.Results = s.Results[:len(f.Results)] })
	}
	return before - len(f.Keep)
}
