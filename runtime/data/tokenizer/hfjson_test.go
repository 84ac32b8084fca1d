package tokenizer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tinyJSON is a tokenizer.json of the Llama kind, without bytes.
const tinyJSON = `{"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},{"id":9,"content":"<x>","special":false,"rstrip":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0,"<s>":1,"▁":2,"a":3,"b":4,"ab":5,"▁a":6,"ba":7},"merges":["b a",["▁","a"],"a b"]}}`

func TestParseJSON(t *testing.T) {
	tok, err := ParseJSON([]byte(tinyJSON), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		ids  []int32
		back string
	}{
		{"", nil, ""},
		// Merges go by their place in the list: ▁+a before a+b, b+a before both.
		{"ab", []int32{6, 4}, "ab"},
		{"aba", []int32{6, 7}, "aba"},
		{"bab", []int32{2, 7, 4}, "bab"},
		{"zz a", []int32{2, 0, 6}, " a"},
		// Added tokens are read; the blank is put before the text after each.
		{"<s>a", []int32{1, 6}, "a"},
		{"a<x>  b", []int32{6, 9, 2, 4}, "a<x> b"},
	} {
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%q: %v, want %v", c.text, got, c.ids)
		}
		if got := tok.Decode(c.ids); got != c.back {
			t.Errorf("%v: %q, want %q", c.ids, got, c.back)
		}
	}
	if got := []int32{tok.BOS(), tok.EOS(), tok.UNK(), tok.PAD(), int32(tok.Size())}; !slices.Equal(got, []int32{1, -1, 0, -1, 10}) {
		t.Errorf("bos, eos, unk, pad, size are %v", got)
	}
}

func TestMetaspace(t *testing.T) {
	for _, c := range []struct {
		step string
		text string
		ids  []int32
	}{
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":false}`, "a<s>a", []int32{6, 1, 6}},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}`, "a<s>a", []int32{6, 1, 3}},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":false}`, "a a", []int32{3, 6}},
		{`{"type":"Metaspace","replacement":"▁","add_prefix_space":false}`, "a a", []int32{3, 6}},
		{`{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}`, " a", []int32{6}},
	} {
		text := strings.Replace(tinyJSON, `"normalizer"`, `"pre_tokenizer":`+c.step+`,"other"`, 1)
		tok, err := ParseJSON([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%s: %q is %v, want %v", c.step, c.text, got, c.ids)
		}
	}
}

func TestControlNames(t *testing.T) {
	tok, err := ParseJSON([]byte(tinyJSON), []byte(`{"bos_token":null,"eos_token":{"content":"<s>"},"pad_token":"<unk>"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := []int32{tok.BOS(), tok.EOS(), tok.PAD()}; !slices.Equal(got, []int32{-1, 1, 0}) {
		t.Errorf("bos, eos, pad are %v", got)
	}
}

// A file that falls back to bytes and has no pieces of them writes its unknown piece,
// and that is said.
func TestNoBytePieces(t *testing.T) {
	tok, err := ParseJSON([]byte(strings.Replace(tinyJSON, `"fuse_unk":true`, `"byte_fallback":true`, 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("é"); !slices.Contains(got, tok.UNK()) {
		t.Errorf("ids %v", got)
	}
	if notes := strings.Join(tok.Notes(), "\n"); !strings.Contains(notes, "falls back to bytes and has a piece for none") {
		t.Errorf("notes: %s", notes)
	}
}

// Bytes that are added tokens as well are bytes all the same.
func TestAddedBytes(t *testing.T) {
	var vocab, added []string
	for b := range 256 {
		vocab = append(vocab, fmt.Sprintf(`"<0x%02X>": %d`, b, b))
		added = append(added, fmt.Sprintf(`{"id": %d, "content": "<0x%02X>", "special": true, "normalized": %v}`, b, b, b%2 == 0))
	}
	tok, err := ParseJSON([]byte(`{"added_tokens": [`+strings.Join(added, ",")+`], "model": {"type": "BPE", "byte_fallback": true, "vocab": {`+strings.Join(vocab, ",")+`, "a": 256}, "merges": []}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("aé<0x41>"); !slices.Equal(got, []int32{256, 0xc3, 0xa9, 0x41}) || tok.Decode(got) != "aéA" || len(tok.Notes()) > 0 {
		t.Errorf("%v %q %v", got, tok.Decode(got), tok.Notes())
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, words string }{
		{`"type":"BPE"`, `"type":"Unigram"`, "Unigram"},
		{`"vocab":{`, `"vocab":{},"was":{`, "no vocabulary"},
		{`"▁a":6`, `"▁a":7`, "belongs to both"},
		{`"▁a":6`, `"▁a":-6`, "out of range"},
		{`"▁a":6`, `"▁a":2000000000`, "out of range"},
		{`"b a"`, `"b b"`, "merge 1"},
		{`"b a"`, `"b  a"`, "not a pair"},
		{`["▁","a"]`, `["▁","a","b"]`, "joins 3"},
		{`"unk_token":"<unk>"`, `"unk_token":"<x>"`, "unk_token"},
		{`"fuse_unk":true`, `"dropout":0.1`, "dropout"},
		{`"fuse_unk":true`, `"end_of_word_suffix":"</w>"`, "end_of_word_suffix"},
		{`{"type":"Prepend","prepend":"▁"}`, `{"type":"NFKC"}`, "NFKC"},
		{`"decoder"`, `"pre_tokenizer":{"type":"ByteLevel"},"decoder"`, "byte-level"},
		{`{"type":"Fuse"}`, `{"type":"WordPiece"}`, "WordPiece"},
		{`"id":1,"content":"<s>"`, `"id":2,"content":"<s>"`, "contradicts"},
		{`"id":9,"content":"<x>"`, `"id":3,"content":"<x>"`, "belongs to both"},
		{`"id":9,"content":"<x>"`, `"id":9,"content":""`, "contradicts"},
		{`{"added`, `{added`, "not a tokenizer.json"},
	} {
		_, err := ParseJSON([]byte(strings.Replace(tinyJSON, c.from, c.to, 1)), nil)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s → %s: error %v, want %q in it", c.from, c.to, err, c.words)
		}
	}
	if _, err := ParseJSON([]byte(tinyJSON), []byte("[]")); err == nil {
		t.Error("a tokenizer_config.json that is a list is accepted")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("an empty directory: %v", err)
	}
	put := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("tokenizer_config.json", `{"pad_token":"<unk>"}`)
	path := put("tokenizer.json", tinyJSON)
	for _, p := range []string{dir, path} {
		if tok, err := Load(p); err != nil || tok.PAD() != 0 {
			t.Errorf("%s: %v", p, err)
		}
	}
	os.Remove(path)
	os.Remove(filepath.Join(dir, "tokenizer_config.json"))
	path = put("tokenizer.model", string(model(append(controls, testPiece{"a", 0, normal}), "", "")))
	for _, p := range []string{dir, path} {
		if tok, err := Load(p); err != nil || tok.Size() != 4 {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := Load(put("bad.model", "no model")); err == nil || !strings.Contains(err.Error(), "bad.model") {
		t.Errorf("a bad file: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
}
