package cost

import (
	"cmp"
	"slices"

	"lorac/ir"
)

// CallTime is one kind of call of an emitted program on a device, over a step.
type CallTime struct {
	Call     string  `json:"call"`     // the method that the program calls
	Runs     int     `json:"runs"`     // how often
	Launches int     `json:"launches"` // of kernels
	FLOPs    float64 `json:"flops"`    // of products, as the kernels make them
	Bytes    float64 `json:"bytes"`    // of distinct operands
	Seconds  float64 `json:"seconds"`  // the larger of what each of the two takes at best
	Share    float64 `json:"share"`    // of the step
	Bound    string  `json:"bound"`    // cube or memory: where most of it goes

	cube float64 // seconds bound by the cube
}

// Step is what one optimizer step over one micro-batch takes on a device.
type Step struct {
	Calls    []CallTime // longest first
	Launches int        // all
	Update   int        // of them, those of the optimizer
	Seconds  float64
	Saved    []Saving
}

// Saving is what a fusion saves of a step, against a kernel for each part.
type Saving struct {
	Fusion  string  `json:"fusion"`
	Bytes   float64 `json:"bytes"`   // that would go through memory as well
	Seconds float64 `json:"seconds"` // that takes
	Share   float64 `json:"share"`   // of the step
}

// StepOn is the roofline of a step of a module for a device, under the extents of
// a micro-batch.
func StepOn(m *ir.Module, env ir.Env, soc SoC) *Step {
	s := &Step{}
	index := map[string]int{}
	saved := map[string]*Saving{}
	visit := func(f *ir.Func, st *ir.Stmt, times int) {
		w := BoundOn(f, st, env, soc)
		name := st.KernelName()
		i, ok := index[name]
		if !ok {
			i = len(s.Calls)
			index[name] = i
			s.Calls = append(s.Calls, CallTime{Call: name})
		}
		c, n := &s.Calls[i], float64(times)
		c.Runs += times
		c.Launches += times * len(Launches(st))
		c.FLOPs += n * w.FLOPs
		c.Bytes += n * w.Bytes
		c.Seconds += n * w.Seconds
		if w.By == "cube" {
			c.cube += n * w.Seconds
		}
		for _, x := range savedBy(st, env, soc) {
			if saved[x.Fusion] == nil {
				saved[x.Fusion] = &Saving{Fusion: x.Fusion}
			}
			saved[x.Fusion].Bytes += n * x.Bytes
			saved[x.Fusion].Seconds += n * x.Seconds
		}
	}
	eachOn(Root(m), visit)
	for _, c := range s.Calls {
		s.Launches += c.Launches
	}
	s.Update = -s.Launches
	eachOn(m.Func("update"), visit)
	s.Launches = 0
	for i := range s.Calls {
		c := &s.Calls[i]
		s.Launches += c.Launches
		s.Seconds += c.Seconds
		if c.Bound = "memory"; c.cube > c.Seconds/2 {
			c.Bound = "cube"
		}
	}
	s.Update += s.Launches
	for i := range s.Calls {
		s.Calls[i].Share = s.Calls[i].Seconds / s.Seconds
	}
	slices.SortStableFunc(s.Calls, func(a, b CallTime) int { return cmp.Compare(b.Seconds, a.Seconds) })
	for _, name := range fusions {
		if x := saved[name]; x != nil {
			x.Share = x.Seconds / s.Seconds
			s.Saved = append(s.Saved, *x)
		}
	}
	return s
}

// eachOn visits the statements that a call of f runs with the functions they
// stand in, as Each does.
func eachOn(f *ir.Func, visit func(f *ir.Func, s *ir.Stmt, times int)) {
	var walk func(f *ir.Func, times int)
	walk = func(f *ir.Func, times int) {
		for _, s := range f.Body {
			if s.Callee != nil {
				walk(s.Callee, times*s.Range.Len())
			} else {
				visit(f, s, times)
			}
		}
	}
	if f != nil {
		walk(f, 1)
	}
}

// onDevice is what a statement takes once.
type onDevice struct{ flops, bytes float64 }

// workOn counts a statement of f: products, and the bytes of its distinct operands
// and results. Where rows are chosen, only those are read.
func workOn(f *ir.Func, s *ir.Stmt, env ir.Env) (w onDevice) {
	if s.Op.Cost != nil {
		for _, x := range s.Op.Cost(s, env) {
			w.flops += x.FLOPs
		}
	}
	for _, r := range s.Results {
		w.bytes += float64(r.Type.Bytes(env))
	}
	written := s.Written()
	seen := map[ir.Operand]bool{}
	for i, a := range s.Args {
		if seen[a] {
			continue
		}
		seen[a] = true
		n := float64(a.Type().Bytes(env))
		switch {
		case a.Storage != nil && a.Storage.Stack != nil && f.Index == nil:
			n *= float64(a.Storage.Count())
		case i == 0 && s.Op.Name == "gather_rows" || i == 1 && s.Op.Name == "embed":
			n = float64(s.Results[0].Type.Bytes(env))
		}
		overwritten := a.Storage != nil && a.Storage.Kind == ir.Copy || s.Op.Name == "zero"
		if a.Storage != nil && slices.Contains(written, a.Storage) && !overwritten {
			n *= 2 // read and written
		}
		w.bytes += n
	}
	return w
}
