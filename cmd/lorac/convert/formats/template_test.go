package formats

import (
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/weights/gguf"
)

// The chat template that an adapter was trained with takes the place of the base's.
func TestAdapterTemplate(t *testing.T) {
	dir := t.TempDir()
	base := []gguf.KV{{Key: "a", Value: "b"}, {Key: "tokenizer.chat_template", Value: "base's"}}
	s := &Source{AdapterDir: dir}
	if got, err := s.adapterTemplate(base); err != nil || len(got) != 2 || got[1].Value != "base's" {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte("adapter's"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := s.adapterTemplate(base); err != nil || len(got) != 2 || got[1].Value != "adapter's" {
		t.Errorf("%v, %v", got, err)
	}
}
