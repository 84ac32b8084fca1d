package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// blank replaces a space inside pieces.
const blank = "\u2581"

// Encode splits text into pieces. No control ids are added. Control tokens that the
// text spells, and added tokens, become their ids; the text between is encoded part
// by part (SpecialAsText keeps them as text). Bytes that are no UTF-8 count as U+FFFD.
func (t *Tokenizer) Encode(text string) []int32 { return t.encode(text, true) }

// EncodeMore encodes text that continues other text: no blank is put before it.
func (t *Tokenizer) EncodeMore(text string) []int32 { return t.encode(text, false) }

// EncodeAfterSpecial encodes text that follows a control token.
func (t *Tokenizer) EncodeAfterSpecial(text string) []int32 {
	return t.encode(text, t.norm.everySection)
}

// EncodeParts is Encode of a long text, whose ids each sees part by part. They
// are its own for as long as it runs. It returns the bytes that the longest part took
// which could not be split.
func (t *Tokenizer) EncodeParts(text string, each func(ids []int32)) int {
	return t.encodeParts(text, partBytes, each)
}

// partBytes is how much of a long text is normalised at once, about.
const partBytes = 1 << 20

func (t *Tokenizer) encodeParts(text string, size int, each func(ids []int32)) int {
	m := &merger{t: t, out: make([]int32, 0, manyIDs), each: each}
	for start := true; text != ""; start = false {
		n := t.border(text, size)
		t.run(m, text[:n], start)
		text = text[n:]
	}
	each(m.out)
	return m.peak
}

// border is the first offset of a text, from at on, where it may be split: the parts,
// normalised and encoded separately, have the ids of the whole. It is the end of the
// text if there is no such offset.
func (t *Tokenizer) border(text string, at int) int {
	if !t.unkOut.toBytes || t.level != nil || t.norm.chars != nil || t.norm.form != "" || t.wholeWords {
		return len(text)
	}
	for first := at; at < len(text); at++ {
		before := text[at-1]
		if t.cut && text[at] == ' ' && before != ' ' && before < utf8.RuneSelf && t.whole.apart(before) && t.added.apart(before) {
			return at
		}
		// A text without spaces is split between two characters.
		if at-first > farBytes && text[at] != ' ' && before != ' ' && utf8.RuneStart(text[at]) &&
			t.whole.inside(before) && t.added.inside(before) && t.splits().at(text, at) {
			return at
		}
	}
	return len(text)
}

// farBytes is how far a space is looked for where a text is to be split.
const farBytes = 1 << 10

func (t *Tokenizer) encode(text string, start bool) []int32 {
	if text == "" {
		return nil
	}
	m := &merger{t: t, out: make([]int32, 0, len(text)/3+4)}
	t.run(m, text, start)
	return m.out
}

func (t *Tokenizer) run(m *merger, text string, start bool) {
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
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
}

// section encodes text that has none of the pieces looked for in raw text.
func (m *merger) section(text string, start bool) {
	if m.t.norm.unlessBlank { // spaces turn to blanks only after all added tokens are out
		m.t.added.split(text, func(part string, id int32) {
			if id >= 0 {
				m.emit(id)
			} else {
				m.words(m.t.norm.apply(part, start, nil))
			}
			start = m.t.norm.everySection
		})
		return
	}
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
			m.afterUnk = false // as between words of Metaspace
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
	form         form      // the form that text is brought into first
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
	text = n.chars.apply(n.form.apply(text), keep)
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
