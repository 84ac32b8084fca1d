package tokenizer

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Ranks become pieces with merges: of each piece every pair that makes it, in the order of
// the piece, then of the pair.
func TestRanks(t *testing.T) {
	var file strings.Builder
	n := 0
	add := func(text string) {
		fmt.Fprintf(&file, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(text)), n)
		n++
	}
	for b := range 256 {
		add(string([]byte{byte(b)}))
	}
	for _, text := range []string{"ab", "bc", "abc", " a"} {
		add(text)
	}
	r, err := ofRanks([]byte(file.String()), n)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Merges, []string{"a b", "b c", "a bc", "ab c", "Ġ a"}) || r.Pieces[259] != "Ġa" || r.Pieces['a'] != "a" {
		t.Errorf("merges %q, the last piece %q", r.Merges, r.Pieces[259])
	}
	if len(r.Controls) != 256 || r.Controls[0] != "<|begin_of_text|>" || r.BOS != n || r.EOS != n+1 || r.Pre != "llama-bpe" {
		t.Errorf("%d control tokens, the first %q; bos %d, eos %d", len(r.Controls), r.Controls[0], r.BOS, r.EOS)
	}
	if r, err := OfRanks([]byte("\x0a\x0e")); r != nil || err != nil {
		t.Errorf("no ranks: %v %v", r, err)
	}
}
