package passes

import "lorac/ir"

// pruneFrozen removes every gradient that reaches no trainable parameter:
// weight gradients of the frozen base, and the input gradient below the
// lowest adapter. The layer where that ends gets a backward of its own:
//
//	accumulate $layer.wq.w.grad, %d.w           (gone, with the storage and what computed %d.w)
//	%d.x0 = repeat layer.backward[31..0] …  →   %d.x1 = repeat layer.backward[31..1] …
//	                                            repeat layer.first.backward[0] %d.x1, …
func pruneFrozen(m *ir.Module, o *Options) int {
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
	return n + shrink(m)
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

// pruneBelow walks down from the last backward repeat: while nobody reads the
// gradient it hands to the layer below, its lowest layer need not compute it,
// and goes away altogether when it trains nothing.
func pruneBelow(m *ir.Module, step *ir.Func, o *Options) int {
	n := 0
	for i := len(step.Body) - 1; i >= 0; i-- {
		s := step.Body[i]
		if s.Callee == nil || s.Callee.Of == "" || len(s.Callee.Results) == 0 {
			continue
		}
		for len(s.Results) > 0 && step.Uses()[s.Results[0]] == 0 && o.spend() {
			n++
			first := firstOf(m, s.Callee)
			low := s.Range.Hi // a backward repeat counts down
			args := append([]ir.Operand(nil), s.Args...)
			last := s.Range.Lo == low
			if last {
				step.Remove(map[*ir.Stmt]bool{s: true})
			} else {
				s.Range.Hi++
				args[0] = ir.Val(s.Results[0])
			}
			if effects(first) {
				b := ir.NewBuilder(step)
				var tail []*ir.Stmt
				b.Into = &tail
				b.Repeat(s.Pos, first, ir.Range{Lo: low, Hi: low}, nil, args...)
				at := i + 1
				if last {
					at = i
				}
				step.Body = append(step.Body[:at:at], append(tail, step.Body[at:]...)...)
				sweep(step, o)
				return n
			}
			if last {
				break
			}
		}
	}
	sweep(step, o)
	return n
}

// firstOf makes the variant of a backward function that returns nothing.
func firstOf(m *ir.Module, f *ir.Func) *ir.Func {
	name := variant(f.Name, "first")
	if first := m.Func(name); first != nil {
		return first
	}
	first, _ := f.Clone(name)
	first.Results = nil
	sweep(first, &Options{})
	uses := first.Uses()
	var saved []*ir.Value
	for _, v := range first.Saved {
		if uses[v] > 0 {
			saved = append(saved, v)
		}
	}
	first.Saved = saved
	if !effects(first) {
		return first
	}
	i := 0
	for m.Funcs[i] != f {
		i++
	}
	m.Funcs = append(m.Funcs[:i+1:i+1], append([]*ir.Func{first}, m.Funcs[i+1:]...)...)
	return first
}

func effects(f *ir.Func) bool {
	for _, s := range f.Body {
		if s.Effect() {
			return true
		}
	}
	return false
}
