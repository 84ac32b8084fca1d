package weights

import (
	"fmt"
	"path/filepath"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
)

// ggufSet is a GGUF file under the names of Hugging Face.
type ggufSet struct {
	file    *gguf.File
	names   []string
	ours    map[string]string // name in the file by name here
	headDim int
}

// openGGUF opens a file of a Llama.
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
	if arch, _ := f.Meta["general.architecture"].(string); arch != "llama" {
		return nil, fmt.Errorf("its general.architecture is %q, and only llama is read", arch)
	}
	if kind, ok := f.Meta["general.type"].(string); ok && kind != "model" {
		return nil, fmt.Errorf("it holds no model but: %s", kind)
	}
	s := &ggufSet{file: f, ours: map[string]string{}}
	width, ok1 := f.Int("llama.embedding_length")
	heads, ok2 := f.Int("llama.attention.head_count")
	if !ok1 || !ok2 || heads < 1 || width%heads != 0 {
		return nil, fmt.Errorf("its llama.embedding_length %d and llama.attention.head_count %d do not go together", width, heads)
	}
	s.headDim = width / heads
	if n, ok := f.Int("llama.attention.key_length"); ok {
		s.headDim = n
	}
	for _, t := range f.Tensors {
		name, ok := naming.Translate(t.Name, naming.SchemeGGUF, naming.SchemeHuggingFace)
		if !ok {
			name = t.Name // reported as what has no place
		}
		if naming.SchemeGGUF.Paired(t.Name) && (len(t.Shape) != 2 || s.headDim < 2 || s.headDim%2 != 0 || t.Shape[0]%s.headDim != 0) {
			return nil, fmt.Errorf("its tensor %s of shape %v has no heads of %d rows", t.Name, t.Shape, s.headDim)
		}
		s.ours[name] = t.Name
		s.names = append(s.names, name)
	}
	return s, nil
}

func (s *ggufSet) Names() []string { return append([]string(nil), s.names...) }

func (s *ggufSet) Tensor(name string) (Tensor, bool) {
	t, ok := s.file.Tensor(s.ours[name])
	return Tensor{Name: name, DType: t.Type, Shape: t.Shape, Data: t.Data}, ok
}

func (s *ggufSet) Close() { s.file.Close() }

// Pairs says how many rows a head has in a matrix whose rows lie in the order
// of rotary pairs (checkpoint.Scheme.Paired), 0 for all others.
func (s *ggufSet) Pairs(name string) int {
	if naming.SchemeGGUF.Paired(s.ours[name]) {
		return s.headDim
	}
	return 0
}

// Pairs is that of any set.
func Pairs(s Set, name string) int {
	if p, ok := s.(interface{ Pairs(name string) int }); ok {
		return p.Pairs(name)
	}
	return 0
}

// GGUF is the GGUF file that Open takes for a path, "" if it takes another.
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

// Tokenizer is the one inside a GGUF file; nil when there is none.
func Tokenizer(path string) (*tokenizer.Tokenizer, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Tokenizer()
}
