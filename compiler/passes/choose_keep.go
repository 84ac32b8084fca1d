package passes

import "lorac/ir"

// chooseKeep decides, tensor by tensor, what waits for the backward pass. A
// kept value that is cheap to rebuild from others the backward loads anyway is
// rebuilt there, just before its first reader:
//
//	f.forward … keep (%x, %norm)                f.forward … keep (%x)
//	f.backward … saved (%x, %norm)          →   f.backward … saved (%x) {
//	                                              %norm, %rstd.2 = rmsnorm %x, $w
func chooseKeep(m *ir.Module, o *Options) int {
	n := 0
	for _, f := range m.Funcs {
		for _, v := range append([]*ir.Value(nil), f.Keep...) {
			if canRebuild(m, f, v) && o.spend() {
				for _, b := range m.Funcs {
					if b.Of == f.Name {
						rebuild(b, v)
					}
				}
				n++
			}
		}
	}
	return n + shrink(m)
}

// recipe is how to make a kept value again.
type recipe struct {
	op    *ir.Op
	args  []ir.Operand
	attrs ir.Attrs
	index int // which result it is
}

func recipeFor(v *ir.Value) *recipe {
	s := v.Def
	if s == nil || s.Callee != nil {
		return nil
	}
	index := 0
	for i, r := range s.Results {
		if r == v {
			index = i
		}
	}
	if s.Op.Name == "add_rmsnorm" && index == 1 {
		return &recipe{ir.Lookup("rmsnorm"), []ir.Operand{ir.Val(s.Results[0]), s.Args[2]}, s.Attrs, 0}
	}
	if !s.Op.Cheap {
		return nil
	}
	// A statistic is small and exact to keep; only the tensors are rebuilt.
	if v.Type.Rank() < 2 {
		return nil
	}
	return &recipe{s.Op, s.Args, s.Attrs, index}
}

// canRebuild reports whether every backward function that loads v also has
// the operands of its recipe, and those are not themselves to be rebuilt.
func canRebuild(m *ir.Module, f *ir.Func, v *ir.Value) bool {
	r := recipeFor(v)
	if r == nil {
		return false
	}
	for _, b := range m.Funcs {
		if b.Of != f.Name || find(b, v.Name) == nil {
			continue
		}
		for _, a := range r.args {
			if a.Value != nil && find(b, a.Value.Name) == nil && !keeps(f, a.Value) {
				return false
			}
		}
	}
	return true
}

// find returns the saved value or parameter of a backward function by name.
func find(b *ir.Func, name string) *ir.Value {
	if b.Index != nil && b.Index.Name == name {
		return b.Index
	}
	for _, list := range [][]*ir.Value{b.Saved, b.Params} {
		for _, v := range list {
			if v.Name == name {
				return v
			}
		}
	}
	return nil
}

// rebuild makes v in b instead of loading it.
func rebuild(b *ir.Func, v *ir.Value) {
	loaded := find(b, v.Name)
	if loaded == nil {
		return
	}
	r := recipeFor(v)
	args := append([]ir.Operand(nil), r.args...)
	for i, a := range args {
		if a.Value == nil {
			continue
		}
		v := find(b, a.Value.Name)
		if v == nil { // kept anyway, for another backward function
			v = &ir.Value{Name: a.Value.Name, Type: a.Value.Type}
			b.Saved = append(b.Saved, v)
		}
		args[i] = ir.Val(v)
	}
	for i, p := range b.Saved {
		if p == loaded {
			b.Saved = append(b.Saved[:i:i], b.Saved[i+1:]...)
			break
		}
	}
	types, err := r.op.Infer(&ir.Stmt{Op: r.op, Args: args, Attrs: r.attrs, Pos: v.Def.Pos})
	if err != nil {
		panic("BUG: choose-keep: " + err.Error())
	}
	results := make([]*ir.Value, len(types))
	for i := range results {
		results[i] = &ir.Value{Name: b.Fresh(v.Def.Results[0].Name + ".aux")}
	}
	results[r.index] = loaded
	s := mustStmt(r.op, results, args, r.attrs, v.Def)
	at := len(b.Body)
	for i, t := range b.Body {
		if readsValue(t, loaded) {
			at = i
			break
		}
	}
	b.Body = append(b.Body[:at:at], append([]*ir.Stmt{s}, b.Body[at:]...)...)
}
