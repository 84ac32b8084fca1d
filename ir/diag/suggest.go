package diag

import (
	"sort"

	"lorac/runtime/sys/spell"
)

// maxWord bounds the length of words compared, since the distance takes quadratic
// time. No key is that long.
const maxWord = 64

// Suggest returns up to three candidates that word may be a misspelling of, nearest
// first. It returns none for words of fewer
// than four letters, and never word itself.
func Suggest(word string, candidates []string) []string {
	if len(word) < 4 || len(word) > maxWord {
		return nil
	}
	type scored struct {
		name string
		d    int
	}
	var near []scored
	for _, c := range candidates {
		if c == word || len(c) > maxWord {
			continue
		}
		if d, alike := spell.Alike(word, c); alike {
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
