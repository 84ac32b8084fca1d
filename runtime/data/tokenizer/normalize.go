package tokenizer

import (
	"sort"
	"strings"
	"sync"
	"unicode/utf8"
)

// form is a canonical normal form of Unicode (UAX 15): "NFC", "NFD", or "" for text as
// it is.
type form string

// The first character that composing may change; and that is in no decomposition.
const (
	firstMark      = 0x300
	firstDecompose = 0xC0
)

// Syllables of Hangul are composed by arithmetic (Unicode 3.12).
const (
	hangul, hangulEnd       = 0xAC00, 0xD7A4
	leads, vowels, trails   = 0x1100, 0x1161, 0x11A7
	leadN, vowelN, trailN   = 19, 21, 28
	vowelTrailN, noTrailing = vowelN * trailN, 0
)

var norms struct {
	once  sync.Once
	apart map[rune][2]rune
	pairs map[[2]rune]rune
}

func loadNorms() {
	out := map[rune]bool{}
	for _, r := range excluded {
		out[r] = true
	}
	norms.apart, norms.pairs = map[rune][2]rune{}, map[[2]rune]rune{}
	list := []rune(canonical)
	for i := 0; i+2 < len(list); i += 3 {
		pair := [2]rune{list[i+1], list[i+2]}
		norms.apart[list[i]] = pair
		if pair[1] != 0 && !out[list[i]] {
			norms.pairs[pair] = list[i]
		}
	}
}

// apply brings valid UTF-8 into the form.
func (f form) apply(text string) string {
	first := rune(firstMark)
	switch f {
	case "":
		return text
	case "NFD":
		first = firstDecompose
	}
	at := strings.IndexFunc(text, func(r rune) bool { return r >= first })
	if at < 0 {
		return text
	}
	// What comes before the last character below is in the form and stays as it is.
	_, n := utf8.DecodeLastRuneInString(text[:at])
	at -= n
	norms.once.Do(loadNorms)
	var b strings.Builder
	b.Grow(len(text))
	b.WriteString(text[:at])
	var part []rune // a starter and what combines with it
	flush := func() {
		if f == "NFC" {
			part = compose(part)
		}
		for _, r := range part {
			b.WriteRune(r)
		}
		part = part[:0]
	}
	for _, r := range text[at:] {
		if r < firstDecompose { // a starter that never is the second of a pair
			flush()
			part = append(part, r)
			continue
		}
		part = decompose(part, r)
	}
	flush()
	return b.String()
}

// decompose appends a character, taken apart, in canonical order.
func decompose(part []rune, r rune) []rune {
	if r >= hangul && r < hangulEnd {
		s := r - hangul
		part = append(part, leads+s/vowelTrailN, vowels+s%vowelTrailN/trailN)
		if s%trailN != noTrailing {
			part = append(part, trails+s%trailN)
		}
		return part
	}
	if pair, ok := norms.apart[r]; ok {
		part = decompose(part, pair[0])
		if pair[1] != 0 {
			part = decompose(part, pair[1])
		}
		return part
	}
	part = append(part, r)
	if c := class(r); c > 0 {
		for i := len(part) - 1; i > 0 && class(part[i-1]) > c; i-- {
			part[i-1], part[i] = part[i], part[i-1]
		}
	}
	return part
}

// compose puts pairs together: each character with the last starter before it, unless
// one of the same or a higher class is between them.
func compose(part []rune) []rune {
	out := part[:0]
	starter, last := -1, 0 // where the starter is in out, and the class after it
	for _, r := range part {
		c := class(r)
		if starter >= 0 && (len(out)-1 == starter || last < c) {
			if whole, ok := together(out[starter], r); ok {
				out[starter] = whole
				continue
			}
		}
		if c == 0 {
			starter, last = len(out), 0
		} else {
			last = c
		}
		out = append(out, r)
	}
	return out
}

func together(a, b rune) (rune, bool) {
	if a >= leads && a < leads+leadN && b >= vowels && b < vowels+vowelN {
		return hangul + ((a-leads)*vowelN+b-vowels)*trailN, true
	}
	if a >= hangul && a < hangulEnd && (a-hangul)%trailN == 0 && b > trails && b < trails+trailN {
		return a + b - trails, true
	}
	whole, ok := norms.pairs[[2]rune{a, b}]
	return whole, ok
}

// class is the canonical combining class of a character.
func class(r rune) int {
	if r < firstMark {
		return 0
	}
	i := sort.Search(len(classes), func(i int) bool { return classes[i][1] >= r })
	if i < len(classes) && classes[i][0] <= r {
		return int(classes[i][2])
	}
	return 0
}
