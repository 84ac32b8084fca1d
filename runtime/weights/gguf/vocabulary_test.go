package gguf

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// The vocabulary file of llama.cpp's tests splits text as sentencepiece does.
func TestTokenizer(t *testing.T) {
	const shared = "../../../../shared/data/tokenizer/"
	f, err := Open(shared + "llama2/ggml-vocab-llama-spm.gguf")
	if err != nil {
		t.Skip("the sample is not here:", err)
	}
	defer f.Close()
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	tok = tok.SpecialAsText() // SentencePiece alone reads no control pieces
	lines, err := os.Open(shared + "llama2_goldens/sentencepiece_0.1.97_on_shared_text.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	n := 0
	for s := bufio.NewScanner(lines); s.Scan(); n++ {
		var row struct {
			Text string  `json:"text"`
			IDs  []int32 `json:"ids"`
		}
		if err := json.Unmarshal(s.Bytes(), &row); err != nil || len(row.IDs) == 0 {
			t.Fatal(err, s.Text())
		}
		if got := tok.Encode(row.Text); !slices.Equal(got, row.IDs) && !slices.Equal(append([]int32{1}, got...), row.IDs) {
			t.Fatalf("%q: %v, want %v", row.Text, got, row.IDs)
		}
	}
	if n < 10 || tok.BOS() != 1 || tok.EOS() != 2 {
		t.Errorf("%d texts, begins with %d, ends with %d", n, tok.BOS(), tok.EOS())
	}
}

// A small vocabulary: a few pieces, merged by their scores.
func TestSmallVocabulary(t *testing.T) {
	meta := map[string]any{"tokenizer.ggml.model": "llama"}
	var texts []string
	var scores, kinds []any
	add := func(text string, score float64, kind int64) {
		texts, scores, kinds = append(texts, text), append(scores, score), append(kinds, kind)
	}
	add("<unk>", 0, 2)
	add("<s>", 0, 3)
	add("</s>", 0, 3)
	for b := range 256 {
		const digits = "0123456789ABCDEF"
		add("<0x"+string([]byte{digits[b>>4], digits[b&15]})+">", 0, 6)
	}
	for i, p := range []string{"▁", "a", "b", "ab", "▁ab"} {
		add(p, float64(-i), 1)
	}
	meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.scores"], meta["tokenizer.ggml.token_type"] = texts, scores, kinds
	meta["tokenizer.ggml.add_bos_token"] = false
	f := &File{Meta: meta}
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if adds, said := tok.AddsBOS(); adds || !said {
		t.Errorf("texts begin with BOS: %v, said: %v", adds, said)
	}
	if got, want := tok.Encode("ab  ba!"), []int32{263, 259, 259, 261, 260, 3 + '!'}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := tok.Decode([]int32{263, 259, 3 + 0xC3, 3 + 0xA9}); got != "ab é" {
		t.Errorf("decoded %q", got)
	}
	meta["tokenizer.ggml.scores"] = scores[1:]
	if _, err := f.Tokenizer(); err == nil {
		t.Error("a score that is missing is accepted")
	}
	meta["tokenizer.ggml.model"] = "gpt2"
	if _, err := f.Tokenizer(); err == nil {
		t.Error("a tokenizer of another kind is accepted")
	}
	if tok, err := (&File{}).Tokenizer(); tok != nil || err != nil {
		t.Error(tok, err)
	}
}

// A byte-level vocabulary, its pre-tokenizer by name.
func TestByteLevelVocabulary(t *testing.T) {
	meta := map[string]any{
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": []string{"<|end|>", "a", "b", "Ġ", "ab", "Ġab", "1"},
		"tokenizer.ggml.merges": []string{"a b", "Ġ ab"}, "tokenizer.ggml.token_type": []any{int64(3), int64(1), int64(1), int64(1), int64(1), int64(1), int64(1)},
		"tokenizer.ggml.bos_token_id": uint64(0), "tokenizer.ggml.padding_token_id": uint64(0), "tokenizer.ggml.add_bos_token": false,
	}
	f := &File{Meta: meta}
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tok.Encode("ab ab11<|end|>"), []int32{4, 5, 6, 6, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if adds, said := tok.AddsBOS(); adds || !said || tok.BOS() != 0 || tok.EOS() != -1 || tok.PAD() != 0 {
		t.Errorf("begins with %d: %v (said: %v), ends with %d, pads with %d", tok.BOS(), adds, said, tok.EOS(), tok.PAD())
	}
	delete(meta, "tokenizer.ggml.pre")
	if _, err := f.Tokenizer(); err == nil {
		t.Error("words that are cut in an unknown way are accepted")
	}
}
