package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
)

// ggufSet shows a GGUF file under Hugging Face names.
type ggufSet struct {
	file    *gguf.File
	names   []string
	stored  map[string]string // Hugging Face name → name in the file
	headDim int               // 0 where rows are not in rotary pairs
}

// openGGUF opens a GGUF file, whose architecture must be llama or qwen2.
func openGGUF(path string) (Set, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := newGGUFSet(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func newGGUFSet(f *gguf.File) (*ggufSet, error) {
	arch, _ := f.Meta["general.architecture"].(string)
	if arch != "llama" && arch != "qwen2" {
		return nil, fmt.Errorf("general.architecture is %q; llama and qwen2 are supported", arch)
	}
	if kind, ok := f.Meta["general.type"].(string); ok && kind != "model" {
		return nil, fmt.Errorf("general.type is %q, not a model", kind)
	}
	s := &ggufSet{file: f, stored: map[string]string{}}
	width, ok1 := f.Int(arch + ".embedding_length")
	heads, ok2 := f.Int(arch + ".attention.head_count")
	if !ok1 || !ok2 || heads < 1 || width%heads != 0 {
		return nil, fmt.Errorf("%s.embedding_length %d is not divisible by %[1]s.attention.head_count %[3]d", arch, width, heads)
	}
	s.headDim = width / heads
	if n, ok := f.Int(arch + ".attention.key_length"); ok {
		s.headDim = n
	}
	if arch == "qwen2" { // llama.cpp turns the halves of its heads
		s.headDim = 0
	}
	for _, t := range f.Tensors {
		name, ok := naming.Translate(t.Name, naming.SchemeGGUF, naming.SchemeHuggingFace)
		if !ok {
			name = t.Name // the caller reports it as an unexpected parameter
		}
		if s.headDim > 0 && naming.SchemeGGUF.Paired(t.Name) && (len(t.Shape) == 0 || s.headDim < 2 || s.headDim%2 != 0 || t.Shape[0]%s.headDim != 0) {
			return nil, fmt.Errorf("tensor %s of shape %v is not divisible into heads of %d rows", t.Name, t.Shape, s.headDim)
		}
		s.stored[name] = t.Name
		s.names = append(s.names, name)
	}
	return s, nil
}

func (s *ggufSet) Names() []string { return append([]string(nil), s.names...) }

func (s *ggufSet) Tensor(name string) (Tensor, bool) {
	t, ok := s.file.Tensor(s.stored[name])
	return Tensor{Name: name, DType: t.Type, Shape: t.Shape, Data: t.Data}, ok
}

func (s *ggufSet) Close() { s.file.Close() }

// Pairs is the number of rows of a head in a linear whose rows are in rotary
// pairs (naming.Scheme.Paired), 0 for any other tensor.
func (s *ggufSet) Pairs(name string) int {
	if naming.SchemeGGUF.Paired(s.stored[name]) {
		return s.headDim
	}
	return 0
}

// Pairs is the number of rows of a head in a matrix whose rows are in rotary
// pairs, 0 for any other tensor. Sets in the rotate-half layout need no method.
func Pairs(s Set, name string) int {
	if p, ok := s.(interface{ Pairs(name string) int }); ok {
		return p.Pairs(name)
	}
	return 0
}

// GGUF is the path of the GGUF file that Open reads for a path, "" if Open reads
// another format.
func GGUF(path string) string {
	if strings.HasSuffix(path, ".gguf") {
		return path
	}
	list, _ := filepath.Glob(filepath.Join(path, "*"))
	file := ""
	for _, f := range list {
		switch filepath.Ext(f) {
		case ".safetensors", ".ckpt":
			return ""
		case ".gguf":
			file = f
		}
	}
	return file
}

// Tokenizer reads the tokenizer of a GGUF file; nil if it has none.
func Tokenizer(path string) (*tokenizer.Tokenizer, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Tokenizer()
}

// TokenizerFile is the tokenizer that belongs to base weights: a file beside them, or
// the GGUF file that holds both (inside); "" where there is none.
func TokenizerFile(path string) (file string, inside bool) {
	dir := path
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	for _, name := range []string{"tokenizer.model", "tokenizer.json"} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, false
		}
	}
	file = GGUF(path)
	return file, file != ""
}

// ChatTemplate is the chat template of a GGUF file, "" without one.
func ChatTemplate(path string) (string, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, _ := f.Meta["tokenizer.chat_template"].(string)
	return strings.Clone(text), nil
}
