package passes

import (
	"slices"

	"lorac/ir"
)

// detachBias makes statements of their own of the biases of a linear that is cut by
// columns, so that they are added once, to what is summed:
//
//	%attn = lora_linear %o, $wo.w, $wo.bias {bias=[0], parts=[plain]}    →    %attn.product = lora_linear %o, $wo.w {parts=[plain]}
//	                                                                          %attn = add_bias %attn.product, $wo.bias
func (p *partitioner) detachBias(f *ir.Func, at int) bool {
	n := detachBias(f, at)
	p.n += n
	return n > 0
}

// detachBias does that for a statement, and counts the biases.
func detachBias(f *ir.Func, at int) (n int) {
	s := f.Body[at]
	if s.Op.Name != "lora_linear" || len(s.Attrs.List("bias")) == 0 {
		return 0
	}
	g, err := ir.LoRAOf(s)
	if err != nil {
		return 0
	}
	args, results := []ir.Operand{}, slices.Clone(s.Results)
	var adds []*ir.Stmt
	biases := map[int]bool{}
	for _, l := range g.Linears {
		if l.Bias == ir.None {
			continue
		}
		biases[l.Bias] = true
		y := s.Results[l.Y]
		results[l.Y] = &ir.Value{Name: f.Fresh(y.Name + ".product"), Type: y.Type}
		adds = append(adds, mustStmt(ir.Lookup("add_bias"), []*ir.Value{y}, []ir.Operand{ir.Val(results[l.Y]), s.Args[l.Bias]}, nil, s))
	}
	for i, a := range s.Args {
		if !biases[i] {
			args = append(args, a)
		}
	}
	attrs := s.Attrs.Clone()
	delete(attrs, "bias")
	f.Body[at] = mustStmt(s.Op, results, args, attrs, s)
	f.Body = slices.Insert(f.Body, at+1, adds...)
	return len(adds)
}
