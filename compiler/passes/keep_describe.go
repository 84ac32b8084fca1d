package passes

import (
	"fmt"
	"strings"

	"lorac/compiler/cost"
)

// describe says what a choice saves and what it recomputes, for people.
func (k *keepSearch) describe(c choice, kept string) string {
	all := append(k.names[:len(k.names):len(k.names)], "x") // the input of a layer always stays
	mask := uint(1)<<len(all) - 1
	stay := k.inLayers(all, choice{mask &^ c.lower, mask &^ c.upper, c.at})
	recomputed := k.inLayers(all, c)
	if recomputed == "" {
		return fmt.Sprintf("saved as %s: %s; nothing is recomputed", kept, stay)
	}
	return fmt.Sprintf("saved as %s: %s; recomputed: %s", kept, stay, recomputed)
}

// added is what recomputing adds to a micro-batch.
func added(before, after float64) string {
	if after == before {
		return ""
	}
	return fmt.Sprintf(", +%s of %s per largest micro-batch (%.1f %%)", cost.FLOPs(after-before), cost.FLOPs(before), 100*(after-before)/before)
}

// inLayers lists the tensors of a choice, and the layers they stand for where
// these differ: "o in all layers, mid in layers 0 to 11, gate in layers 12 to 31".
func (k *keepSearch) inLayers(names []string, c choice) string {
	if c.lower == c.upper {
		return strings.Join(chosen(names, c.upper), ", ")
	}
	lo, n := k.layers()
	var parts []string
	for _, p := range []struct {
		set   uint
		where string
	}{
		{c.lower & c.upper, "in all layers"},
		{c.lower &^ c.upper, layerRange(lo, c.at-1)},
		{c.upper &^ c.lower, layerRange(c.at, lo+n-1)},
	} {
		if p.set != 0 {
			parts = append(parts, strings.Join(chosen(names, p.set), ", ")+" "+p.where)
		}
	}
	return strings.Join(parts, ", ")
}

func layerRange(lo, hi int) string {
	if lo == hi {
		return fmt.Sprintf("in layer %d", lo)
	}
	return fmt.Sprintf("in layers %d to %d", lo, hi)
}

// chosen is the names of a set.
func chosen(names []string, set uint) []string {
	var out []string
	for i, n := range names {
		if set>>i&1 == 1 {
			out = append(out, n)
		}
	}
	return out
}
