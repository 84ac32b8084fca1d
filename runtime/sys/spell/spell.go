// Package spell says how far words are from each other. It does not know which
// words there are.
package spell

import "strings"

// Distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a (optimal string alignment). Time is quadratic.
func Distance(a, b string) int {
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

// Alike reports whether a may be a misspelt b, and how far they are from each other, upper
// and lower case being the same: what is left without the words that both begin and end with
// must differ in few letters, and not in all. So GemmaForCausalLM is no LlamaForCausalLM,
// and beta3 no beta2.
func Alike(a, b string) (distance int, alike bool) {
	x, y := words(a), words(b)
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	p, q := strings.Join(x, "_"), strings.Join(y, "_")
	if p == q {
		return 0, true
	}
	d := Distance(p, q)
	if p == "" || q == "" || min(len(p), len(q)) > 2 && (strings.HasPrefix(p, q) || strings.HasPrefix(q, p)) {
		// A short word is missing, or the end of one.
		return d, 4*d <= min(len(a), len(b))
	}
	if len(p) >= 4 && strings.HasPrefix(q, p) || len(q) >= 4 && strings.HasPrefix(p, q) { // data for dataset
		return d, true
	}
	return d, d <= max(1, (len(p)+1)/3) && d < max(len(p), len(q))
}

// words splits a name at what is no letter, where upper case begins and at digits.
func words(name string) (list []string) {
	kind := func(c byte) int {
		switch {
		case c >= 'a' && c <= 'z' || c >= 0x80:
			return 1
		case c >= 'A' && c <= 'Z':
			return 2
		case c >= '0' && c <= '9':
			return 3
		}
		return 0
	}
	from := 0
	for i := 1; i <= len(name); i++ {
		if i < len(name) {
			before, here := kind(name[i-1]), kind(name[i])
			if before == here || before == 2 && here == 1 {
				continue
			}
		}
		if word := name[from:i]; kind(word[0]) > 0 {
			list = append(list, strings.ToLower(word))
		}
		from = i
	}
	return list
}
