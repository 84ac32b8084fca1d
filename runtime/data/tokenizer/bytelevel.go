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
	cuts []func(text string, visit func(word string))
}

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

func (l *byteLevel) from(cut int, text string, visit func(word string)) {
	if cut < len(l.cuts) {
		l.cuts[cut](text, func(part string) { l.from(cut+1, part, visit) })
		return
	}
	var b strings.Builder
	for i := range len(text) {
		b.WriteString(alphabet[text[i]])
	}
	visit(b.String())
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

// complete checks that every byte has a piece.
func (l *byteLevel) complete(vocab map[string]int64) error {
	for b, c := range alphabet {
		if _, ok := vocab[c]; !ok {
			return fmt.Errorf("it is byte-level, but has no piece %q for the byte %d", c, b)
		}
	}
	return nil
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
			var p struct{ Regex string }
			if json.Unmarshal(s.Pattern, &p) != nil || p.Regex == "" || s.Behavior != "Isolated" || s.Invert {
				return errors.New("its pre-tokenizer Split is not supported; only a pattern Regex with the behavior Isolated is")
			}
			cut, err := pattern(p.Regex)
			if err != nil {
				return err
			}
			l.cuts = append(l.cuts, cut)
		case s.Type == "ByteLevel" && last && (s.AddPrefixSpace == nil || !*s.AddPrefixSpace):
			if s.UseRegex == nil || *s.UseRegex {
				cut, err := pattern(gpt2)
				if err != nil {
					return err
				}
				l.cuts = append(l.cuts, cut)
			}
		default:
			return fmt.Errorf("the pre-tokenizer %q is not supported at this position", s.Type)
		}
	}
	t.level = l
	return nil
}

// digits takes numbers out of words, digit by digit or in a row.
func digits(each bool) func(string, func(string)) {
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

// space is \s of Unicode, inside brackets.
const space = `\t-\r\x{85}\p{Z}`

// lastSpace is how these patterns leave the last of several spaces to the word
// after them. Regular expressions in Go have no lookahead; it is done by hand.
const lastSpace = `\s+(?!\S)|\s+`

// pattern cuts text into the matches of an expression and what is between.
func pattern(expr string) (func(string, func(string)), error) {
	refused := fmt.Errorf("its pre-tokenizer splits by the pattern %q, which is not supported", expr)
	head, ok := strings.CutSuffix(expr, lastSpace)
	if !ok || strings.Contains(head, "(?!") || strings.Contains(head, "(?=") || strings.Contains(head, "(?<") || strings.Contains(head, `\S`) {
		return nil, refused
	}
	if strings.ContainsAny(strings.NewReplacer("(?i:", "", "(?:", "").Replace(head), "(") {
		return nil, refused // groups of its own would shift ours
	}
	re, err := regexp.Compile(unicodeSpaces(head + `(\s+)`))
	if err != nil {
		return nil, refused
	}
	return func(text string, visit func(string)) {
		for text != "" {
			m := re.FindStringSubmatchIndex(text)
			if m == nil || m[1] == 0 {
				visit(text)
				return
			}
			from, to := m[0], m[1]
			if m[2] >= 0 && to < len(text) { // spaces before something else: the last one goes with that
				_, n := utf8.DecodeLastRuneInString(text[from:to])
				if to-n > from {
					to -= n
				}
			}
			if from > 0 {
				visit(text[:from])
			}
			visit(text[from:to])
			text = text[to:]
		}
	}, nil
}

// unicodeSpaces gives \s its Unicode meaning, in brackets and outside.
func unicodeSpaces(expr string) string {
	var b strings.Builder
	in := false
	for i := 0; i < len(expr); i++ {
		switch {
		case expr[i] == '\\' && i+1 < len(expr):
			i++
			switch {
			case expr[i] != 's':
				b.WriteString(expr[i-1 : i+1])
			case in:
				b.WriteString(space)
			default:
				b.WriteString("[" + space + "]")
			}
			continue
		case expr[i] == '[':
			in = true
		case expr[i] == ']':
			in = false
		}
		b.WriteByte(expr[i])
	}
	return b.String()
}
