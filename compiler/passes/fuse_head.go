package passes

import "lorac/ir"

// fuseHead joins the head's matmul, the loss and what the backward does with
// the logits, so that they exist in chunks of rows only:
//
//	%l = matmul %x, $head {group=head, trans=rhs}
//	%loss = cross_entropy %l, %t, %w
//	%d.l = cross_entropy_grad %l, %t, %w            →  %loss, %d.x = head_loss %x, $head, %t, %w[, $head.grad] {dx=true}
//	%d.x = matmul %d.l, $head {trans=none}
//	[matmul_acc %d.l, %x, $head.grad {trans=lhs}]
func fuseHead(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		for _, s := range append([]*ir.Stmt(nil), f.Body...) {
			if h := matchHead(f, s); h != nil && o.spend() {
				h.rewrite(f)
				n++
			}
		}
	}
	return n
}

type headMatch struct {
	logits, loss, grad, dx, dw *ir.Stmt
}

func matchHead(f *ir.Func, s *ir.Stmt) *headMatch {
	if s.Op.Name != "matmul" || s.Attrs.Str("group") != "head" || s.Attrs.Str("trans") != "rhs" {
		return nil
	}
	h := &headMatch{logits: s}
	for _, r := range readers(f, s.Results[0]) {
		switch {
		case r != nil && r.Op.Name == "cross_entropy" && h.loss == nil:
			h.loss = r
		case r != nil && r.Op.Name == "cross_entropy_grad" && r.Args[0].Value == s.Results[0] && h.grad == nil:
			h.grad = r
		default:
			return nil
		}
	}
	if h.loss == nil {
		return nil
	}
	if h.grad == nil {
		return h
	}
	if h.grad.Args[1] != h.loss.Args[1] || h.grad.Args[2] != h.loss.Args[2] {
		return nil
	}
	for _, r := range readers(f, h.grad.Results[0]) {
		switch {
		case r != nil && r.Op.Name == "matmul" && r.Attrs.Str("trans") == "none" && r.Args[0].Value == h.grad.Results[0] && r.Args[1] == s.Args[1] && h.dx == nil:
			h.dx = r
		case r != nil && r.Op.Name == "matmul_acc" && r.Attrs.Str("trans") == "lhs" && r.Args[0].Value == h.grad.Results[0] && r.Args[1] == s.Args[0] && h.dw == nil:
			h.dw = r
		default:
			return nil
		}
	}
	return h
}

func (h *headMatch) rewrite(f *ir.Func) {
	args := []ir.Operand{h.logits.Args[0], h.logits.Args[1], h.loss.Args[1], h.loss.Args[2]}
	results := []*ir.Value{h.loss.Results[0]}
	var attrs ir.Attrs
	dead := map[*ir.Stmt]bool{h.logits: true}
	if h.grad != nil {
		dead[h.grad] = true
	}
	if h.dx != nil {
		attrs = ir.Attrs{"dx": true}
		results = append(results, h.dx.Results[0])
		dead[h.dx] = true
	}
	if h.dw != nil {
		args = append(args, h.dw.Args[2])
		dead[h.dw] = true
	}
	f.Body[f.IndexOf(h.loss)] = mustStmt(ir.Lookup("head_loss"), results, args, attrs, h.loss)
	f.Remove(dead)
}
