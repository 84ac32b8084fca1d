package passes

import (
	"fmt"
	"slices"

	"lorac/ir"
)

// chooseKeep decides, tensor by tensor, which activations are saved for the
// backward. One that is cheap to recompute from others that are saved is
// recomputed in the backward, just before its first reader:
//
//	f.forward … keep (%x, %norm, %rstd)             f.forward … keep (%x)
//	f.backward … saved (%x, %norm, %rstd) {   →     f.backward … saved (%x) {
//	                                                  %norm, %rstd = rmsnorm %x, $w
//
// Cheap is a property of the op. Under a memory limit the search continues
// among what is expensive (keep_limit.go).
func chooseKeep(m *ir.Module, o *Options) int {
	n := recompute(m, false, func(k *keeper, v *ir.Value) bool { return k.rebuildable(v) && o.spend() })
	if _, limited := m.Setting("memory.limit").(int); limited {
		n += keepWithin(m, o.Facts.Device)
	}
	return n
}

// recompute takes the values that drop chooses from the keep lists and recomputes
// them in the backward functions; at any cost, or cheaply.
func recompute(m *ir.Module, atAnyCost bool, drop func(k *keeper, v *ir.Value) bool) int {
	n := 0
	for _, f := range m.Funcs {
		if len(f.Keep) == 0 {
			continue
		}
		k := &keeper{f: f, backs: backwards(m, f), kept: map[*ir.Value]bool{}, atAnyCost: atAnyCost}
		for _, v := range f.Keep {
			k.kept[v] = true
		}
		for _, v := range f.Keep {
			if k.kept[v] && drop(k, v) {
				k.drop(v)
				n++
			}
		}
		for _, b := range k.backs {
			k.rebuild(b)
		}
	}
	return n + shrink(m)
}

// keeper decides the keep list of one forward function.
type keeper struct {
	f     *ir.Func
	backs []*ir.Func
	kept  map[*ir.Value]bool

	atAnyCost bool // else only what is cheap
}

// recipe is how to recompute forward values.
type recipe struct {
	op      *ir.Op
	results []*ir.Value
	args    []ir.Operand
	attrs   ir.Attrs
	def     *ir.Stmt
}

// recipeFor returns how v can be recomputed, or nil.
func (k *keeper) recipeFor(v *ir.Value) *recipe {
	s := v.Def
	switch {
	case s == nil || s.Callee != nil:
		return nil
	case s.Op.Name == "add_rmsnorm" && v != s.Results[0]:
		return &recipe{ir.Lookup("rmsnorm"), s.Results[1:], []ir.Operand{ir.Val(s.Results[0]), s.Args[2]}, s.Attrs, s}
	case !s.Op.Cheap && !k.atAnyCost:
		return nil
	case s.Op.Name == "add_rmsnorm":
		return &recipe{ir.Lookup("add"), s.Results[:1], s.Args[:2], nil, s}
	case s.Op.Only != nil:
		args, attrs, results := s.Op.Only(s, slices.Index(s.Results, v))
		r := &recipe{s.Op, nil, args, attrs, s}
		for _, i := range results {
			r.results = append(r.results, s.Results[i])
		}
		return r
	}
	return &recipe{s.Op, s.Results, s.Args, s.Attrs, s}
}

// rebuildable reports whether v can be recomputed from the other saved values in
// every backward function that loads it. A statistic over rows is small and
// not worth reading the rows again.
func (k *keeper) rebuildable(v *ir.Value) bool {
	r := k.recipeFor(v)
	if r == nil || len(r.args) == 0 || v.Type.Rank() < r.args[0].Type().Rank() {
		return false
	}
	k.kept[v] = false
	ok := k.reaches(v)
	k.kept[v] = true
	return ok
}

// reaches reports whether v leads back to saved values and to what the
// backward functions know anyway.
func (k *keeper) reaches(v *ir.Value) bool {
	if k.kept[v] {
		return true
	}
	if v.Def == nil {
		for _, b := range k.backs {
			if find(b, v.Name) == nil {
				return false
			}
		}
		return v == k.f.Index || isInvariant(k.f, v)
	}
	r := k.recipeFor(v)
	if r == nil {
		return false
	}
	for _, a := range r.args {
		if a.Value != nil && !k.reaches(a.Value) {
			return false
		}
	}
	return true
}

// drop takes v from the keep list, and with it the other results of its
// recipe where every backward function that loads them rebuilds v anyway.
func (k *keeper) drop(v *ir.Value) {
	k.kept[v] = false
	for _, sibling := range k.recipeFor(v).results {
		together := k.kept[sibling]
		for _, b := range k.backs {
			together = together && (find(b, sibling.Name) == nil || find(b, v.Name) != nil)
		}
		if together {
			k.kept[sibling] = false
		}
	}
}

// rebuild makes in b the values it loaded that are no longer kept.
func (k *keeper) rebuild(b *ir.Func) {
	r := &rebuilder{k: k, b: b, local: map[*ir.Value]*ir.Value{}, need: map[*ir.Value]int{}}
	for _, v := range k.f.Keep {
		if loaded := find(b, v.Name); loaded != nil && !k.kept[v] {
			r.local[v] = loaded
			first := slices.IndexFunc(b.Body, func(s *ir.Stmt) bool { return readsValue(s, loaded) })
			if first < 0 {
				first = len(b.Body)
			}
			r.want(v, first)
		}
	}
	b.Saved = slices.DeleteFunc(b.Saved, func(p *ir.Value) bool {
		return slices.ContainsFunc(k.f.Keep, func(v *ir.Value) bool { return v.Name == p.Name && !k.kept[v] })
	})
	r.emit()
}

// rebuilder adds statements to one backward function.
type rebuilder struct {
	k     *keeper
	b     *ir.Func
	local map[*ir.Value]*ir.Value // forward value → its twin in b
	need  map[*ir.Value]int       // first result of a recipe → the statement of b before which it is followed
}

// want notes that v is needed before statement at of b.
func (r *rebuilder) want(v *ir.Value, at int) {
	if r.k.kept[v] || v.Def == nil {
		return
	}
	c := r.k.recipeFor(v)
	if old, ok := r.need[c.results[0]]; ok && old <= at {
		return
	}
	r.need[c.results[0]] = at
	for _, a := range c.args {
		if a.Value != nil {
			r.want(a.Value, at)
		}
	}
}

// emit inserts the wanted statements, in forward order at each place.
func (r *rebuilder) emit() {
	before := map[int][]*ir.Stmt{}
	for _, s := range r.k.f.Body {
		for _, v := range s.Results {
			if at, ok := r.need[v]; ok {
				before[at] = append(before[at], r.recompute(r.k.recipeFor(v)))
			}
		}
	}
	var body []*ir.Stmt
	for i, s := range r.b.Body {
		body = append(append(body, before[i]...), s)
	}
	r.b.Body = append(body, before[len(r.b.Body)]...)
}

// recompute is the statement of b that follows a recipe.
func (r *rebuilder) recompute(c *recipe) *ir.Stmt {
	var args []ir.Operand
	for _, a := range c.args {
		if a.Value != nil {
			a = ir.Val(r.value(a.Value))
		}
		args = append(args, a)
	}
	var results []*ir.Value
	for _, v := range c.results {
		results = append(results, r.result(v))
	}
	return mustStmt(c.op, results, args, c.attrs.Clone(), c.def)
}

// value is the twin of a forward value that is loaded, passed or already made.
func (r *rebuilder) value(v *ir.Value) *ir.Value {
	if w := r.local[v]; w != nil {
		return w
	}
	w := find(r.b, v.Name)
	if w == nil {
		if !r.k.kept[v] {
			panic(fmt.Sprintf("BUG: choose-keep: %s finds no %s", r.b.Name, v))
		}
		w = &ir.Value{Name: v.Name, Type: v.Type}
		r.b.Saved = append(r.b.Saved, w)
	}
	r.local[v] = w
	return w
}

// result is the value in b that a rebuilt v gets: the one that was loaded, or
// a new one that nobody may read.
func (r *rebuilder) result(v *ir.Value) *ir.Value {
	if w := r.local[v]; w != nil && !r.k.kept[v] {
		return w
	}
	name := v.Name
	if r.k.kept[v] {
		name += ".again" // v itself is loaded as well
	}
	w := &ir.Value{Name: r.b.Fresh(name), Type: v.Type}
	if !r.k.kept[v] {
		r.local[v] = w
	}
	return w
}

// find returns the index, saved value or parameter of a backward function by name.
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
