package tokenizer

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Added tokens get the next ids, and a tokenizer whose files they are recorded in reads them
// as the one that they were added to.
func TestAdd(t *testing.T) {
	const json = `{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"added_tokens":[{"id":3,"content":"[X]","special":true}],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}`
	dirs := map[string]string{"model": directory(t), "decoder": directory(t, configFile, `{"added_tokens_decoder":{"263":{"content":"[X]","special":true}},"legacy":false}`), "json": t.TempDir()}
	if err := os.WriteFile(dirs["json"]+"/"+jsonFile, []byte(json), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, dir := range dirs {
		tok, err := Load(dir)
		if err != nil {
			t.Fatal(name, err)
		}
		size := tok.Size()
		added, err := tok.Add([]string{"<|im_start|>", "<|im_end|>", "<|im_start|>"})
		if err != nil || !slices.Equal(added, []Added{{"<|im_start|>", int32(size)}, {"<|im_end|>", int32(size) + 1}}) || tok.Size() != size+2 || !tok.Special(added[1].ID) {
			t.Errorf("%s: %v, %v, %d pieces", name, added, err, tok.Size())
		}
		if n := len(tok.Notes()); strings.Contains(strings.Join(tok.Notes(), ""), "im_start") {
			t.Errorf("%s: %d notes say that a file added them: %v", name, n, tok.Notes())
		}
		if err := Record(dir, added, func(path string, text []byte) error { return os.WriteFile(path, text, 0o666) }); err != nil {
			t.Fatal(name, err)
		}
		again, err := Load(dir)
		if err != nil {
			t.Fatal(name, err)
		}
		const text = "ab<|im_start|>ab <|im_end|>[X]a"
		if want, got := tok.Encode(text), again.Encode(text); !slices.Equal(got, want) || !slices.Contains(got, added[0].ID) || again.Size() != tok.Size() || again.Decode(want) != tok.Decode(want) {
			t.Errorf("%s: %q is %v, before it was written %v", name, text, got, want)
		}
		if again.SpecialAsText().Size() != tok.Size() || slices.Contains(again.SpecialAsText().Encode(text), added[0].ID) {
			t.Errorf("%s: they are read as tokens where control tokens are text", name)
		}
	}
	if tok, _ := Load(dirs["model"]); tok == nil {
		t.Error("no tokenizer")
	} else if _, err := tok.Add([]string{""}); err == nil {
		t.Error("an empty token is added")
	}
}
