package cost

import (
	"strings"

	"lorac/ir"
)

// Stats counts what a pass may save, under the extents of LargestMicroBatch.
type Stats struct {
	Statements int
	FLOPs      float64 // of one step, or of the loss before autodiff
	Adapters   float64 // those of them that low-rank adapters take
	KeptBytes  int     // saved activations, all layers
	Storages   int
}

// Count measures a module.
func Count(m *ir.Module) Stats {
	env := LargestMicroBatch(m)
	s := Stats{Storages: len(m.Storages), KeptBytes: SavedBytes(m, env)}
	for _, f := range m.Funcs {
		s.Statements += len(f.Body)
	}
	for _, w := range Work(Root(m), env) {
		s.FLOPs += w.FLOPs
		if strings.HasPrefix(w.Group, "lora") {
			s.Adapters += w.FLOPs
		}
	}
	return s
}

// LargestMicroBatch is the extents T, S and N of the costliest micro-batch: T
// and S at their greatest; unknown sequence lengths are assumed maximal, which
// attention costs most for. A module that is fitted to data states its N.
func LargestMicroBatch(m *ir.Module) ir.Env {
	env := m.MaxEnv()
	if env["N"] < env["T"] { // fitted to data
		return env
	}
	env["N"] = 1
	if n, _ := m.Setting("seq_length").(int); n > 0 {
		env["N"] = (env["T"] + n - 1) / n
	}
	return env
}

// Root is the function that stands for the job: step once there is one,
// before that the function autodiff will start from.
func Root(m *ir.Module) *ir.Func {
	for _, name := range []string{"step", "step.0", "train", "loss", "loss.0"} { // of a mesh with stages, the first
		if f := m.Func(name); f != nil {
			return f
		}
	}
	return nil
}

// Each visits the statements that a call of f runs, those of repeated functions
// in their place, with how often each runs. f may be nil.
func Each(f *ir.Func, visit func(s *ir.Stmt, times int)) {
	var walk func(f *ir.Func, times int)
	walk = func(f *ir.Func, times int) {
		for _, s := range f.Body {
			if s.Callee != nil {
				walk(s.Callee, times*s.Range.Len())
			} else {
				visit(s, times)
			}
		}
	}
	if f != nil {
		walk(f, 1)
	}
}

// Work adds up what one call of f takes, by group, repeats included. f may be nil.
func Work(f *ir.Func, env ir.Env) []ir.Work {
	var out []ir.Work
	index := map[string]int{}
	Each(f, func(s *ir.Stmt, times int) {
		if s.Op.Cost == nil {
			return
		}
		for _, w := range s.Op.Cost(s, env) {
			i, ok := index[w.Group]
			if !ok {
				i = len(out)
				index[w.Group] = i
				out = append(out, ir.Work{Group: w.Group})
			}
			out[i].FLOPs += float64(times) * w.FLOPs
		}
	})
	return out
}

// Total is the FLOPs of one call of f, of all groups. f may be nil.
func Total(f *ir.Func, env ir.Env) float64 {
	sum := 0.0
	for _, w := range Work(f, env) {
		sum += w.FLOPs
	}
	return sum
}

// SavedBytes is the activations that the forward of the root saves for its
// backward, all layers, in bytes.
func SavedBytes(m *ir.Module, env ir.Env) int {
	n := 0
	root := Root(m)
	if root == nil {
		return 0
	}
	for _, s := range root.Body {
		if s.Callee != nil && root.ReadsKept(s) {
			for _, v := range s.Callee.Keep {
				n += s.Range.Len() * v.Type.Bytes(env)
			}
		}
	}
	return n
}

// Wire adds up the bytes that one process sends in a call of f for the largest
// micro-batch, by axis of the mesh. f may be nil.
func Wire(m *ir.Module, f *ir.Func) map[string]int {
	env, out := LargestMicroBatch(m), map[string]int{}
	Each(f, func(s *ir.Stmt, times int) {
		if s.Op.Wire != nil {
			out[s.Attrs.Str("axis")] += times * s.Op.Wire(s, env, m.Mesh)
		}
	})
	return out
}
