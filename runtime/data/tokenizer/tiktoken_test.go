package tokenizer

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ranks writes a list of ranks: the bytes, and some pieces.
func ranks(pieces ...string) (data []byte, count int) {
	var b bytes.Buffer
	for i := range 256 {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte{byte(i)}), i)
	}
	for i, p := range pieces {
		fmt.Fprintf(&b, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(p)), 256+i)
	}
	return b.Bytes(), 256 + len(pieces)
}

func TestTiktoken(t *testing.T) {
	data, n := ranks("er", "lo", "low", " lo", "é", "lower ", "wer")
	if !looksLikeTiktoken(data) {
		t.Error("it does not look like a list of ranks")
	}
	tok, err := parseTiktoken(data, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		ids  []int32
	}{
		{"low lower", []int32{258, 32, 258, 256}}, // er, lo, then low, which no space joins
		{"é1234", []int32{260, '1', '2', '3', '4'}},
		{"<|begin_of_text|>low<|eot_id|>", []int32{263, 258, 263 + 9}},
		{"x<|reserved_special_token_247|>", []int32{'x', 263 + 255}},
	} {
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%q: %v, want %v", c.text, got, c.ids)
		}
		if got := tok.SpecialAsText().Decode(tok.Encode(c.text)); !strings.Contains(c.text, "<") && got != c.text {
			t.Errorf("%q comes back as %q", c.text, got)
		}
	}
	if tok.BOS() != 263 || tok.EOS() != 264 || tok.PAD() != 267 || tok.Size() != n+256 {
		t.Errorf("bos %d, eos %d, pad %d, size %d", tok.BOS(), tok.EOS(), tok.PAD(), tok.Size())
	}
	for _, c := range []struct{ data, words string }{
		{"!" + string(data), "cannot be read"},
		{string(data) + "eA== 9\n", "263 is due"},
		{string(data) + "YQ== 263\n", "duplicated"},
		{strings.Replace(string(data), "\n", " 1\n", 2), "cannot be read"},
	} {
		if _, err := parseTiktoken([]byte(c.data), n); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("error %v, want %q in it", err, c.words)
		}
	}
	path := filepath.Join(t.TempDir(), "tokenizer.model")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "263 ranks") || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("a list of another model: %v", err)
	}
}
