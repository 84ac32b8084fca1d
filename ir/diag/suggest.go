package diag

import (
	"sort"
	"strings"
)

// maxWord bounds the length of words compared, since the distance takes quadratic
// time. No key is that long.
const maxWord = 64

// Suggest returns up to three candidates within edit distance len(word)/3 of word
// (at least 1), ignoring case, nearest first. It returns none for words of fewer
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
		d := distance(strings.ToLower(word), strings.ToLower(c))
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

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and transpositions of neighbours.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range b {
		d[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
