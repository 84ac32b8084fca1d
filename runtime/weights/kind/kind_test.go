package kind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRefuse: what is no weights is named, with the way out; weights are not.
func TestRefuse(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1056540\n"
	header := "\x40\x00\x00\x00\x00\x00\x00\x00{\"x\":{\"dtype\":\"F32\"}}"
	tar := strings.Repeat("\x00", 257) + "ustar\x0000"
	for _, c := range []struct{ name, text, want string }{
		{"model.safetensors", pointer, "a Git LFS pointer to a file of 1056540 bytes, not weights\n  = help: fetch the file itself: git lfs"},
		{"a.ckpt", pointer, "Git LFS pointer"}, {"a.gguf", pointer, "Git LFS pointer"}, {"a.pth", pointer, "Git LFS pointer"},
		{"a.bin", "\n <!DOCTYPE html><html>", "an HTML page"}, {"a.ckpt", "<HTML><head>", "an HTML page"}, {"a.ckpt", "<?xml version='1.0'?><Error>", "an XML text"},
		{"a.safetensors", "%PDF-1.7 \x01", "a PDF document"}, {"a.safetensors", "\x1f\x8b\x08", "gunzip"}, {"a.safetensors", tar, "tar -xf"}, {"a.ckpt", tar, "tar -xf"},
		{"a.zip", "PK\x03\x04", "unzip"}, {"a.ckpt", "PK\x03\x04", "rename it to end in .pt"}, {"a.safetensors", "PK\x03\x04", "rename it to end in .pt"},
		{"a.gguf", header, "rename it to end in .safetensors"}, {"a.ckpt", "GGUF\x03", "rename it to end in .gguf"},
		{"tokenizer.model", "\x0a\x0b", "give it as --tokenizer"}, {"config.yaml", "model:\n", "a config in YAML"}, {"rows.jsonl", "{}", "rows of data"},
		{"optimizer.pt", "PK\x03\x04", "the state of a training"}, {"a.parquet", "PAR1\x15", "--train_dataset_dir"}, {"a.ckpt", "", "is empty"},
		{"a.safetensors", `{"error": "` + strings.Repeat("no access ", 10) + `"}`, "a JSON text"},
		{"a.safetensors", header, ""}, {"a.gguf", "GGUF\x03", ""}, {"a.pt", "PK\x03\x04", ""}, {"a.ckpt", "\x0a\x20\x0a\x05name\x12\x08", ""}, {"a.index.json", "{}", ""}, {"a.bin", "\x40\x00\x00\x00\x60\x00", ""},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := Refuse(path)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s is refused: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "= help: ")):
			t.Errorf("%s: %v, not %q", c.name, err, c.want)
		}
	}
	if Refuse(t.TempDir()) != nil || Refuse("nowhere") != nil {
		t.Error("what is no file is judged")
	}
}
