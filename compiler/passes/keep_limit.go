package passes

import (
	"cmp"
	"math/bits"
	"slices"

	"lorac/compiler/cost"
	"lorac/ir"
)

// Under a memory limit (settings memory.limit, bytes of the whole process, and
// memory.base, those of them that no choice here changes) saved values are
// stored in half precision where memory.keep says so, and tensors that are
// expensive to recompute are recomputed, until the rest fits: every choice of
// tensors is costed, and the cheapest that fits is taken, the same in all layers
// or one in the lower layers and another in the upper ones (keep_layers.go).

// choice is the sets of candidates that are recomputed: one in the layers
// below at, one in the others; at is 0 where they are the same.
type choice struct {
	lower, upper uint
	at           int
}

// everywhere is the choice of one set for all layers.
func everywhere(set uint) choice { return choice{set, set, 0} }

// in is the set of a layer.
func (c choice) in(layer int) uint {
	if layer < c.at {
		return c.lower
	}
	return c.upper
}

// count is how many tensors are recomputed, for choices that cost the same.
func (c choice) count() int { return bits.OnesCount(c.lower) + bits.OnesCount(c.upper) }

// keepSearch looks for the cheapest choice that fits.
type keepSearch struct {
	m     *ir.Module // nothing chosen yet, rounded
	names []string   // the candidates
	limit int
	base  int // bytes that no choice changes
	dev   *cost.Device
}

// keepWithin is the search, by the pages of a device. When nothing fits it leaves
// the least; the caller compares the memory of the process with the limit.
func keepWithin(m *ir.Module, d *cost.Device) int {
	n, kept := 0, "f32"
	if m.Low() != 0 {
		kept = m.Low().String()
	} else if t := keepType(m); t != "" {
		n, kept = roundKept(m, t), t
	}
	k := &keepSearch{m: m, names: candidates(m), dev: d}
	k.limit, _ = m.Setting("memory.limit").(int)
	k.base, _ = m.Setting("memory.base").(int)
	k.base += cost.StorageBytes(m)
	before := stepFLOPs(m)
	best, flops := k.search()
	text := k.describe(best, kept) + added(before, flops)
	n += recomputeChoice(m, k.names, best)
	if t := keepType(m); t != "" {
		n += storeHalf(m, t)
	}
	m.Settings = append(m.Settings, &ir.Setting{Key: "memory.choice", Val: text})
	return n
}

// search tries the choices that are the same in all layers, cheapest first;
// where one is too large and the next that fits costs more, lower and upper
// layers may differ.
func (k *keepSearch) search() (best choice, flops float64) {
	tries := make([]*try, 0, 1<<len(k.names))
	for set := range uint(1) << len(k.names) {
		tries = append(tries, k.cost(everywhere(set)))
	}
	// Of two that cost the same, the one that keeps more tensors comes first.
	slices.SortStableFunc(tries, cheaper)
	var fits *try
	least := tries[0]
	for _, t := range tries {
		k.place(t)
		if t.total < least.total {
			least = t
		}
		if t.total <= k.limit {
			fits = t
			break
		}
	}
	switch {
	case fits == nil:
		fits = least
	case fits != tries[0] && k.m.Mesh.Axis(ir.Stage) == 1: // layers of one entry
		fits = k.splitLayers(tries, fits)
	}
	return fits.choice, fits.flops
}

// try is a choice and what it takes.
type try struct {
	choice
	flops float64
	m     *ir.Module // under the choice, until it is placed
	total int        // bytes, once it is placed
	rest  int        // bytes of the arena that layers do not keep
	kept  []int      // bytes of it that each layer keeps
	work  []float64  // FLOPs, by layer
}

// cheaper orders tries by cost.
func cheaper(a, b *try) int {
	return cmp.Or(cmp.Compare(a.flops, b.flops), cmp.Compare(a.count(), b.count()))
}

// cost makes the module under a choice and counts its operations.
func (k *keepSearch) cost(c choice) *try {
	t := &try{choice: c, m: k.m.Clone()}
	recomputeChoice(t.m, k.names, c)
	t.flops = stepFLOPs(t.m)
	return t
}

// place measures the memory of a try, once.
func (k *keepSearch) place(t *try) {
	if t.m == nil {
		return
	}
	m := t.m
	t.m = nil
	t.work = k.layerFLOPs(m)
	if half := keepType(m); half != "" {
		storeHalf(m, half)
	}
	planMemory(m, nil)
	if t.total = k.base + m.Arena(); m.Low() == 0 { // a device takes the whole arena at the start
		t.total = k.base + cost.Touched(m, m.MaxEnv(), k.dev, cost.Training...)
	}
	t.kept = k.layerBytes(m)
	for _, name := range cost.Training {
		if f := m.Func(name); f != nil {
			t.rest = max(t.rest, m.Layout(f).Size)
		}
	}
	for _, n := range t.kept {
		t.rest -= n
	}
}

// candidates are the tensors that may be recomputed at any cost, by name: wide
// ones that some layer's forward computes.
func candidates(m *ir.Module) []string {
	var out []string
	for _, f := range m.Funcs {
		k := &keeper{f: f, backs: backwards(m, f), kept: map[*ir.Value]bool{}, atAnyCost: true}
		for _, v := range f.Keep {
			k.kept[v] = true
		}
		for _, v := range f.Keep {
			if v.Def != nil && (wide(m, v) || v.Def.Op.Name == "round") && !slices.Contains(out, v.Name) && k.rebuildable(v) {
				out = append(out, v.Name)
			}
		}
	}
	return out
}

// recomputeChoice recomputes what a choice says.
func recomputeChoice(m *ir.Module, names []string, c choice) int {
	if c.lower|c.upper == 0 {
		return 0
	}
	splitAt(m, c.at)
	set := map[*ir.Func]uint{}
	for _, k := range layersKept(m) {
		set[k.s.Callee] = c.in(k.lo)
	}
	return recompute(m, true, func(k *keeper, v *ir.Value) bool {
		chosen, ok := set[k.f]
		if !ok { // layers that cannot be split are treated the same
			chosen = c.upper
		}
		i := slices.Index(names, v.Name)
		return i >= 0 && chosen>>i&1 == 1 && k.rebuildable(v)
	})
}

// stepFLOPs is what the costliest micro-batch takes.
func stepFLOPs(m *ir.Module) float64 { return funcFLOPs(m, cost.Root(m)) }

// funcFLOPs is the share of one call of a function.
func funcFLOPs(m *ir.Module, f *ir.Func) float64 { return cost.Total(f, cost.LargestMicroBatch(m)) }
