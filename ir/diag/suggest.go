package diag

import (
	"sort"
	"strings"

	"lorac/runtime/sys/spell"
)

// longest bounds the words compared: the distance takes quadratic time, and
// nobody mistypes a name of this length.
const longest = 64

// Suggest returns at most three of the candidates that a person who typed
// word may have meant, nearest first; none for words under four letters. A
// word counts as near when a third of its letters, or fewer, differ.
func Suggest(word string, candidates []string) []string {
	if len(word) < 4 || len(word) > longest {
		return nil
	}
	type scored struct {
		name string
		d    int
	}
	var near []scored
	for _, c := range candidates {
		if c == word || len(c) > longest {
			continue
		}
		d := spell.Distance(strings.ToLower(word), strings.ToLower(c))
		if d <= max(1, len(word)/3) {
			near = append(near, scored{c, d})
		}
	}
	sort.Slice(near, func(i, j int) bool {
		if near[i].d != near[j].d {
			return near[i].d < near[j].d
		}
		return near[i].name < near[j].name
	})
	var out []string
	for _, n := range near[:min(3, len(near))] {
		out = append(out, n.name)
	}
	return out
}
