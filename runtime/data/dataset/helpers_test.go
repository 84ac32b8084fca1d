package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/data/tokenizer"
)

// sharedData is the directory of real files next to the repository, if present.
const sharedData = "../../../../shared/data"

const testBOS, testEOS, testPad, firstLetter = 1, 2, 0, 3

// letters is a tokenizer whose pieces are single letters, so that ids can be
// told by looking at the text: a letter c is id firstLetter+c, a blank is that
// of U+0020, and every text begins with one.
func letters(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	var vocab []string
	for c := range 128 {
		switch c {
		case ' ':
			vocab = append(vocab, fmt.Sprintf(`"▁":%d`, firstLetter+c))
		default:
			vocab = append(vocab, fmt.Sprintf(`"\u%04x":%d`, c, firstLetter+c))
		}
	}
	tok, err := tokenizer.ParseJSON([]byte(`{"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
		{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
		"added_tokens":[{"id":1,"content":"<bos>","special":true},{"id":2,"content":"<eos>","special":true}],
		"model":{"type":"BPE","unk_token":"<unk>","vocab":{"<unk>":0,"<bos>":1,"<eos>":2,`+strings.Join(vocab, ",")+`},"merges":[]}}`),
		[]byte(`{"bos_token":"<bos>","eos_token":"<eos>"}`))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func options(t testing.TB) Options {
	return Options{Tokenizer: letters(t), SeqLength: 4000, BOS: testBOS, EOS: testEOS, PadID: testPad, IgnoreID: -100}
}

// file writes a data set.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, name, content string, o Options) *Set {
	t.Helper()
	s, err := Open(file(t, name, content), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spell writes a row the way tests state it: <s> and </s> for the control
// pieces, the supervised part in brackets.
func spell(r Row) string {
	var b strings.Builder
	on := false
	for i, id := range r.Tokens {
		if sup := r.Labels[i] != Ignore; sup != on {
			on = sup
			b.WriteString(map[bool]string{true: "[", false: "]"}[sup])
		}
		switch {
		case r.Labels[i] != Ignore && r.Labels[i] != id:
			fmt.Fprintf(&b, "{%d→%d}", id, r.Labels[i])
		case id == testBOS:
			b.WriteString("<s>")
		case id == testEOS:
			b.WriteString("</s>")
		case id < firstLetter:
			fmt.Fprintf(&b, "{%d}", id)
		default:
			b.WriteByte(byte(id - firstLetter))
		}
	}
	if on {
		b.WriteByte(']')
	}
	return b.String()
}

func wantRows(t *testing.T, what string, s *Set, want ...string) {
	t.Helper()
	if s.Len() != len(want) {
		t.Errorf("%s: %d rows, want %d", what, s.Len(), len(want))
	}
	for i := range min(s.Len(), len(want)) {
		if got := spell(s.Row(i)); got != want[i] {
			t.Errorf("%s: row %d is\n%s\nwant\n%s", what, i+1, got, want[i])
		}
	}
}

// wantSkips compares row numbers and parts of the reasons.
func wantSkips(t *testing.T, what string, s *Set, want ...Skip) {
	t.Helper()
	if !slices.EqualFunc(s.Stats.Skipped, want, func(a, b Skip) bool {
		return a.Row == b.Row && strings.Contains(a.Reason, b.Reason)
	}) {
		t.Errorf("%s: skipped %v, want %v", what, s.Stats.Skipped, want)
	}
}
