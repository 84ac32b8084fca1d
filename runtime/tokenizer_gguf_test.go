package rt

import (
	"path/filepath"
	"testing"

	"lorac/runtime/weights/gguf"
)

// A tokenizer may be given as the GGUF file that has it.
func TestTokenizerInGGUF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vocabulary.gguf")
	if err := gguf.Write(path, []gguf.KV{{Key: "general.architecture", Value: "llama"}, {Key: "tokenizer.ggml.model", Value: "gpt2"}, {Key: "tokenizer.ggml.pre", Value: "gpt-2"},
		{Key: "tokenizer.ggml.tokens", Value: []string{"a", "b", "ab"}}, {Key: "tokenizer.ggml.token_type", Value: []int32{1, 1, 1}}, {Key: "tokenizer.ggml.merges", Value: []string{"a b"}}}, nil); err != nil {
		t.Fatal(err)
	}
	j := adaptedJob(t)
	j.Tokenizer = path
	must(t, j, shapeOf{}.body)
}
