package passes

import (
	"slices"

	"lorac/ir"
)

// Where ranks share the optimizer's states, each steps its share of every parameter
// (ZeRO-1, Rajbhandari et al. 2020):
//
//	state $wo.a.m : f32[rank,hidden]              state $wo.a.m : f32[rank,hidden] share(optimizer)
//	%norm = norm $wo.a.grad                  →    scatter_units $wo.a.grad {axis=optimizer, order=tree}
//	adamw $wo.a, $wo.a.grad, $wo.a.m, …           %norm = norm_shares $wo.a.grad {axis=optimizer}
//	                                              adamw $wo.a, $wo.a.grad, $wo.a.m, …
//	                                              gather_shares $wo.a {axis=optimizer}

// gather puts parameters together of which each rank stepped a share, after the last
// step of one.
func (p *partitioner) gather(f *ir.Func) {
	if p.m.Mesh.Axis(ir.Optimizer) == 1 {
		return
	}
	flow := p.m.NewFlow(f)
	var params []ir.Operand
	last := 0
	for i, s := range f.Body {
		for _, k := range s.Op.Written(s) {
			if a := s.Args[k]; flow.Shares(s) && a.Storage.Kind == ir.Param && !slices.Contains(params, a) {
				params, last = append(params, a), i
			}
		}
		mustStep(flow, s)
	}
	if len(params) == 0 {
		return
	}
	s := f.Body[last]
	f.Body = slices.Insert(f.Body, last+1, mustStmt(ir.Lookup("gather_shares"), nil, params, ir.Attrs{"axis": ir.Optimizer}, s))
	p.n++
}

func mustStep(flow *ir.Flow, s *ir.Stmt) {
	if err := flow.Step(s); err != nil {
		panic("BUG: partition: " + err.Error())
	}
}
