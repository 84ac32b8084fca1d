package cost

import (
	"cmp"
	"fmt"
	"slices"

	"lorac/ir"
)

// Training is the entry functions a training process calls.
var Training = []string{"step", "loss"}

// Touched is how much of the arena the named entry functions write under env,
// in bytes, in the pages of a device: buffers are where the greatest dimensions
// put them, and smaller ones leave gaps. What does not fill a page at the end
// of the arena comes in small ones (runtime/sys/offheap).
//
// Of a pipeline it is what the stage does that touches most.
func Touched(m *ir.Module, env ir.Env, d *Device, entries ...string) (n int) {
	for stage := range m.Mesh.Axis(ir.Stage) {
		n = max(n, touchedBy(m, stage, env, d, entries))
	}
	return n
}

// touchedBy is Touched of one stage. In training several micro-batches are under way,
// each with an arena of its own: as many as there are stages from this one on.
func touchedBy(m *ir.Module, stage int, env ir.Env, d *Device, entries []string) int {
	n := touchedOf(m, env, d, stageNames(m, stage, entries))
	if others := m.Mesh.Axis(ir.Stage) - 1 - stage; others > 0 && slices.Contains(entries, "step") {
		n += others * touchedOf(m, env, d, stageNames(m, stage, []string{"step"}))
	}
	return n
}

// stageNames are the entries as a stage has them.
func stageNames(m *ir.Module, stage int, entries []string) (out []string) {
	for _, name := range entries {
		if own := fmt.Sprintf("%s.%d", name, stage); m.Mesh.Axis(ir.Stage) > 1 && m.Func(own) != nil {
			name = own
		}
		out = append(out, name)
	}
	return out
}

func touchedOf(m *ir.Module, env ir.Env, d *Device, entries []string) int {
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
