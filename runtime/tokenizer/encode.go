package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// blank is what stands for a space inside pieces.
const blank = "\u2581"

// Encode splits text into pieces. No control ids are added. A SentencePiece
// model reads none from the text either; a tokenizer.json does read the pieces
// it lists as added tokens, as its own library does. Bytes that are no UTF-8
// count as U+FFFD.
func (t *Tokenizer) Encode(text string) []int32 { return t.encode(text, true) }

// EncodeMore encodes text that continues other text: no blank is put before it.
func (t *Tokenizer) EncodeMore(text string) []int32 { return t.encode(text, false) }

func (t *Tokenizer) encode(text string, start bool) []int32 {
	if text == "" {
		return nil
	}
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	m := &merger{t: t, out: make([]int32, 0, len(text)/3+4)}
	if len(text) >= long {
		m.known = map[string][]int32{}
	}
	t.whole.split(text, func(part string, id int32) {
		if id >= 0 {
			m.emit(id)
		} else {
			m.section(part, start)
		}
		start = t.norm.everySection
	})
	return m.out
}

// section encodes text that has none of the pieces looked for in raw text.
func (m *merger) section(text string, start bool) {
	m.t.added.split(m.t.norm.apply(text, start, m.t.added), func(part string, id int32) {
		if id >= 0 {
			m.emit(id)
		} else {
			m.words(part)
		}
	})
}

// words encodes normalised text. Where no piece can reach over the border
// between a word and the blank that follows it, each word is joined on its own:
// the result is the same, and time stays proportional to the text.
func (m *merger) words(text string) {
	t := m.t
	if t.level != nil {
		t.level.words(text, func(word string) {
			if id := t.rules.single(word); id >= 0 && t.wholeWords {
				m.emit(id)
			} else {
				m.word(word)
			}
		})
		return
	}
	if t.wholeWords && !t.splitBlanks {
		if id := t.rules.single(text); id >= 0 {
			m.emit(id)
			return
		}
	}
	if !t.cut && !t.splitBlanks {
		m.word(text)
		return
	}
	from, inWord := 0, false
	for at := 0; at < len(text); {
		if !strings.HasPrefix(text[at:], blank) {
			inWord = true
			at++
			continue
		}
		if inWord || t.splitBlanks {
			m.oneWord(text[from:at])
			from, inWord = at, false
		}
		at += len(blank)
	}
	m.oneWord(text[from:])
}

func (m *merger) oneWord(text string) {
	if m.t.wholeWords && m.t.splitBlanks {
		if id := m.t.rules.single(text); id >= 0 {
			m.emit(id)
			return
		}
	}
	m.word(text)
	if m.t.splitBlanks {
		m.afterUnk = false // unknown characters are joined inside a word only
	}
}

// normalizer prepares text for splitting: spaces become blanks.
type normalizer struct {
	chars        *charsMap // rewrites characters first; nil for none
	squeeze      bool      // blanks at the ends go, several in a row become one
	prefix       bool      // a blank is put before the text
	unlessBlank  bool      // … unless it begins with one
	everySection bool      // … and again after each added piece in it
	keepSpaces   bool      // spaces stay spaces
}

// apply normalises text; start says that it begins a text, and does not
// continue one. Pieces that keep has are not rewritten.
func (n normalizer) apply(text string, start bool, keep *matcher) string {
	if text == "" {
		return ""
	}
	text = n.chars.apply(text, keep)
	if n.squeeze {
		continued := !start && strings.HasPrefix(text, " ")
		text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), " ")
		if text == "" {
			return ""
		}
		if continued {
			text = " " + text
		}
	}
	if !n.keepSpaces {
		text = strings.ReplaceAll(text, " ", blank)
	}
	if n.prefix && start && !(n.unlessBlank && strings.HasPrefix(text, blank)) {
		text = blank + text
	}
	if n.squeeze {
		text = strings.TrimRight(text, blank)
	}
	return text
}

// replaceInvalid puts U+FFFD for every byte that is no UTF-8. (The function of
// package strings puts one for a run of them.)
func replaceInvalid(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(r)
	}
	return b.String()
}
