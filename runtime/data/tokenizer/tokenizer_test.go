package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	tok := small(t, "", "")
	for _, c := range []struct {
		text string
		ids  []int32
	}{
		{"", nil},
		// ▁ t h e: ▁t (-1) before he (-2), then ▁t+he is ▁the (-3).
		{"the", []int32{xBlankThe}},
		// ▁the, then r e: "re" (-7) goes before ▁the+r, which is no piece; ▁the+re is ▁there (-8).
		{"there", []int32{xBlankThere}},
		// The highest score wins, not the longest piece: h e r → he (-2), not er (-5).
		{"her", []int32{xBlank, xHe, xR}},
		// Two blanks, the prefix and the space, join first of all (0).
		{" the", []int32{xBlankBlank, xT, xHe}},
		{"   ", []int32{xBlankBlank, xBlankBlank}},
		// Of two equal pairs of three blanks the leftmost, which leaves ▁ for a.
		{"  a", []int32{xBlankBlank, xBlankA}},
		{"in a", []int32{xBlank, xIn, xBlankA}},
		// Characters without a piece become their UTF-8 bytes.
		{"é", []int32{xBlank, xByte + 0xC3, xByte + 0xA9}},
		{"t\nz", []int32{xBlankT, xByte + '\n', xByte + 'z'}},
		// Control pieces and <unk> are read from the text, and what stands between them
		// is encoded by itself, with a space put before it.
		{"<s>", []int32{1}},
		{"<s>a</s>", []int32{1, xBlankA, 2}},
		{"the <unk> a", []int32{xBlankThe, xBlank, 0, xBlankBlank, xA}},
		// A byte that is no UTF-8 counts as U+FFFD, EF BF BD.
		{"\xff\xfe", []int32{xBlank, xByte + 0xEF, xByte + 0xBF, xByte + 0xBD, xByte + 0xEF, xByte + 0xBF, xByte + 0xBD}},
		{"▁a", []int32{xBlankBlank, xA}},
	} {
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%q: %v, want %v", c.text, got, c.ids)
		}
	}
	if got := tok.EncodeMore("the a"); !slices.Equal(got, []int32{xT, xHe, xBlankA}) {
		t.Errorf("EncodeMore: %v", got)
	}
}

func TestDecode(t *testing.T) {
	tok := small(t, "", "")
	for _, c := range []struct {
		ids  []int32
		text string
	}{
		{nil, ""},
		{[]int32{xBlankThe, xBlankA}, "the a"},
		{[]int32{xT, xBlankA}, "t a"},
		{[]int32{1, xBlankA, 2}, "a"},
		{[]int32{xBlankBlank, xA}, " a"},
		{[]int32{xBlank, xBlank, xA}, " a"},
		{[]int32{xByte + ' ', xA}, " a"},
		{[]int32{xBlank, xByte + 0xC3, xByte + 0xA9, xA}, "éa"},
		{[]int32{xByte + 0xC3, xA, xByte + 0xA9}, "\uFFFDa\uFFFD"},
		{[]int32{xByte + 0xE2, xByte + 0x82}, "\uFFFD\uFFFD"},
		{[]int32{0, xA}, " \u2047 a"},
		{[]int32{-1, 1 << 30, xA}, "a"},
	} {
		if got := tok.Decode(c.ids); got != c.text {
			t.Errorf("%v: %q, want %q", c.ids, got, c.text)
		}
	}
	if got := tok.Piece(xBlankThe) + tok.Piece(1) + tok.Piece(xByte+0xC3) + tok.Piece(xByte+0xA9) + tok.Piece(-1); got != " theé" {
		t.Errorf("pieces print %q", got)
	}
	if got := tok.Token(xBlankThe) + tok.Token(2) + tok.Token(xByte+10) + tok.Token(9999); got != "▁the</s><0x0A>" {
		t.Errorf("tokens are spelt %q", got)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name                string
		trainer, normalizer string
		more                []testPiece
		text                string
		ids                 []int32
		back                string
	}{
		{"no prefix", "", protobuf(3, 0), nil, "the a", []int32{xT, xHe, xBlankA}, "the a"},
		{"squeeze", "", protobuf(4, 1), nil, "  the   a ", []int32{xBlankThe, xBlankA}, "the a"},
		{"squeeze to nothing", "", protobuf(4, 1), nil, "   ", nil, ""},
		// Without bytes a character nobody has is unknown, several in a row are one.
		{"unknown", protobuf(35, 0, 44, "?"), "", nil, "zz\na", []int32{xBlank, 0, xA}, "?a"},
		// A piece of the user is read first and joins with nothing: ▁t and he stay apart.
		{"user", "", "", []testPiece{{"the", 0, userDefined}}, "the there", []int32{xBlank, 276, xBlank, 276, xRe}, "the there"},
		{"longest user", "", "", []testPiece{{"x", 0, userDefined}, {"xy", 0, userDefined}}, "xyx", []int32{xBlank, 277, 276}, "xyx"},
		// An unused piece helps joining and comes apart again: r+in is unused,
		// rin+er would be a piece.
		{"unused", "", protobuf(3, 0), []testPiece{{"rin", 1, unused}}, "rin", []int32{xR, xIn}, "rin"},
		{"unused on the way", "", protobuf(3, 0), []testPiece{{"rin", 1, unused}, {"riner", 1, normal}}, "riner", []int32{277}, "riner"},
		// A piece that reaches over a blank joins across words.
		{"across words", "", "", []testPiece{{"in▁a", 1, normal}}, "in a", []int32{xBlank, 276}, "in a"},
	} {
		tok := small(t, c.trainer, c.normalizer, c.more...)
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%s: %q is %v, want %v", c.name, c.text, got, c.ids)
		}
		if got := tok.Decode(c.ids); got != c.back {
			t.Errorf("%s: back to %q, want %q", c.name, got, c.back)
		}
	}
}

func TestControlIDs(t *testing.T) {
	tok := small(t, protobuf(46, "</s>", 47, "<end>", 48, "<s>"), "")
	if got := []int32{tok.BOS(), tok.EOS(), tok.PAD(), tok.UNK()}; !slices.Equal(got, []int32{2, -1, 1, 0}) {
		t.Errorf("bos, eos, pad, unk are %v", got)
	}
	tok = small(t, "", "")
	if got := []int32{tok.BOS(), tok.EOS(), tok.PAD(), tok.UNK(), int32(tok.Size())}; !slices.Equal(got, []int32{1, 2, -1, 0, 276}) {
		t.Errorf("bos, eos, pad, unk, size are %v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	a := testPiece{"a", 0, normal}
	with := func(more ...testPiece) []testPiece { return append(append([]testPiece{}, controls...), more...) }
	for name, c := range map[string]struct {
		data  []byte
		words string
	}{
		"empty":         {nil, "no pieces"},
		"text":          {[]byte("hello"), "protobuf"},
		"cut":           {model(with(a), "", "")[:20], "cut short"},
		"unigram":       {model(with(a), protobuf(3, 1), ""), "unigram"},
		"character":     {model(with(a), protobuf(3, 4), ""), "character"},
		"unknown kind":  {model(with(a), protobuf(3, 9), ""), "unknown kind"},
		"suffix":        {model(with(a), protobuf(24, 1), ""), "treat_whitespace_as_suffix"},
		"no escape":     {model(with(a), "", protobuf(5, 0)), "escape_whitespaces"},
		"broken rules":  {model(with(a), "", protobuf(1, "nmt_nfkc", 2, "xxxx")), "precompiled_charsmap"},
		"piece twice":   {model(with(a, a), "", ""), `"a" is duplicated`},
		"control twice": {model(with(testPiece{"<s>", 0, normal}), "", ""), `"<s>" is duplicated`},
		"empty piece":   {model(with(testPiece{"", 0, normal}), "", ""), "piece 3 is empty"},
		"no unknown":    {model([]testPiece{a}, "", ""), "no unknown"},
		"two unknown":   {model(with(testPiece{"x", 0, unknown}), "", ""), "two unknown"},
		"type":          {model(with(testPiece{"x", 0, 77}), "", ""), "type 77"},
		"no byte":       {model(with(testPiece{"<0xGG>", 0, byteValue}), "", ""), "<0xGG>"},
		"bytes missing": {model(with(append(byteTable()[:255], a)...), protobuf(35, 1), ""), "<0xFF>"},
		"long claim":    {[]byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "cut short"},
	} {
		_, err := Parse(c.data)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.words)
		}
	}
}

// A text gives the same ids whether words are joined apart or all at once, and
// by looking through the symbols or with a heap.
func TestPathsAgree(t *testing.T) {
	tok := small(t, "", "")
	whole := *tok
	whole.cut = false
	if at := tok.border("hen then", 1); at != 3 {
		t.Fatalf("the parts of a long text end at %d, want 3", at)
	}
	letters := []string{"t", "h", "e", "r", " ", "i", "n", "a", "  ", "é"}
	var b strings.Builder
	x := uint32(1)
	for n := range 400 {
		b.Reset()
		for range n {
			x = x*1664525 + 1013904223
			b.WriteString(letters[x>>16%uint32(len(letters))])
		}
		text := b.String()
		if got, want := tok.Encode(text), whole.Encode(text); !slices.Equal(got, want) {
			t.Fatalf("%q:\nby words %v\nat once  %v", text, got, want)
		}
		var parts []int32
		tok.encodeParts(text, 1+n%30, func(ids []int32) { parts = append(parts, ids...) })
		if want := tok.Encode(text); !slices.Equal(parts, want) {
			t.Fatalf("%q:\nin parts %v\nat once  %v", text, parts, want)
		}
		few, many := &merger{t: tok, text: text}, &merger{t: tok, text: text}
		few.split()
		many.split()
		if n > 0 {
			few.joinFew()
			many.joinMany()
		}
		for i := range few.syms {
			if few.syms[i].from != many.syms[i].from || few.syms[i].to != many.syms[i].to {
				t.Fatalf("%q: joined differently at symbol %d", text, i)
			}
		}
		if got := tok.Decode(tok.Encode(text)); got != text {
			t.Fatalf("%q comes back as %q", text, got)
		}
	}
}

func FuzzTokenizerModel(f *testing.F) {
	a := append(append([]testPiece{}, controls...), testPiece{"▁a", 0, normal}, testPiece{"a", 0, normal}, testPiece{"▁", 0, normal}, testPiece{"b", 1, userDefined}, testPiece{"aa", 2, unused})
	f.Add(model(a, "", ""), "a ab")
	f.Add(model(a, protobuf(44, "?"), protobuf(3, 0, 4, 0)), " aaé")
	f.Add(model(a, "", protobuf(2, "\x08\x00\x00\x00\x00\x04\x00\x00\x61\x01\x00\x00x\x00")), "a")
	f.Add([]byte(tinyJSON), "<s>ab")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := Parse(data)
		if looksLikeJSON(data) {
			tok, err = ParseJSON(data, nil)
		}
		if err != nil {
			return
		}
		ids := tok.Encode(text)
		for _, id := range ids {
			if id < 0 || int(id) >= tok.Size() {
				t.Fatalf("id %d of %d", id, tok.Size())
			}
			tok.Piece(id)
			tok.Token(id)
		}
		tok.Decode(ids)
		tok.EncodeMore(text)
	})
}

func FuzzEncode(f *testing.F) {
	tok := small(f, "", "")
	for _, text := range []string{"", " the a", "é🦙\n", "\xff", "▁"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := strings.ReplaceAll(replaceInvalid(text), blank, " ")
		if got := tok.Decode(tok.Encode(text)); got != want {
			t.Fatalf("%q comes back as %q", text, got)
		}
	})
}
