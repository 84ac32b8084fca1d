package rt

import (
	"slices"
	"strings"

	"lorac/runtime/sys/spell"
)

// Nearest names the flags, at most three, that a name nobody knows was meant
// to be. Names under four letters have none: anything would be near.
func Nearest(name string) []string {
	if len(name) < 4 {
		return nil
	}
	type near struct {
		name string
		d    int
	}
	var found []near
	for _, f := range flags {
		for _, n := range []string{f.name, f.key} {
			if n == f.key && !strings.Contains(n, ".") {
				continue // such a key is no flag of its own
			}
			if d, alike := spell.Alike(name, n); alike && d <= max(1, len(name)/4) {
				found = append(found, near{n, d})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.d - b.d })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		out = append(out, f.name)
	}
	return out
}

// didYouMean is the tail of an error about an unknown flag.
func didYouMean(name string) string {
	if near := Nearest(name); len(near) > 0 {
		return "; did you mean --" + strings.Join(near, " or --") + "?"
	}
	return "; --help lists all"
}
