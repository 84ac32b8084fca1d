package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// withoutBorders is a tokenizer that joins each word at once.
func withoutBorders(t *Tokenizer) *Tokenizer {
	u := *t
	u.places = &borders{}
	u.places.once.Do(func() {})
	return &u
}

// spell writes a text of letters, by numbers that are always the same.
func spell(letters []string, n int, seed uint32) string {
	var b strings.Builder
	for range n {
		seed = seed*1664525 + 1013904223
		b.WriteString(letters[seed>>16%uint32(len(letters))])
	}
	return b.String()
}

// Long words, and long texts without spaces, are split only where that changes nothing.
func TestLongWords(t *testing.T) {
	chinese := small(t, protobuf(35, 1), protobuf(4, 0), testPiece{"中", -20, normal}, testPiece{"文", -21, normal}, testPiece{"中文", -22, normal},
		testPiece{"文中文", -23, normal}, testPiece{"，", -24, normal}, testPiece{"<中>", 0, userDefined})
	a := func(b byte) string { return alphabet[b] } // 中 is E4 B8 AD, 文 E6 96 87
	bytes := level(t, preGPT2, a(0xE4)+" "+a(0xB8), a(0xE4)+a(0xB8)+" "+a(0xAD), a(0xAD)+" "+a(0xE6), a(0x96)+" "+a(0x87), "a b", a(0x87)+" a")
	for name, c := range map[string]struct {
		tok     *Tokenizer
		letters []string
	}{
		"characters":       {chinese, []string{"中", "文", "，", "字", "中文", "é"}},
		"with tokens":      {chinese, []string{"中", "文", "，", "</s>", "<中>", "<中", "字"}},
		"letters":          {chinese, []string{"t", "h", "e", "r", "i", "n", "a", "x"}},
		"with some spaces": {chinese, []string{"中", "文", "the", "字字字字字字字字字字字字字字字字字字字字", " ", "hen"}},
		"bytes":            {bytes, []string{"中", "文", "a", "b", "ab", "，"}},
	} {
		whole := withoutBorders(c.tok)
		for seed := range uint32(4) {
			text := spell(c.letters, 3000, seed)
			want := whole.Encode(text)
			if got := c.tok.Encode(text); !slices.Equal(got, want) {
				t.Errorf("%s: split at borders, %d ids; at once, %d", name, len(got), len(want))
			}
			var parts []int32
			c.tok.encodeParts(text, 700, func(ids []int32) { parts = append(parts, ids...) })
			if !slices.Equal(parts, want) {
				t.Errorf("%s: in parts, %d ids; at once, %d", name, len(parts), len(want))
			}
		}
	}
}

func TestLongTextIsSplit(t *testing.T) {
	tok := small(t, protobuf(35, 1), protobuf(4, 0), testPiece{"中", -20, normal}, testPiece{"文", -21, normal}, testPiece{"中文", -22, normal})
	text := strings.Repeat("中文", 1<<15)
	if took := tok.encodeParts(text, 1<<12, func([]int32) {}); took > 64<<10 {
		t.Errorf("a text of %d bytes took %d at once", len(text), took)
	}
	if at := tok.border(text, 3000); at == len(text) {
		t.Error("a text without spaces is not split")
	}
	// What can be split nowhere is measured.
	text = strings.Repeat(" ", 1<<15) // "▁▁" reaches over each place
	if took := tok.encodeParts(text, 1<<12, func([]int32) {}); took < 1<<15 {
		t.Errorf("%d blanks took %d bytes", len(text), took)
	}
}
