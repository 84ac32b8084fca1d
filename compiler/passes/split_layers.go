package passes

import (
	"fmt"
	"slices"

	"lorac/compiler/cost"
	"lorac/ir"
)

// keptLayers is a repeat that saves activations for the backward, and its layers.
type keptLayers struct {
	s      *ir.Stmt
	lo, hi int
}

// layersKept lists the repeats of the root that keep values, in the order of
// their layers; nil when layers cannot be split: a function that the root
// repeats twice, or layers that do not follow each other.
func layersKept(m *ir.Module) []keptLayers {
	root := cost.Root(m)
	if root == nil {
		return nil
	}
	var out []keptLayers
	for _, s := range root.Body {
		if s.Callee == nil || !root.ReadsKept(s) {
			continue
		}
		shared := slices.ContainsFunc(out, func(k keptLayers) bool { return k.s.Callee == s.Callee })
		if shared || s.Range.Lo > s.Range.Hi || len(out) > 0 && s.Range.Lo != out[len(out)-1].hi+1 {
			return nil
		}
		out = append(out, keptLayers{s, s.Range.Lo, s.Range.Hi})
	}
	return out
}

// splitAt gives the layers from n on functions of their own, so that what they
// save can be chosen separately:
//
//	%x, %kept = repeat layer.forward[0..30] %x0    →   %x.lower, %kept = repeat layer.forward[0..n-1] %x0
//	                                                   %x, %kept.upper = repeat layer.upper.forward[n..30] %x.lower
//	%d = repeat layer.backward[30..0] %d.x, %kept  →   %d.upper = repeat layer.upper.backward[30..n] %d.x, %kept.upper
//	                                                   %d = repeat layer.backward[n-1..0] %d.upper, %kept
//
// Where a repeat begins at n there is nothing to split.
func splitAt(m *ir.Module, n int) {
	for _, k := range layersKept(m) {
		if k.lo < n && n <= k.hi {
			root := cost.Root(m)
			forward := k.s.Callee
			upper := upperOf(m, forward)
			handle := k.s.Results[len(k.s.Results)-1]
			above := splitForward(root, k.s, upper, n)
			for _, b := range backwards(m, forward) {
				var of *ir.Func
				for _, t := range slices.Clone(root.Body) {
					if t.Callee == b && t.Range.Lo >= n { // a backward repeat counts down
						if of == nil {
							of = upperOf(m, b)
							of.Of = upper.Name
						}
						splitBackward(root, t, of, n, handle, above)
					}
				}
			}
			dropFuncs(m)
		}
	}
}

// upperOf copies a function for the upper layers.
func upperOf(m *ir.Module, f *ir.Func) *ir.Func {
	upper, _ := f.Clone(freshFunc(m, variant(f.Name, "upper")))
	upper.Doc = extend(f.Doc, ", of the upper layers, which save other activations")
	insertFunc(m, f, upper)
	return upper
}

// splitForward shortens s to the layers below n and lets upper continue from
// there; it returns the handle of what upper keeps.
func splitForward(root *ir.Func, s *ir.Stmt, upper *ir.Func, n int) *ir.Value {
	carried := len(upper.Results)
	args := slices.Clone(s.Args)
	var names []string
	for _, r := range s.Results {
		names = append(names, r.Name)
	}
	handle := s.Results[carried]
	names[carried] = root.Fresh(handle.Name + ".upper")
	for i, r := range s.Results[:carried] {
		low := &ir.Value{Name: root.Fresh(r.Name + ".lower"), Type: r.Type, Def: s}
		args[i] = ir.Val(low)
	}
	t := mustRepeat(upper, ir.Range{Lo: n, Hi: s.Range.Hi}, names, args, s)
	for i := range carried { // whoever read the last layer's result still does
		t.Results[i], s.Results[i] = s.Results[i], args[i].Value
		t.Results[i].Def = t
	}
	s.Range.Hi = n - 1
	handle.Type = ir.Type{Kept: &ir.Kept{Func: s.Callee.Name, Range: s.Range}}
	root.Body = slices.Insert(root.Body, root.IndexOf(s)+1, t)
	return t.Results[carried]
}

// splitBackward lets upper run the layers of t from n on, with what their
// forward kept, and t the others, if any.
func splitBackward(root *ir.Func, t *ir.Stmt, upper *ir.Func, n int, handle, above *ir.Value) {
	args := slices.Clone(t.Args)
	for i := range args {
		if args[i].Value == handle {
			args[i] = ir.Val(above)
		}
	}
	at := root.IndexOf(t)
	var names []string
	if t.Range.Hi >= n {
		for _, r := range t.Results {
			names = append(names, r.Name)
		}
		u := mustRepeat(upper, t.Range, names, args, t)
		for i, r := range t.Results {
			u.Results[i] = r
			r.Def = u
		}
		root.Body[at] = u
		return
	}
	for _, r := range t.Results {
		names = append(names, root.Fresh(r.Name+".upper"))
	}
	u := mustRepeat(upper, ir.Range{Lo: t.Range.Lo, Hi: n}, names, args, t)
	for i, r := range u.Results {
		t.Args[i] = ir.Val(r)
	}
	t.Range.Lo = n - 1
	root.Body = slices.Insert(root.Body, at, u)
}

func mustRepeat(f *ir.Func, r ir.Range, names []string, args []ir.Operand, from *ir.Stmt) *ir.Stmt {
	s, err := ir.NewRepeat(f, r, names, args, from.Pos)
	if err != nil {
		panic(fmt.Sprintf("BUG: splitting `%s`: %v", from, err))
	}
	s.Line = from.Line
	return s
}
