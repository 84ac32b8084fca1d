package passes

import (
	"slices"

	"lorac/ir"
)

// fuseLoRA makes one op of a linear and its adapter, and of all linears that
// read the same x, adapted or not:
//
//	%q.base = matmul %x, $wq.w {group=linear, trans=rhs}
//	%q.xa = matmul %x, $wq.a {group=lora, trans=rhs}
//	%q.xab = matmul %q.xa, $wq.b {group=lora, trans=rhs}      %q, %q.xa, %k = lora_linear %x, $wq.w, $wq.a, $wq.b, $wk.w
//	%q.delta = scale %q.xab {by=2.0}                      →       {parts=[lora, plain], scale=2.0}
//	%q = add %q.base, %q.delta
//	%k = matmul %x, $wk.w {group=linear, trans=rhs}
//
// A bias that is added to a linear becomes an operand, so that the sums begin at it.
// An adapter of which only one half trains stays as it is: the fused gradient
// makes both halves or none.
func fuseLoRA(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		groups := loraGroups(f, f.Uses())
		for i := 0; i < len(groups); i++ {
			group := groups[i]
			switch {
			case !group.adapted() && !group.biased() && len(group.parts) < 2:
			case !group.movable(f):
				groups = append(groups, group.split()...)
			case o.spend():
				group.rewrite(f)
				n++
			}
		}
	}
	return n
}

// loraMatch is one linear: its matmul, its bias if it has one and, when adapted, its
// branch.
type loraMatch struct {
	base, bias, drop, xa, xab, scale, add *ir.Stmt
}

// y is the last statement of the linear.
func (l *loraMatch) y() *ir.Stmt {
	switch {
	case l.add != nil:
		return l.add
	case l.bias != nil:
		return l.bias
	}
	return l.base
}

func (l *loraMatch) adapted() bool { return l.add != nil }

// loraGroup is the linears that read x, their adapters with the same scale and
// dropout.
type loraGroup struct {
	x     *ir.Value
	parts []*loraMatch
}

func (g *loraGroup) adapted() bool {
	return slices.ContainsFunc(g.parts, func(l *loraMatch) bool { return l.adapted() })
}

func (g *loraGroup) biased() bool {
	return slices.ContainsFunc(g.parts, func(l *loraMatch) bool { return l.bias != nil })
}

// split gives each part a group of its own; nothing when there is only one.
func (g *loraGroup) split() []*loraGroup {
	if len(g.parts) < 2 {
		return nil
	}
	var out []*loraGroup
	for _, p := range g.parts {
		out = append(out, &loraGroup{x: g.x, parts: []*loraMatch{p}})
	}
	return out
}

func loraGroups(f *ir.Func, uses map[*ir.Value]int) []*loraGroup {
	var groups []*loraGroup
	for _, s := range f.Body {
		if s.Op.Name != "matmul" || s.Attrs.Str("group") != "linear" || s.Attrs.Str("trans") != "rhs" || s.Args[0].Value == nil || s.Args[1].Storage == nil {
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
			if p.drop != nil && (p.drop.Attrs.Float("p") != l.drop.Attrs.Float("p") || p.drop.Args[1] != l.drop.Args[1] || p.drop.Args[2] != l.drop.Args[2]) {
				return false
			}
		}
	}
	return true
}

// matchLoRA finds the bias that is added to a matmul, and the adapter whose output
// is added to both.
func matchLoRA(f *ir.Func, base *ir.Stmt, uses map[*ir.Value]int) *loraMatch {
	plain := &loraMatch{base: base}
	y := base.Results[0]
	rs := readers(f, y)
	if len(rs) == 1 && rs[0] != nil && rs[0].Op.Name == "add_bias" && rs[0].Args[1].Storage != nil {
		plain.bias = rs[0]
		y = rs[0].Results[0]
		rs = readers(f, y)
	}
	if len(rs) != 1 || rs[0] == nil || rs[0].Op.Name != "add" {
		return plain
	}
	l := &loraMatch{base: base, bias: plain.bias, add: rs[0]}
	delta := l.add.Args[1].Value
	if delta == y {
		delta = l.add.Args[0].Value
	}
	def := func(v *ir.Value, op string) *ir.Stmt {
		if v == nil || v.Def == nil || v.Def.Op.Name != op || uses[v] != 1 {
			return nil
		}
		return v.Def
	}
	if l.scale = def(delta, "scale"); l.scale == nil {
		return plain
	}
	if l.xab = def(l.scale.Args[0].Value, "matmul"); l.xab == nil || !isAdapter(l.xab) {
		return plain
	}
	if l.xa = def(l.xab.Args[0].Value, "matmul"); l.xa == nil || !isAdapter(l.xa) {
		return plain
	}
	x := l.xa.Args[0].Value
	if l.drop = def(x, "dropout"); l.drop != nil {
		x = l.drop.Args[0].Value
	}
	if x != base.Args[0].Value || l.xa.Args[1].Storage.Trainable != l.xab.Args[1].Storage.Trainable {
		return plain
	}
	return l
}

// isAdapter reports whether s multiplies with one half of an adapter.
func isAdapter(s *ir.Stmt) bool {
	return s.Attrs.Str("group") == "lora" && s.Attrs.Str("trans") == "rhs" && s.Args[1].Storage != nil
}

// place is where the fused op can stand: after its operands, not before the
// first linear.
func (g *loraGroup) place(f *ir.Func) int {
	at := f.IndexOf(g.parts[0].base)
	for _, l := range g.parts {
		if l.drop == nil {
			continue
		}
		for _, a := range l.drop.Args {
			if a.Value != nil && a.Value.Def != nil {
				at = max(at, f.IndexOf(a.Value.Def)+1)
			}
		}
	}
	return at
}

// movable reports whether no result is read before the place of the fused op.
func (g *loraGroup) movable(f *ir.Func) bool {
	at := g.place(f)
	for _, l := range g.parts {
		for _, s := range readers(f, l.y().Results[0]) {
			if s != nil && f.IndexOf(s) < at {
				return false
			}
		}
	}
	return true
}

// rewrite replaces the statements of the group by one.
func (g *loraGroup) rewrite(f *ir.Func) {
	args := []ir.Operand{ir.Val(g.x)}
	var results []*ir.Value
	var parts, streams, biases []any
	var bias []ir.Operand
	attrs := ir.Attrs{"scale": 1.0}
	var drop, from *ir.Stmt
	dead := map[*ir.Stmt]bool{}
	for i, l := range g.parts {
		args = append(args, l.base.Args[1])
		dead[l.base] = true
		if l.bias != nil {
			biases, bias = append(biases, i), append(bias, l.bias.Args[1])
			dead[l.bias] = true
		}
		if !l.adapted() {
			parts = append(parts, "plain")
			results = append(results, l.y().Results[0])
			continue
		}
		parts = append(parts, "lora")
		args = append(args, l.xa.Args[1], l.xab.Args[1])
		results = append(results, l.add.Results[0], l.xa.Results[0])
		attrs["scale"] = l.scale.Attrs.Float("by")
		for _, s := range []*ir.Stmt{l.xa, l.xab, l.scale, l.add} {
			dead[s] = true
		}
		if from == nil {
			from = l.add // the position of the adapter tells more than that of the base
		}
		if l.drop != nil {
			drop = l.drop
			dead[drop] = true
			streams = append(streams, drop.Attrs.Int("stream"))
		}
	}
	if from == nil {
		from = g.parts[0].base
	}
	attrs["parts"] = parts
	if biases != nil {
		attrs["bias"] = biases
		args = append(args, bias...)
	}
	if drop != nil {
		attrs["p"], attrs["streams"] = drop.Attrs.Float("p"), streams
		args = append(args, drop.Args[1], drop.Args[2])
	}
	at := g.place(f)
	f.Body = slices.Insert(f.Body, at, mustStmt(ir.Lookup("lora_linear"), results, args, attrs, from))
	f.Remove(dead)
}
