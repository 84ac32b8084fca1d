package passes

import (
	"fmt"
	"slices"
	"strings"

	"lorac/ir"
)

// cse gives one name to a value computed twice:
//
//	%a = gather_rows %x, %rows        %a = gather_rows %x, %rows
//	%b = gather_rows %x, %rows   →
//	%c = add %a, %b                   %c = add %a, %a
func cse(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		n += cseFunc(f, o)
	}
	return n
}

func cseFunc(f *ir.Func, o *Options) int {
	written := map[*ir.Storage]bool{}
	collectWritten(f, written)
	kept := map[*ir.Value]bool{} // known by name elsewhere
	for _, v := range f.Keep {
		kept[v] = true
	}
	seen := map[string]*ir.Stmt{}
	dead := map[*ir.Stmt]bool{}
	for _, s := range f.Body {
		if s.Callee != nil || s.Effect() || readsAny(s, written) {
			continue
		}
		key := fingerprint(s)
		first := seen[key]
		if first == nil {
			seen[key] = s
			continue
		}
		if slices.ContainsFunc(s.Results, func(r *ir.Value) bool { return kept[r] }) || !o.spend() {
			continue
		}
		for i, r := range s.Results {
			f.Replace(r, first.Results[i])
		}
		dead[s] = true
	}
	f.Remove(dead)
	return len(dead)
}

// collectWritten adds the storages f and the functions it calls write.
func collectWritten(f *ir.Func, written map[*ir.Storage]bool) {
	for _, s := range f.Body {
		if s.Callee != nil {
			collectWritten(s.Callee, written)
		}
		for _, st := range s.Written() {
			written[st] = true
		}
	}
}

func readsAny(s *ir.Stmt, set map[*ir.Storage]bool) bool {
	for _, a := range s.Args {
		if a.Storage != nil && set[a.Storage] {
			return true
		}
	}
	return false
}

// fingerprint is equal for statements that compute the same.
func fingerprint(s *ir.Stmt) string {
	var b strings.Builder
	b.WriteString(s.Op.Name + s.Attrs.String())
	for _, a := range s.Args {
		fmt.Fprintf(&b, " %p%p", a.Value, a.Storage)
	}
	return b.String()
}
