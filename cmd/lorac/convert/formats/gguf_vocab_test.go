package formats

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/gguf"
)

const bpe = `{"added_tokens":[{"id":4,"content":"<|im_end|>","special":true}],
 "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false}]},
 "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"c":3},"merges":["a b"]}}`

// A tokenizer goes into a GGUF file with its added tokens, the ids of control tokens
// and the chat template; what does not fit the embedding is an error.
func TestGGUFTokenizer(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if list, note, err := GGUFTokenizer(dir, 8); list != nil || err != nil || !strings.Contains(note, "no tokenizer") {
		t.Errorf("without files: %v, %q, %v", list, note, err)
	}
	put("tokenizer.json", bpe)
	put("tokenizer_config.json", `{"eos_token":{"content":"<|im_end|>"},"add_bos_token":false,"added_tokens_decoder":{"5":{"content":"<tool>","special":false}},"chat_template":"T"}`)
	put("config.json", `{"bos_token_id":3,"eos_token_id":2}`)
	list, _, err := GGUFTokenizer(dir, 8)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, kv := range list {
		got[kv.Key] = kv.Value
	}
	tokens, types := got["tokenizer.ggml.tokens"].([]string), got["tokenizer.ggml.token_type"].([]int32)
	if strings.Join(tokens, " ") != "a b ab c <|im_end|> <tool> [PAD6] [PAD7]" || types[4] != tokenControl || types[5] != tokenUser || types[7] != tokenUnused {
		t.Errorf("tokens %q of types %v", tokens, types)
	}
	for key, want := range map[string]any{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.eos_token_id": uint32(4),
		"tokenizer.ggml.bos_token_id": uint32(3), "tokenizer.ggml.add_bos_token": false, "tokenizer.chat_template": "T"} {
		if got[key] != want {
			t.Errorf("%s is %v, not %v", key, got[key], want)
		}
	}
	if m, _ := got["tokenizer.ggml.merges"].([]string); len(m) != 1 || m[0] != "a b" {
		t.Errorf("merges %q", m)
	}
	put("added_tokens.json", `{"<|im_start|>": 8}`)
	if _, _, err := GGUFTokenizer(dir, 8); err == nil || !strings.Contains(err.Error(), `"<|im_start|>" the id 8, the embedding has 8 rows`) {
		t.Errorf("an id beyond the embedding: %v", err)
	}
	put("tokenizer.json", strings.Replace(bpe, `"individual_digits":true`, `"individual_digits":false`, 1))
	if list, note, err := GGUFTokenizer(dir, 8); list != nil || err != nil || !strings.Contains(note, "no name of llama.cpp") {
		t.Errorf("unknown words: %v, %q, %v", list, note, err)
	}
}

// What llama.cpp does with text in another way is said; that no space is put before a text, it can be told.
func TestGGUFDiffers(t *testing.T) {
	const trainer = "\x12\x02\x18\x02"
	pieces := "\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02\x0a\x08\x0a\x01a\x15\x00\x00\x00\x00"
	bytes := "\x0a\x0f\x0a\x06<0x41>\x15\x00\x00\x00\x00\x18\x06"
	text := func(norm, pre, added string) string {
		return `{"normalizer": ` + norm + `, "pre_tokenizer": ` + pre + `, "added_tokens": [` + added + `], "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "vocab": {"<unk>": 0, "a": 1, "<0x41>": 2, "aa": 3}, "merges": ["a a"]}}`
	}
	for _, c := range []struct {
		file, data, want string // of the note; "" for none
		noPrefix         bool
	}{
		{"tokenizer.model", pieces + bytes + trainer + "\x1a\x04\x18\x01\x20\x00", "", false},
		{"tokenizer.model", pieces + bytes + trainer + "\x1a\x04\x18\x00\x20\x00", "", true},
		{"tokenizer.model", pieces + bytes + trainer + "\x1a\x06\x12\x02xx\x20\x00", "it does not normalise it", false},
		{"tokenizer.model", pieces + bytes + trainer, "it keeps blanks in a row", false},
		{"tokenizer.model", pieces + trainer + "\x1a\x04\x18\x01\x20\x00", "there are no pieces of bytes", false},
		{"tokenizer.json", text(`{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace"}]}`, "null", `{"id": 2, "content": "<0x41>", "special": true}`), "", false},
		{"tokenizer.json", text("null", `{"type": "Metaspace", "prepend_scheme": "never"}`, ""), "", true},
		{"tokenizer.json", text("null", `{"type": "Metaspace", "prepend_scheme": "first"}`, ""), "one that begins with a space", false},
		{"tokenizer.json", text(`{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "NFKC"}]}`, "null", `{"id": 4, "content": "x y", "rstrip": true}`), `single_word of "x y"; it does not normalise it (NFKC)`, false},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.data), 0o666); err != nil {
			t.Fatal(err)
		}
		list, note, err := GGUFTokenizer(dir, 8)
		said := slices.ContainsFunc(list, func(k gguf.KV) bool { return k.Key == "tokenizer.ggml.add_space_prefix" && k.Value == false })
		if err != nil || (note == "") != (c.want == "") || !strings.Contains(note, c.want) || said != c.noPrefix {
			t.Errorf("%s %q: %q, %v, %v; want %q", c.file, c.data, note, said, err, c.want)
		}
	}
}
