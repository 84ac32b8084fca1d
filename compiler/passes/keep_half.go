package passes

import (
	"slices"
	"strings"

	"lorac/ir"
)

// roundKept rounds saved activations to half precision where they are computed:
// the forward pass, the saved copy and a recomputed one then have the same bits.
// Adapters' x·a and statistics stay f32: they are small, and their gradients
// are what trains.
//
//	%gate = matmul …    →    %gate.full = matmul …
//	                         %gate = round %gate.full {dtype=f16}
func roundKept(m *ir.Module, dtype string) int {
	n := 0
	for _, f := range m.Funcs {
		for _, v := range slices.Clone(f.Keep) {
			switch {
			case !wide(m, v):
			case v.Def != nil:
				splitNorm(f, v)
				roundAt(f, v, dtype)
				n++
			default:
				n += roundCarried(m, f, v, dtype)
			}
		}
	}
	return n
}

// wide reports whether a saved value is worth half precision: an activation of
// the model's width, not of the adapters' rank.
func wide(m *ir.Module, v *ir.Value) bool {
	if v.Type.Rank() != 2 || v.Type.DType != ir.F32 && v.Type.DType != m.Low() || v.Type.Shape[0].Sym == "" {
		return false
	}
	if d := v.Def; d != nil && (d.Op.Name == "round" || slices.Contains(d.Op.Exact, slices.Index(d.Results, v))) {
		return false
	}
	rank := 0 // the greatest of the adapters'
	for _, s := range m.Sizes {
		if s.Name == "rank" || strings.HasPrefix(s.Name, "rank_") {
			rank = max(rank, s.N)
		}
	}
	return v.Type.Shape[1].N > rank
}

// splitNorm splits a fused residual and norm, so that the norm reads the
// rounded sum.
func splitNorm(f *ir.Func, v *ir.Value) {
	s := v.Def
	if s.Op.Name != "add_rmsnorm" || v != s.Results[0] {
		return
	}
	at := slices.Index(f.Body, s)
	sum := mustStmt(ir.Lookup("add"), s.Results[:1], s.Args[:2], nil, s)
	norm := mustStmt(ir.Lookup("rmsnorm"), s.Results[1:], []ir.Operand{ir.Val(v), s.Args[2]}, s.Attrs, s)
	f.Body = slices.Replace(f.Body, at, at+1, sum, norm)
}

// roundAt rounds v after the statement that makes it.
func roundAt(f *ir.Func, v *ir.Value, dtype string) {
	if v.Def.Op.Name == "round" {
		return
	}
	full := &ir.Value{Name: f.Fresh(v.Name + ".full"), Type: v.Type, Def: v.Def}
	s := v.Def
	s.Results[slices.Index(s.Results, v)] = full
	at := slices.Index(f.Body, s)
	f.Body = slices.Insert(f.Body, at+1, mustStmt(ir.Lookup("round"), []*ir.Value{v}, []ir.Operand{ir.Val(full)}, ir.Attrs{"dtype": dtype}, s))
}

// roundCarried rounds the value carried into f: what its callers make for the
// first layer, and what the previous layer returns.
func roundCarried(m *ir.Module, f *ir.Func, p *ir.Value, dtype string) int {
	k := slices.Index(f.Params, p)
	if k >= len(f.Results) { // the same for all layers
		return 0
	}
	eachCall(m, f, func(caller *ir.Func, s *ir.Stmt) {
		if v := s.Args[k].Value; v.Def != nil && v.Def.Callee != nil {
			before := v.Def.Callee
			roundAt(before, before.Results[k], dtype)
		} else if v.Def != nil {
			roundAt(caller, v, dtype)
		}
		if s.Range.Len() > 1 {
			roundAt(f, f.Results[k], dtype)
		}
	})
	return 1
}

// storeHalf stores what was rounded in its half precision:
//
//	f.forward … keep (%gate)       f.forward … keep (%gate.f16)
//	                                 %gate.f16 = narrow %gate {dtype=f16} : f16[T,11008]
//	f.backward saved (%gate)   →   f.backward saved (%gate.f16)
//	                                 %gate = widen %gate.f16
func storeHalf(m *ir.Module, dtype string) int {
	n := 0
	for _, f := range m.Funcs {
		for i, v := range f.Keep {
			if !wide(m, v) && (v.Def == nil || v.Def.Op.Name != "round") {
				continue
			}
			n++
			at := 0
			from := &ir.Stmt{}
			if v.Def != nil {
				at, from = slices.Index(f.Body, v.Def)+1, v.Def
			} else if len(f.Body) > 0 {
				from = f.Body[0]
			}
			stored := &ir.Value{Name: f.Fresh(v.Name + "." + dtype)}
			f.Body = slices.Insert(f.Body, at, mustStmt(ir.Lookup("narrow"), []*ir.Value{stored}, []ir.Operand{ir.Val(v)}, ir.Attrs{"dtype": dtype}, from))
			f.Keep[i] = stored
			for _, b := range backwards(m, f) {
				widenSaved(b, v.Name, stored)
			}
		}
	}
	return n
}

// widenSaved makes b load the stored form of a value, and the value from it
// before its first reader.
func widenSaved(b *ir.Func, name string, stored *ir.Value) {
	i := slices.IndexFunc(b.Saved, func(v *ir.Value) bool { return v.Name == name })
	if i < 0 {
		return
	}
	v := b.Saved[i]
	half := &ir.Value{Name: stored.Name, Type: stored.Type}
	b.Saved[i] = half
	at := slices.IndexFunc(b.Body, func(s *ir.Stmt) bool { return readsValue(s, v) })
	if at < 0 {
		panic("BUG: choose-keep: " + b.Name + " does not read " + v.String())
	}
	b.Body = slices.Insert(b.Body, at, mustStmt(ir.Lookup("widen"), []*ir.Value{v}, []ir.Operand{ir.Val(half)}, nil, b.Body[at]))
}

// keepType is the half precision saved values are stored in, "" for none.
func keepType(m *ir.Module) string {
	s, _ := m.Setting("memory.keep").(string)
	if strings.EqualFold(s, "f16") || strings.EqualFold(s, "bf16") {
		return strings.ToLower(s)
	}
	return ""
}
