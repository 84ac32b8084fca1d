package rt

import (
	"slices"
	"strings"
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
			if d := distance(name, n); d <= max(1, len(name)/4) {
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

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
