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
	silu := mul.Args[0].Value.Def
	if silu == nil || silu.Op.Name != "silu" || uses[silu.Results[0]] != 1 || !o.spend() {
		return nil
	}
	dead[silu] = true
	return mustStmt(ir.Lookup("swiglu"), mul.Results, []ir.Operand{silu.Args[0], mul.Args[1]}, nil, mul)
}

// addNorm fuses the first rmsnorm behind the add that reads its sum.
func addNorm(f *ir.Func, i int, dead map[*ir.Stmt]bool, o *Options) *ir.Stmt {
	add := f.Body[i]
	for _, s := range f.Body[i+1:] {
		if s.Op.Name == "rmsnorm" && s.Args[0].Value == add.Results[0] && !dead[s] && o.spend() {
			dead[s] = true
			results := []*ir.Value{add.Results[0], s.Results[0], s.Results[1]}
			return mustStmt(ir.Lookup("add_rmsnorm"), results, []ir.Operand{add.Args[0], add.Args[1], s.Args[1]}, s.Attrs, add)
		}
	}
	return nil
}
