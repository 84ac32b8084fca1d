package passes

import "lorac/ir"

// fuseResidual adds the gradient of the residual path inside the norm's
// gradient, as add_rmsnorm's rule does already where the add stands before
// the norm:
//
//	%a = rmsnorm_grad %d, %x, %rstd, $w
//	%b = add %res, %a                      →   %b = rmsnorm_grad_add %res, %d, %x, %rstd, $w
func fuseResidual(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		uses := f.Uses()
		dead := map[*ir.Stmt]bool{}
		for i, s := range f.Body {
			if s.Op.Name != "add" {
				continue
			}
			for k, a := range s.Args {
				v, res := a.Value, s.Args[1-k]
				if v == nil || v.Def == nil || v.Def.Op.Name != "rmsnorm_grad" || uses[v] != 1 || !o.spend() {
					continue
				}
				args := append([]ir.Operand{res}, v.Def.Args...)
				f.Body[i] = mustStmt(ir.Lookup("rmsnorm_grad_add"), s.Results, args, v.Def.Attrs, v.Def)
				dead[v.Def] = true
				n++
				break
			}
		}
		f.Remove(dead)
	}
	return n
}
