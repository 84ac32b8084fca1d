package passes

import "lorac/ir"

// fuseAccumulate adds a gradient where it is kept instead of making it first:
//
//	%d.w = matmul %d.y, %x {trans=lhs}
//	accumulate $w.grad, %d.w            →  matmul_acc %d.y, %x, $w.grad {trans=lhs}
func fuseAccumulate(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		uses := f.Uses()
		target := map[*ir.Value]*ir.Stmt{} // the accumulate that alone reads a value
		for _, s := range f.Body {
			if s.Op.Name == "accumulate" && uses[s.Args[1].Value] == 1 {
				target[s.Args[1].Value] = s
			}
		}
		dead := map[*ir.Stmt]bool{}
		for i, s := range f.Body {
			if s.Op.Acc == "" {
				continue
			}
			if fused := accumulated(s, target, dead, o); fused != nil {
				f.Body[i] = fused
				n++
			}
		}
		f.Remove(dead)
	}
	return n
}

func accumulated(s *ir.Stmt, target map[*ir.Value]*ir.Stmt, dead map[*ir.Stmt]bool, o *Options) *ir.Stmt {
	accs := s.Op.AccResults(s)
	if len(accs) == 0 {
		return nil
	}
	args := append([]ir.Operand(nil), s.Args...)
	taken := map[int]bool{}
	for _, r := range accs {
		acc := target[s.Results[r]]
		if acc == nil {
			return nil
		}
		args = append(args, acc.Args[0])
		taken[r] = true
	}
	if !o.spend() {
		return nil
	}
	var rest []*ir.Value
	for i, r := range s.Results {
		if taken[i] {
			dead[target[r]] = true
		} else {
			rest = append(rest, r)
		}
	}
	return mustStmt(ir.Lookup(s.Op.Acc), rest, args, s.Attrs, s)
}
