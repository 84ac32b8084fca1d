package cost

import (
	"cmp"
	"slices"

	"lorac/ir"
)

// Training is the entry functions a training process calls.
var Training = []string{"step", "loss"}

// Touched is how much of the arena the named entry functions write under env,
// in bytes, in the pages of a device: buffers are where the greatest dimensions
// put them, and smaller ones leave gaps. What does not fill a page at the end
// of the arena comes in small ones (runtime/sys/offheap).
func Touched(m *ir.Module, env ir.Env, d *Device, entries ...string) int {
	type span struct{ from, to int }
	var spans []span
	page, small := d.PageSize(), d.smallPage()
	whole := m.Arena() / page * page
	add := func(f *ir.Func, region string, base int) {
		f.EachValue(func(v *ir.Value) {
			if v.Place != nil && v.Place.Region == region {
				from := base + v.Place.Offset
				to := from + v.Type.Bytes(env)
				first, last := page, page
				if from >= whole {
					first = small
				}
				if to > whole {
					last = small
				}
				spans = append(spans, span{from / first * first, (to + last - 1) / last * last})
			}
		})
	}
	for _, name := range entries {
		f := m.Func(name)
		if f == nil {
			continue
		}
		l := m.Layout(f)
		add(f, "frame", l.Frame)
		for _, r := range l.Records {
			add(r.Func, "frame", l.Callee)
			for i := range r.Count {
				add(r.Func, "keep", r.Base+i*r.Stride)
			}
			for i := range r.CarryCount {
				add(r.Func, "hand", r.Carry+i*r.CarryStride)
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	sum, end := 0, 0
	for _, s := range spans {
		if s.to > end {
			sum += s.to - max(s.from, end)
			end = s.to
		}
	}
	return sum
}
