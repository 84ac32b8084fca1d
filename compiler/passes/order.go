package passes

import (
	"slices"
	"sort"

	"lorac/ir"
)

// order lists statements by what the results need, depth first, so that the
// same graph becomes the same program however its statements were written
// down. Functions that write storages keep their order.
//
//	%b = silu %y                 %a = silu %x
//	%a = silu %x             →   %b = silu %y
//	%c = mul %a, %b              %c = mul %a, %b
func order(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		if effects(f) {
			continue
		}
		if body := ordered(f); !slices.Equal(body, f.Body) && o.spend() {
			f.Body = body
			n++
		}
	}
	return n
}

func ordered(f *ir.Func) []*ir.Stmt {
	body := make([]*ir.Stmt, 0, len(f.Body))
	seen := map[*ir.Stmt]bool{}
	var visit func(s *ir.Stmt)
	visit = func(s *ir.Stmt) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		for _, a := range s.Args {
			if a.Value != nil {
				visit(a.Value.Def)
			}
		}
		body = append(body, s)
	}
	for _, v := range f.Results {
		visit(v.Def)
	}
	for _, v := range f.Keep {
		visit(v.Def)
	}
	// What nobody needs follows by name.
	rest := slices.Clone(f.Body)
	sort.SliceStable(rest, func(i, j int) bool { return firstName(rest[i]) < firstName(rest[j]) })
	for _, s := range rest {
		visit(s)
	}
	return body
}

func firstName(s *ir.Stmt) string {
	if len(s.Results) == 0 {
		return ""
	}
	return s.Results[0].Name
}

// effects reports whether a function writes a storage.
func effects(f *ir.Func) bool {
	return slices.ContainsFunc(f.Body, (*ir.Stmt).Effect)
}
