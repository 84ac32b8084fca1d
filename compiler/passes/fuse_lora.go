package passes

import (
	"slices"

	"lorac/ir"
)

// fuseLoRA makes one op of a linear and its adapter, and of all linears that
// read the same x when one of them is adapted:
//
//	%q.base = matmul %x, $wq.w {group=linear, trans=rhs}
//	%q.xa = matmul %x, $wq.a {group=lora, trans=rhs}
//	%q.xab = matmul %q.xa, $wq.b {group=lora, trans=rhs}      %q, %q.xa, %k = lora_linear %x, $wq.w, $wq.a, $wq.b, $wk.w
//	%q.delta = scale %q.xab {by=2.0}                      →       {parts=[lora, plain], scale=2.0}
//	%q = add %q.base, %q.delta
//	%k = matmul %x, $wk.w {group=linear, trans=rhs}
func fuseLoRA(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		uses := f.Uses()
		for _, group := range loraGroups(f, uses) {
			if group.adapted() && o.spend() && group.rewrite(f) {
				n++
			}
		}
	}
	return n
}

// loraMatch is one linear: its matmul and, when adapted, the branch beside it.
type loraMatch struct {
	base, drop, xa, xab, scale, add *ir.Stmt
}

func (l *loraMatch) adapted() bool { return l.add != nil }

// loraGroup is the linears that read x with the same scale and dropout.
type loraGroup struct {
	x     *ir.Value
	parts []*loraMatch
}

func (g *loraGroup) adapted() bool {
	return slices.ContainsFunc(g.parts, func(l *loraMatch) bool { return l.adapted() })
}

func loraGroups(f *ir.Func, uses map[*ir.Value]int) []*loraGroup {
	var groups []*loraGroup
	for _, s := range f.Body {
		if s.Op.Name != "matmul" || s.Attrs.Str("group") != "linear" || s.Attrs.Str("trans") != "rhs" || s.Args[1].Storage == nil {
			continue
		}
		l := matchLoRA(f, s, uses)
		var home *loraGroup
		for _, g := range groups {
			if g.x == s.Args[0].Value && g.fits(l) {
				home = g
			}
		}
		if home == nil {
			home = &loraGroup{x: s.Args[0].Value}
			groups = append(groups, home)
		}
		home.parts = append(home.parts, l)
	}
	return groups
}

// fits reports whether l scales and drops as the adapters of the group do.
func (g *loraGroup) fits(l *loraMatch) bool {
	for _, p := range g.parts {
		if p.adapted() && l.adapted() {
			if p.scale.Attrs.Float("by") != l.scale.Attrs.Float("by") || (p.drop == nil) != (l.drop == nil) {
				return false
			}
			if p.drop != nil && (p.drop.Attrs.Float("p") != l.drop.Attrs.Float("p") || p.drop.Args[1] != l.drop.Args[1]) {
				return false
			}
		}
	}
	return true
}

// matchLoRA finds the adapter whose output is added to the matmul's.
func matchLoRA(f *ir.Func, base *ir.Stmt, uses map[*ir.Value]int) *loraMatch {
	plain := &loraMatch{base: base}
	rs := readers(f, base.Results[0])
	if len(rs) != 1 || rs[0] == nil || rs[0].Op.Name != "add" || rs[0].Args[0].Value != base.Results[0] {
		return plain
	}
	l := &loraMatch{base: base, add: rs[0]}
	def := func(v *ir.Value, op string) *ir.Stmt {
		if v == nil || v.Def == nil || v.Def.Op.Name != op || uses[v] != 1 {
			return nil
		}
		return v.Def
	}
	if l.scale = def(l.add.Args[1].Value, "scale"); l.scale == nil {
		return plain
	}
	if l.xab = def(l.scale.Args[0].Value, "matmul"); l.xab == nil || l.xab.Attrs.Str("group") != "lora" {
		return plain
	}
	if l.xa = def(l.xab.Args[0].Value, "matmul"); l.xa == nil || l.xa.Attrs.Str("group") != "lora" {
		return plain
	}
	x := l.xa.Args[0].Value
	if l.drop = def(x, "dropout"); l.drop != nil {
		x = l.drop.Args[0].Value
	}
	if x != base.Args[0].Value || l.xa.Args[1].Storage == nil || l.xab.Args[1].Storage == nil {
		return plain
	}
	return l
}

// rewrite puts the fused op behind the last of its operands; false when a
// result is read before that.
func (g *loraGroup) rewrite(f *ir.Func) bool {
	args := []ir.Operand{ir.Val(g.x)}
	var results []*ir.Value
	var parts, streams []any
	attrs := ir.Attrs{}
	var drop *ir.Stmt
	dead := map[*ir.Stmt]bool{}
	for _, l := range g.parts {
		args = append(args, l.base.Args[1])
		dead[l.base] = true
		if !l.adapted() {
			parts = append(parts, "plain")
			results = append(results, l.base.Results[0])
			continue
		}
		parts = append(parts, "lora")
		args = append(args, l.xa.Args[1], l.xab.Args[1])
		results = append(results, l.add.Results[0], l.xa.Results[0])
		attrs["scale"] = l.scale.Attrs.Float("by")
		for _, s := range []*ir.Stmt{l.xa, l.xab, l.scale, l.add} {
			dead[s] = true
		}
		if l.drop != nil {
			drop = l.drop
			dead[drop] = true
			streams = append(streams, drop.Attrs.Int("stream"))
		}
	}
	attrs["parts"] = parts
	if drop != nil {
		attrs["p"], attrs["streams"] = drop.Attrs.Float("p"), streams
		args = append(args, drop.Args[1], drop.Args[2])
	}
	from := g.parts[0].base
	for _, l := range g.parts {
		if l.adapted() {
			from = l.add // the position of the adapter tells more than that of the base
			break
		}
	}
	at := f.IndexOf(g.parts[0].base)
	for _, a := range args {
		if a.Value != nil && a.Value.Def != nil {
			at = max(at, f.IndexOf(a.Value.Def)+1)
		}
	}
	for _, r := range results {
		for _, s := range readers(f, r) {
			if s != nil && !dead[s] && f.IndexOf(s) < at {
				return false // a reader stands before the last operand
			}
		}
	}
	fused := mustStmt(ir.Lookup("lora_linear"), results, args, attrs, from)
	f.Body = append(f.Body[:at:at], append([]*ir.Stmt{fused}, f.Body[at:]...)...)
	f.Remove(dead)
	return true
}
