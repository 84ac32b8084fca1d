package passes

import (
	"fmt"
	"strings"
)

// describe says what a choice keeps and what it computes again, for people.
func (k *keepSearch) describe(c choice, kept string) string {
	all := append(k.names[:len(k.names):len(k.names)], "x") // the input of a layer always stays
	mask := uint(1)<<len(all) - 1
	stay := k.inLayers(all, choice{mask &^ c.lower, mask &^ c.upper, c.at})
	again := k.inLayers(all, c)
	if again == "" {
		return fmt.Sprintf("kept as %s: %s; nothing is computed twice", kept, stay)
	}
	return fmt.Sprintf("kept as %s: %s; computed again: %s", kept, stay, again)
}

// price is what computing again adds to a pass.
func price(before, after float64) string {
	if after == before {
		return ""
	}
	return fmt.Sprintf(", +%s of %s a pass of most rows (%.1f %%)", FLOPs(after-before), FLOPs(before), 100*(after-before)/before)
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
