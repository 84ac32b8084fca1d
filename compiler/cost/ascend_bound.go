package cost

import "lorac/ir"

// Bound is what a statement takes at best on a device.
type Bound struct {
	FLOPs   float64 `json:"useful_flops"`      // of products
	Bytes   float64 `json:"bytes_of_operands"` // distinct ones, results among them
	Seconds float64 `json:"roofline_seconds"`  // the larger of what each of the two takes
	By      string  `json:"bound"`             // cube or memory
}

// BoundOn is the bound of a statement of f under the extents of a micro-batch.
func BoundOn(f *ir.Func, s *ir.Stmt, env ir.Env, soc SoC) Bound {
	w := workOn(f, s, env)
	cube, memory := w.flops/soc.Peak(), w.bytes/soc.Bandwidth()
	if cube >= memory {
		return Bound{w.flops, w.bytes, cube, "cube"}
	}
	return Bound{w.flops, w.bytes, memory, "memory"}
}

// EachOn visits the statements of a training step, the optimizer's last, with the
// functions that they stand in and how often each runs.
func EachOn(m *ir.Module, visit func(f *ir.Func, s *ir.Stmt, times int)) {
	eachOn(Root(m), visit)
	eachOn(m.Func("update"), visit)
}
