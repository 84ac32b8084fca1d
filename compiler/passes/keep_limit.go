package passes

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"lorac/ir"
)

// Under a memory limit (settings memory.limit, bytes of the whole process, and
// memory.base, those of them that no choice here changes) kept values are
// stored in half precision where memory.keep says so, and tensors that are
// dear to make again are, until the rest fits: every choice of tensors is
// costed, and the cheapest that fits is taken. A tensor is treated alike in
// all layers.

// keepWithin is the search. When nothing fits it leaves the least; the caller
// compares the footprint with the limit.
func keepWithin(m *ir.Module) int {
	n := 0
	if t := keepType(m); t != "" {
		n += roundKept(m, t)
	}
	names := candidates(m)
	whole := passFLOPs(m)
	type choice struct {
		set   uint
		flops float64
	}
	var choices []choice
	for set := range uint(1) << len(names) {
		c := m.Clone()
		forgetNames(c, names, set)
		choices = append(choices, choice{set, passFLOPs(c)})
	}
	// Of two that cost the same, the one that keeps more tensors comes first.
	slices.SortStableFunc(choices, func(a, b choice) int {
		return cmp.Or(cmp.Compare(a.flops, b.flops), cmp.Compare(bits.OnesCount(a.set), bits.OnesCount(b.set)))
	})
	limit, _ := m.Setting("memory.limit").(int)
	base, _ := m.Setting("memory.base").(int)
	best, least := choices[0], 0
	for i, c := range choices {
		total := base + placedBytes(m, names, c.set)
		if i == 0 || total < least {
			best, least = c, total
		}
		if total <= limit {
			break
		}
	}
	n += forgetNames(m, names, best.set)
	kept := "f32"
	if t := keepType(m); t != "" {
		n += storeHalf(m, t)
		kept = t
	}
	m.Settings = append(m.Settings, &ir.Setting{Key: "memory.choice", Val: describe(m, names, best.set, kept, whole, best.flops)})
	return n
}

// candidates are the tensors worth making again at a price, by name: wide ones
// that some layer's forward computes.
func candidates(m *ir.Module) []string {
	var out []string
	for _, f := range m.Funcs {
		k := &keeper{f: f, backs: backwards(m, f), kept: map[*ir.Value]bool{}, dear: true}
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

func forgetNames(m *ir.Module, names []string, set uint) int {
	if set == 0 {
		return 0
	}
	return forget(m, true, func(k *keeper, v *ir.Value) bool {
		i := slices.Index(names, v.Name)
		return i >= 0 && set>>i&1 == 1 && k.rebuildable(v)
	})
}

// placedBytes is the memory of the module under a choice.
func placedBytes(m *ir.Module, names []string, set uint) int {
	c := m.Clone()
	forgetNames(c, names, set)
	if t := keepType(c); t != "" {
		storeHalf(c, t)
	}
	planMemory(c, nil)
	f := Footprint(c)
	return f.Total - f.Arena + Touched(c, c.MaxEnv(), Page, Training...)
}

// passFLOPs is what a pass of most rows takes, in the dearest case of one sequence.
func passFLOPs(m *ir.Module) float64 {
	env := m.MaxEnv()
	env["N"] = 1
	sum := 0.0
	for _, w := range Work(m, Root(m), env) {
		sum += w.FLOPs
	}
	return sum
}

// describe says what was chosen and what it costs.
func describe(m *ir.Module, names []string, set uint, kept string, before, after float64) string {
	var again, stay []string
	for i, n := range names {
		if set>>i&1 == 1 {
			again = append(again, n)
		} else {
			stay = append(stay, n)
		}
	}
	stay = append(stay, "x")
	text := fmt.Sprintf("kept as %s: %s", kept, strings.Join(stay, ", "))
	if len(again) == 0 {
		return text + "; nothing is computed twice"
	}
	return fmt.Sprintf("%s; computed again: %s, +%s of %s a pass of most rows (%.1f %%)",
		text, strings.Join(again, ", "), FLOPs(after-before), FLOPs(before), 100*(after-before)/before)
}
