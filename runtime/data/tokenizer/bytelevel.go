package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// byteLevel is how tokenizers of the kind of GPT-2 and Llama 3 see text: cut
// into words first, every byte of which is then written as a printable
// character (tokenizers, pre_tokenizers/byte_level.rs).
type byteLevel struct {
	cuts []cut
}

// cut takes a text apart.
type cut func(text string, visit func(part string))

// alphabet is the character each byte is written as: itself where that prints,
// else those from U+0100 on, in turn. ofRune is the way back.
var (
	alphabet [256]string
	ofRune   = map[rune]byte{}
)

func init() {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(r >= '!' && r <= '~' || r >= 0xA1 && r <= 0xAC || r >= 0xAE) {
			r, next = next, next+1
		}
		alphabet[b], ofRune[r] = string(r), byte(b)
	}
}

// words cuts text and writes each word in the alphabet.
func (l *byteLevel) words(text string, visit func(word string)) { l.from(0, text, visit) }

func (l *byteLevel) from(n int, text string, visit func(word string)) {
	if n < len(l.cuts) {
		l.cuts[n](text, func(part string) { l.from(n+1, part, visit) })
		return
	}
	visit(inAlphabet(text))
}

// inAlphabet writes bytes as characters.
func inAlphabet(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteString(alphabet[text[i]])
	}
	return b.String()
}

// surface is what a piece prints: its bytes, or itself when it is not written
// in the alphabet.
func (l *byteLevel) surface(piece string) string {
	var out []byte
	for _, r := range piece {
		b, ok := ofRune[r]
		if !ok {
			return piece
		}
		out = append(out, b)
	}
	return string(out)
}

// lacking are the bytes of UTF-8 texts that have no piece.
func (l *byteLevel) lacking(has func(text string) bool) (list []byte) {
	for b, c := range alphabet {
		never := b == 0xC0 || b == 0xC1 || b >= 0xF5 // in UTF-8
		if !never && !has(c) {
			list = append(list, byte(b))
		}
	}
	return list
}

// noteLacking says which bytes have no piece. What they stand for is left out of every
// text, as the tokenizers library and llama.cpp do, unless there is an unknown piece.
func (t *Tokenizer) noteLacking() {
	list := t.level.lacking(func(text string) bool { return t.rules.single(text) >= 0 })
	if len(list) == 0 {
		t.unkOut.skip = false
		return
	}
	becomes := "they are left out of texts"
	if t.unk >= 0 {
		becomes = "they become " + t.pieces[t.unk].text
	}
	t.note("it has no piece for %d of the bytes (%s): %s", len(list), strings.ReplaceAll(fmt.Sprintf("% X", list), " ", ", "), becomes)
}

// gpt2 is the pattern that ByteLevel has inside.
const gpt2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// setByteLevel recognises the pre-tokenizers of a byte-level tokenizer: ways to
// cut words, and ByteLevel at the end.
func (t *Tokenizer) setByteLevel(steps []hfStep) error {
	l := &byteLevel{}
	for i, s := range steps {
		last := i == len(steps)-1
		switch {
		case s.Type == "Digits":
			l.cuts = append(l.cuts, digits(s.Individual))
		case s.Type == "Split" && !last:
			cut, err := s.split()
			if err != nil {
				return err
			}
			l.cuts = append(l.cuts, cut)
		case s.Type == "ByteLevel" && last:
			if s.AddPrefixSpace != nil && *s.AddPrefixSpace {
				l.cuts = append(l.cuts, prefixSpace)
			}
			if s.UseRegex == nil || *s.UseRegex {
				l.cuts = append(l.cuts, mustPattern(gpt2))
			}
		default:
			return fmt.Errorf("the pre-tokenizer %q is not supported at this position", s.Type)
		}
	}
	t.level = l
	return nil
}

// split is the cut of a pre-tokenizer Split.
func (s *hfStep) split() (cut, error) {
	var p struct{ Regex, String string }
	if json.Unmarshal(s.Pattern, &p) != nil || p.Regex == "" && p.String == "" {
		return nil, errors.New("its pre-tokenizer Split has no pattern that is known")
	}
	if p.Regex == "" {
		p.Regex = regexp.QuoteMeta(p.String)
	}
	switch {
	case s.Behavior == "Isolated": // inverted or not: both the matches and what is between are words
		return pattern(p.Regex, true)
	case s.Behavior == "Removed" && s.Invert:
		return pattern(p.Regex, false)
	}
	return nil, fmt.Errorf("its pre-tokenizer Split with the behavior %q (invert: %v) is not supported; Isolated is, and Removed inverted", s.Behavior, s.Invert)
}

// prefixSpace puts a space before a text that does not begin with one.
func prefixSpace(text string, visit func(string)) {
	if !strings.HasPrefix(text, " ") {
		text = " " + text
	}
	visit(text)
}

// digits takes numbers out of words, digit by digit or in a row.
func digits(each bool) cut {
	return func(text string, visit func(string)) {
		from := 0
		for at, r := range text {
			before, _ := utf8.DecodeLastRuneInString(text[from:at])
			if at > from && (unicode.IsNumber(r) != unicode.IsNumber(before) || each && unicode.IsNumber(r)) {
				visit(text[from:at])
				from = at
			}
		}
		if from < len(text) {
			visit(text[from:])
		}
	}
}
