package tokenizer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/weights/gguf"
)

// SmolLM2's GGUF file, whose vocabulary lacks bytes: the ids are llama.cpp's.
func TestSmolLM2(t *testing.T) {
	f, err := gguf.Open(filepath.Join(os.Getenv("LORAC_TOKENIZERS"), "smollm2.gguf"))
	if err != nil {
		t.Skip("the file is not here (LORAC_TOKENIZERS=DIR; testdata/peers/README.md):", err)
	}
	defer f.Close()
	data, err := os.ReadFile("testdata/real.json")
	if err != nil {
		t.Fatal(err)
	}
	var table map[string]struct{ All string }
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	tok, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if got := tokenizer.DigestOf(tok, tokenizer.SeededLines(1, 10000)); got != table["smollm2.gguf"].All {
		t.Errorf("digest %s, want %s", got, table["smollm2.gguf"].All)
	}
}
