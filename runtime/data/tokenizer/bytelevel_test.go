package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const llama3Split = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// level makes a byte-level tokenizer whose ids below 256 are the bytes, with
// some merges, and <|end|> last.
func level(t testing.TB, pre string, merges ...string) *Tokenizer {
	t.Helper()
	vocab := map[string]int{}
	for b, c := range alphabet {
		vocab[c] = b
	}
	for _, m := range merges {
		vocab[strings.ReplaceAll(m, " ", "")] = len(vocab)
	}
	v, _ := json.Marshal(vocab)
	m, _ := json.Marshal(merges)
	tok, err := ParseJSON(fmt.Appendf(nil, `{"added_tokens":[{"id":%d,"content":"<|end|>","special":true}],"pre_tokenizer":%s,
		"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":%s,"merges":%s}}`, len(vocab), pre, v, m), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

const (
	preGPT2 = `{"type":"ByteLevel","add_prefix_space":false}`
	preSmol = `{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},` + preGPT2 + `]}`
)

func preLlama3() string {
	p, _ := json.Marshal(llama3Split)
	return `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":` + string(p) + `},"behavior":"Isolated","invert":false},
		{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`
}

// The words of a text, as the tokenizers library 0.22 cuts them.
func TestByteLevelWords(t *testing.T) {
	for _, c := range []struct{ pre, text, words string }{
		{preGPT2, "I'll go  to 12345 x!!", "I|'ll| go| | to| 12345| x|!!"},
		{preGPT2, "a\n\n b", "a|\n\n| b"},
		{preGPT2, "end  ", "end|  "},
		{preGPT2, "I'LL", "I|'|LL"},
		{preGPT2, "x\u00a0\u00a0y", "x|\u00a0|\u00a0|y"},
		{preSmol, "year 1984!", "year| |1|9|8|4|!"},
		{preLlama3(), "I'LL go  to 12345 x!!\n\n y", "I|'LL| go| | to| |123|45| x|!!\n\n| y"},
		{preLlama3(), " \n\n  z", " \n\n| | z"},
		{preLlama3(), "日本(語)", "日本|(語|)"},
	} {
		var got []string
		tok := level(t, c.pre)
		tok.level.words(c.text, func(w string) { got = append(got, tok.level.surface(w)) })
		if want := strings.Split(c.words, "|"); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", c.text, got, want)
		}
	}
}

func TestByteLevelEncode(t *testing.T) {
	tok := level(t, preGPT2, "l o", "Ġ lo", "lo w", "Ġlo w")
	for _, c := range []struct {
		text string
		ids  []int32
	}{
		{"low low", []int32{258, 259}},                  // lo w; Ġlo w
		{"lo\xc3\xa9", []int32{256, 0xC3, 0xA9}},        // é is two bytes
		{"a<|end|>lo", []int32{'a', 260, 256}},          // added tokens are read from the text
		{"a\xffb", []int32{'a', 0xEF, 0xBF, 0xBD, 'b'}}, // no UTF-8: U+FFFD
		{"\u00ad\x00", []int32{0xC2, 0xAD, 0}},          // bytes that do not print
		{" 😀", []int32{' ', 0xF0, 0x9F, 0x98, 0x80}},    // no merge
		{strings.Repeat("low ", 2000), lows()},          // remembered words
	} {
		got := tok.Encode(c.text)
		if !slices.Equal(got, c.ids) {
			t.Errorf("%.20q: %v, want %v", c.text, head(got), head(c.ids))
		}
	}
	if got, want := tok.Decode([]int32{258, 260, 259, 0xC3, 0xA9, 0xF0, 0x9F}), "low lowé\uFFFD"; got != want {
		t.Errorf("decoded %q, want %q", got, want)
	}
	if tok.Piece(259) != " low" || tok.Token(259) != "Ġlow" || tok.Piece(260) != "" {
		t.Errorf("pieces %q %q %q", tok.Piece(259), tok.Token(259), tok.Piece(260))
	}
}

// lows is "low " two thousand times: low, then Ġlow, and the last space.
func lows() []int32 {
	ids := []int32{258}
	for range 1999 {
		ids = append(ids, 259)
	}
	return append(ids, ' ')
}

func head(ids []int32) []int32 { return ids[:min(len(ids), 8)] }

func TestByteLevelRefuses(t *testing.T) {
	for _, c := range []struct{ pre, words string }{
		{`{"type":"Sequence","pretokenizers":[` + preGPT2 + `,` + preGPT2 + `]}`, "ByteLevel"},
		{strings.Replace(preSmol, "Digits", "Punctuation", 1), "Punctuation"},
		{`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"a(?!b)|\\s+(?!\\S)|\\s+"},"behavior":"Isolated"},` + preGPT2 + `]}`, "pattern"},
		{splitBy(`\w+`), `it has \w`},
		{splitBy(`a++`), "possessive"},
		{splitBy(`(a)`), "group"},
		{splitBy(`(?=a)`), "group"},
		{splitBy(`[a[b]]`), "set inside a set"},
		{splitBy(`[a&&b]`), "set inside a set"},
		{splitBy(`[[:alpha:]]`), "set inside a set"},
		{splitBy(`^a`), "^ outside"},
		{splitBy(`a*`), "nothing at all"},
		{`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"x"},"behavior":"Removed"},` + preGPT2 + `]}`, "Isolated"},
	} {
		vocab := map[string]int{}
		for b, a := range alphabet {
			vocab[a] = b
		}
		v, _ := json.Marshal(vocab)
		if _, err := ParseJSON(fmt.Appendf(nil, `{"pre_tokenizer":%s,"model":{"type":"BPE","vocab":%s}}`, c.pre, v), nil); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", c.pre, err, c.words)
		}
	}
}

// splitBy is a pre-tokenizer that splits by a pattern.
func splitBy(pattern string) string {
	p, _ := json.Marshal(pattern)
	return `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":` + string(p) + `},"behavior":"Isolated"},` + preGPT2 + `]}`
}

// A byte that has no piece is left out, and that is said.
func TestBytesLacking(t *testing.T) {
	tok, err := ParseJSON([]byte(`{"pre_tokenizer":`+preGPT2+`,"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("aéb a"); !slices.Equal(got, []int32{2, 0}) { // what is around it joins, as in the tokenizers library
		t.Errorf("ids %v", got)
	}
	if notes := strings.Join(tok.Notes(), "\n"); !strings.Contains(notes, "no piece for 241 of the bytes") || !strings.Contains(notes, "left out") {
		t.Errorf("notes: %s", notes)
	}
	if notes := level(t, preGPT2).Notes(); notes != nil {
		t.Errorf("notes of a whole vocabulary: %q", notes)
	}
}

// Whatever the text, its ids give it back.
func FuzzByteLevel(f *testing.F) {
	toks := []*Tokenizer{level(f, preGPT2, "l o", "Ġ lo"), level(f, preSmol), level(f, preLlama3())}
	f.Add(" I'll\r\n  123 \u3000x")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "<|end|>") {
			return
		}
		for _, tok := range toks {
			if got, want := tok.Decode(tok.Encode(text)), replaceInvalid(text); got != want {
				t.Errorf("%q became %q", want, got)
			}
		}
	})
}
