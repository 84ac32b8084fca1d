package config

import "strings"

// fnmatch matches a whole name as Python's fnmatch does: * stands for any
// characters, dots too, ? for one, [ab], [a-z] and [!ab] for one of a set. A [ that
// is not closed, a backslash and everything else stand for themselves.
func fnmatch(pattern, name string) bool {
	p, n := []rune(pattern), []rune(name)
	star, from := -1, 0 // where to resume after the last *, which then takes one more
	for i, k := 0, 0; ; {
		if i == len(p) && k == len(n) {
			return true
		}
		if i < len(p) && p[i] == '*' {
			i++
			star, from = i, k
			continue
		}
		if i < len(p) && k < len(n) {
			if length, ok := matchOne(p[i:], n[k]); ok {
				i, k = i+length, k+1
				continue
			}
		}
		if star < 0 || from == len(n) {
			return false
		}
		from++
		i, k = star, from
	}
}

// matchOne matches a character with the beginning of a pattern, of which it takes
// length characters.
func matchOne(p []rune, c rune) (length int, ok bool) {
	if p[0] == '?' {
		return 1, true
	}
	end := 1
	if end < len(p) && p[end] == '!' {
		end++
	}
	if end < len(p) && p[end] == ']' { // the first of a set is one of it
		end++
	}
	for end < len(p) && p[end] != ']' {
		end++
	}
	if p[0] != '[' || end >= len(p) {
		return 1, p[0] == c
	}
	set := p[1:end]
	not := set[0] == '!'
	if not {
		set = set[1:]
	}
	in := false
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			in = in || set[i] <= c && c <= set[i+2]
			i += 2
		} else {
			in = in || set[i] == c
		}
	}
	return end + 1, in != not
}

// globOf reads a regular expression as its author may have meant it: the patterns
// of fnmatch that match the same.
func globOf(re string) []string {
	var out []string
	for _, part := range strings.Split(re, "|") {
		part = strings.TrimSuffix(strings.TrimPrefix(strings.Trim(part, "()"), "^"), "$")
		part = strings.NewReplacer(`\.`, ".", ".*", "*", ".+", "*", `\d+`, "*", "[0-9]+", "*").Replace(part)
		part = "*" + strings.Trim(part, "*") + "*"
		out = append(out, part)
	}
	return out
}
