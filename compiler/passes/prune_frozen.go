package passes

import (
	"fmt"
	"slices"

	"lorac/compiler/cost"
	"lorac/ir"
)

// pruneFrozen removes every gradient that reaches no trainable parameter:
// weight gradients of the frozen base, and the input gradient below the
// lowest adapter. The layer where that ends gets a backward of its own:
//
//	accumulate $layer.wq.w.grad, %d.w           (gone, with the storage and what computed %d.w)
//	%d.x0 = repeat layer.backward[31..0] …  →   %d.x1 = repeat layer.backward[31..1] …
//	                                            repeat layer.first.backward[0] %d.x1, …
//
// What that saves is a setting, for the trainer to say.
func pruneFrozen(m *ir.Module, o *Options) int {
	before := cost.Count(m).FLOPs
	n := 0
	frozen := map[*ir.Storage]bool{}
	for _, s := range m.Storages {
		if s.Kind == ir.Grad && !m.Storage(s.Attrs.Str("of")).Trainable {
			frozen[s] = true
		}
	}
	for _, f := range m.Funcs {
		dead := map[*ir.Stmt]bool{}
		for _, s := range f.Body {
			if s.Op.Name == "accumulate" && frozen[s.Args[0].Storage] && o.spend() {
				dead[s] = true
			}
		}
		f.Remove(dead)
		n += len(dead)
	}
	n += dropStorages(m, frozen)
	for _, f := range m.Funcs {
		n += sweep(f, o)
	}
	if step := m.Func("step"); step != nil {
		n += pruneBelow(m, step, o)
	}
	n += shrink(m)
	if after := cost.Count(m).FLOPs; before > after {
		unit, name := cost.FLOPUnit(before)
		set(m, "pruned", fmt.Sprintf("pruned: frozen-base gradients, %.1f of %.1f %s per largest micro-batch", (before-after)/unit, before/unit, name))
	}
	return n
}

// dropStorages removes the given storages unless something still uses them.
func dropStorages(m *ir.Module, dead map[*ir.Storage]bool) int {
	used := map[*ir.Storage]bool{}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			for _, a := range s.Args {
				used[a.Storage] = true
			}
		}
	}
	var rest []*ir.Storage
	for _, s := range m.Storages {
		if !dead[s] || used[s] {
			rest = append(rest, s)
		}
	}
	n := len(m.Storages) - len(rest)
	m.Storages = rest
	return n
}

// pruneBelow makes the lowest layer of a backward repeat a function of its own
// when nobody reads the gradient it hands down. A repeat that trains nothing
// is gone already, with the statements nobody reads.
func pruneBelow(m *ir.Module, step *ir.Func, o *Options) int {
	n := 0
	for _, s := range slices.Clone(step.Body) {
		if s.Callee == nil || s.Callee.Of == "" || len(s.Callee.Results) != 1 || step.Uses()[s.Results[0]] > 0 || !o.spend() {
			continue
		}
		n++
		first := firstOf(m, s.Callee)
		low := s.Range.Hi // a backward repeat counts down
		args := slices.Clone(s.Args)
		if len(s.Callee.Saved) > 0 && len(first.Saved) == 0 {
			args = args[:len(first.Params)]
		}
		at := step.IndexOf(s) + 1
		if s.Range.Lo == low {
			step.Remove(map[*ir.Stmt]bool{s: true})
			at--
		} else {
			s.Range.Hi++
			s.Results[0].Name = step.Fresh("d.out") // it is the gradient of what the lowest layer returns
			args[0] = ir.Val(s.Results[0])
		}
		call, err := ir.NewRepeat(first, ir.Range{Lo: low, Hi: low}, nil, args, s.Pos)
		if err != nil {
			panic(fmt.Sprintf("BUG: prune-frozen: %v", err))
		}
		step.Body = slices.Insert(step.Body, at, call)
	}
	return n
}

// firstOf makes the variant of a backward function that returns nothing.
func firstOf(m *ir.Module, f *ir.Func) *ir.Func {
	first, _ := f.Clone(freshFunc(m, variant(f.Name, "first")))
	first.Results, first.Doc = nil, extend(f.Doc, "; the lowest: the gradient of its input is not needed")
	sweep(first, &Options{})
	uses := first.Uses()
	first.Saved = slices.DeleteFunc(first.Saved, func(v *ir.Value) bool { return uses[v] == 0 })
	insertFunc(m, f, first)
	return first
}
