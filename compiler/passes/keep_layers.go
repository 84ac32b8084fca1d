package passes

import (
	"slices"

	"lorac/compiler/cost"
	"lorac/ir"
)

// splitLayers looks for something cheaper than the best choice that is the same in all
// layers: a set that is too large for all layers in the lower ones, and one that fits
// in the others. For each pair of sets, bytes and FLOPs add up layer by layer,
// which says how many layers can have the large one; the pairs are placed in
// the order of what they would cost, until no other can be cheaper.
func (k *keepSearch) splitLayers(tries []*try, best *try) *try {
	lo, n := k.layers()
	if n < 2 {
		return best
	}
	var large, small []*try
	for _, t := range tries {
		k.place(t)
		switch {
		case t.total <= k.limit:
			small = append(small, t)
		case t.flops < best.flops:
			large = append(large, t)
		}
	}
	var pairs []*pair
	for _, a := range large {
		for _, b := range small {
			if p := k.pair(a, b); p.n > 0 && p.flops[p.n] < best.flops {
				pairs = append(pairs, p)
			}
		}
	}
	slices.SortStableFunc(pairs, func(p, q *pair) int { return cheaper(p.estimate(lo), q.estimate(lo)) })
	for _, p := range pairs {
		for ; p.n > 0 && p.flops[p.n] < best.flops; p.n-- {
			t := k.cost(p.estimate(lo).choice)
			if k.place(t); t.total <= k.limit {
				if t.flops < best.flops {
					best = t
				}
				break
			}
		}
	}
	return best
}

// pair is two sets that share the layers.
type pair struct {
	a, b  *try
	n     int       // layers that may have a, from below
	flops []float64 // of the micro-batch, by how many have it
}

// pair adds up what the layers take. Frames are shared: the larger counts.
func (k *keepSearch) pair(a, b *try) *pair {
	p := &pair{a: a, b: b}
	page := k.dev.PageSize()
	space := (k.limit - k.base) / page * page
	bytes, flops := max(a.rest, b.rest), b.flops
	for _, n := range b.kept {
		bytes += n
	}
	p.flops = append(p.flops, flops)
	for i := range len(a.kept) - 1 {
		bytes += a.kept[i] - b.kept[i]
		flops += a.work[i] - b.work[i]
		p.flops = append(p.flops, flops)
		if bytes <= space {
			p.n = i + 1
		}
	}
	return p
}

// estimate is the choice of the pair and what it should cost.
func (p *pair) estimate(lo int) *try {
	return &try{choice: choice{p.a.lower, p.b.upper, lo + p.n}, flops: p.flops[p.n]}
}

// layers is the lowest layer that keeps something, and how many follow it.
func (k *keepSearch) layers() (lo, n int) {
	all := layersKept(k.m)
	if len(all) == 0 {
		return 0, 0
	}
	return all[0].lo, all[len(all)-1].hi - all[0].lo + 1
}

// layerBytes is what each of these layers keeps in a placed module.
func (k *keepSearch) layerBytes(m *ir.Module) []int {
	lo, n := k.layers()
	out := make([]int, n)
	l := m.Layout(cost.Root(m))
	for _, r := range layersKept(m) {
		for layer := r.lo; layer <= r.hi && n > 0; layer++ {
			out[layer-lo] = l.Record(r.s.Callee).Stride
		}
	}
	return out
}

// layerFLOPs is what each of them takes, forward and backward.
func (k *keepSearch) layerFLOPs(m *ir.Module) []float64 {
	lo, n := k.layers()
	out := make([]float64, n)
	for _, s := range cost.Root(m).Body {
		if s.Callee == nil {
			continue
		}
		flops := funcFLOPs(m, s.Callee)
		s.Range.Each(func(layer int) {
			if i := layer - lo; i >= 0 && i < n {
				out[i] += flops
			}
		})
	}
	return out
}
