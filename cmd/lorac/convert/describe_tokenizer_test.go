package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A tokenizer is told by its content, whatever its name; a config is none.
func TestDescribeTokenizer(t *testing.T) {
	dir := t.TempDir()
	model, err := os.ReadFile("../../../runtime/data/tokenizer/testdata/pieces.model")
	if err != nil {
		t.Fatal(err)
	}
	llama2c := "\x02\x00\x00\x00" + strings.Repeat("\x00\x00\x80\x3f\x02\x00\x00\x00ab", 3)
	for _, c := range []struct{ name, data, words string }{
		{"a.bin", string(model), "a SentencePiece model, 800 ids, begins <s> 1, ends </s> 2, unknown <unk> 0, 3 control"},
		{"b.txt", `{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`, "tokenizer.json, 3 ids"},
		{"f.bin", "\x0a\x09\x0a\x05<unk>\x18\x02\x0a\x0a\x0a\x03<s>\x15\x00\x00\x00\x00\x12\x02\x18\x02", "a SentencePiece model, 2 ids"}, // a score of 0 is left out
		{"c.ckpt", llama2c, "a tokenizer of llama2.c"},
		{"d.model", "seed: 0\n", ""},
		{"e.json", `{"seed": 0}`, ""},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.data), 0o666); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		shown, err := Describe(&out, path)
		if err != nil || shown != (c.words != "") || !strings.Contains(out.String(), c.words) {
			t.Errorf("%s: shown %v, error %v, %q; want %q in it", c.name, shown, err, out.String(), c.words)
		}
	}
}
