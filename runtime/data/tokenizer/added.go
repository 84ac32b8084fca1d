package tokenizer

import (
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedPiece is an added token, matched in the text before any merge.
type addedPiece struct {
	text   string
	id     int32
	lstrip bool // also matches the space before it
	rstrip bool // also matches the space after it
	single bool // not inside a word
}

// matcher finds added tokens in text: leftmost first, of several at one offset the
// longest.
type matcher struct {
	byFirst [256][]addedPiece // by the first byte, longest first
	count   int
}

func newMatcher() *matcher { return &matcher{} }

func (m *matcher) add(p addedPiece) {
	list := append(m.byFirst[p.text[0]], p)
	sort.SliceStable(list, func(i, j int) bool { return len(list[i].text) > len(list[j].text) })
	m.byFirst[p.text[0]] = list
	m.count++
}

// has reports whether a text is an added token.
func (m *matcher) has(text string) bool {
	if m == nil || text == "" {
		return false
	}
	for _, p := range m.byFirst[text[0]] {
		if p.text == text {
			return true
		}
	}
	return false
}

// remove takes an added token out; it need not be there.
func (m *matcher) remove(text string) {
	if m != nil && m.has(text) {
		m.byFirst[text[0]] = slices.DeleteFunc(m.byFirst[text[0]], func(p addedPiece) bool { return p.text == text })
		m.count--
	}
}

// without is a matcher of those added tokens whose ids do not fulfil out.
func (m *matcher) without(out func(id int32) bool) *matcher {
	n := newMatcher()
	if m != nil {
		for _, list := range m.byFirst {
			for _, p := range list {
				if !out(p.id) {
					n.add(p)
				}
			}
		}
	}
	return n
}

// apart reports that no added token involves a space after another byte.
func (m *matcher) apart(before byte) bool {
	if m == nil {
		return true
	}
	for _, list := range m.byFirst {
		for _, p := range list {
			if p.lstrip || p.rstrip || p.single || strings.Contains(p.text, " ") || p.text[len(p.text)-1] == before {
				return false
			}
		}
	}
	return true
}

// inside reports that a place between two characters of which the first ends with a
// byte is not where an added token ends, or looks at what is around it.
func (m *matcher) inside(before byte) bool {
	if m == nil {
		return true
	}
	for _, list := range m.byFirst {
		for _, p := range list {
			if p.single || p.text[len(p.text)-1] == before {
				return false
			}
		}
	}
	return true
}

// split calls visit for the parts of text in order: with an added piece's id,
// or with id -1 and the text between. Empty parts are left out. A nil matcher
// finds nothing.
func (m *matcher) split(text string, visit func(part string, id int32)) {
	plain := func(s string) {
		if s != "" {
			visit(s, -1)
		}
	}
	if m == nil || m.count == 0 {
		plain(text)
		return
	}
	from := 0 // after the last piece and the spaces that it took
	for at := 0; at < len(text); {
		p, ok := m.at(text, at)
		if !ok {
			at++
			continue
		}
		start, end := at, at+len(p.text)
		at = end
		if p.single && inside(text, start, end) {
			continue // what it covers is looked at no more
		}
		if p.lstrip {
			start = max(from, len(strings.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if p.rstrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		if start > from {
			plain(text[from:start])
		}
		visit(p.text, p.id)
		from = end
	}
	if from < len(text) {
		plain(text[from:])
	}
}

// at is the longest piece at an offset.
func (m *matcher) at(text string, at int) (addedPiece, bool) {
	for _, p := range m.byFirst[text[at]] {
		if strings.HasPrefix(text[at:], p.text) {
			return p, true
		}
	}
	return addedPiece{}, false
}

// inside reports whether a stretch of a text has a part of its word beside it.
func inside(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return inWord(before) || inWord(after)
}

// inWord is \w of Unicode regular expressions. The replacement character, which
// stands for the ends of the text here, is not.
func inWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
