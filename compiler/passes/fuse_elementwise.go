package passes

import "lorac/ir"

// fuseElementwise joins pairs that would pass through memory twice:
//
//	%s = silu %gate ; %h = mul %s, %up        →  %h = swiglu %gate, %up
//	%m = add %x, %y ; %n, %r = rmsnorm %m, $w →  %m, %n, %r = add_rmsnorm %x, %y, $w
func fuseElementwise(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		uses := f.Uses()
		dead := map[*ir.Stmt]bool{}
		for i, s := range f.Body {
			var fused *ir.Stmt
			switch s.Op.Name {
			case "mul":
				fused = swiglu(s, uses, dead, o)
			case "add":
				fused = addNorm(f, i, dead, o)
			}
			if fused != nil {
				f.Body[i] = fused
				n++
			}
		}
		f.Remove(dead)
	}
	return n
}

func swiglu(mul *ir.Stmt, uses map[*ir.Value]int, dead map[*ir.Stmt]bool, o *Options) *ir.Stmt {
	for i, a := range mul.Args {
		if a.Value == nil || a.Value.Def == nil || a.Value.Def.Op.Name != "silu" || uses[a.Value] != 1 || !o.spend() {
			continue
		}
		silu := a.Value.Def
		dead[silu] = true
		return mustStmt(ir.Lookup("swiglu"), mul.Results, []ir.Operand{silu.Args[0], mul.Args[1-i]}, nil, mul)
	}
	return nil
}

// addNorm fuses the first rmsnorm after the add that reads its sum.
func addNorm(f *ir.Func, i int, dead map[*ir.Stmt]bool, o *Options) *ir.Stmt {
	add := f.Body[i]
	for _, s := range f.Body[i+1:] {
		if s.Op.Name == "rmsnorm" && s.Args[0].Value == add.Results[0] && s.Args[1].Storage != nil && o.spend() {
			dead[s] = true
			results := []*ir.Value{add.Results[0], s.Results[0], s.Results[1]}
			return mustStmt(ir.Lookup("add_rmsnorm"), results, []ir.Operand{add.Args[0], add.Args[1], s.Args[1]}, s.Attrs, add)
		}
	}
	return nil
}
