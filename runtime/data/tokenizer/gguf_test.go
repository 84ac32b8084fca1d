package tokenizer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/weights/gguf"
)

type digests struct{ First, All string }

// realDigests are those of the ids that other programs give for seeded lines.
func realDigests(t *testing.T) (table map[string]digests) {
	t.Helper()
	data, err := os.ReadFile("testdata/real.json")
	if err == nil {
		err = json.Unmarshal(data, &table)
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// SmolLM2's GGUF file, whose vocabulary lacks bytes: the ids are llama.cpp's.
func TestSmolLM2(t *testing.T) {
	f, err := gguf.Open(filepath.Join(os.Getenv("LORAC_TOKENIZERS"), "smollm2.gguf"))
	if err != nil {
		t.Skip("the file is not here (LORAC_TOKENIZERS=DIR; testdata/peers/README.md):", err)
	}
	defer f.Close()
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tokenizer.DigestOf(tok, tokenizer.SeededLines(1, 10000)), realDigests(t)["smollm2.gguf"].All; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// Llama 2's vocabulary as llama.cpp has it: the ids are SentencePiece's.
func TestLlama2GGUF(t *testing.T) {
	f, err := gguf.Open("../../../../shared/data/tokenizer/llama2/ggml-vocab-llama-spm.gguf")
	if err != nil {
		t.Skip("the sample is not here:", err)
	}
	defer f.Close()
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tokenizer.DigestOf(tok.SpecialAsText(), tokenizer.SeededLines(1, 400)), realDigests(t)["llama2.model"].First; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}
