package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// renamed is a set whose file has the names of a scheme of its own, under the
// names of Hugging Face; rows stay in the file's order (Pairs).
type renamed struct {
	names   []string
	inFile  map[string]string
	paired  map[string]bool
	headDim int
	from    Set
}

// rename gives a set its Hugging Face names. headDim must be known where the
// scheme has rows in rotary pairs and the set has such.
func rename(s Set, scheme naming.Scheme, headDim int) (Set, error) {
	r := &renamed{inFile: map[string]string{}, paired: map[string]bool{}, headDim: headDim, from: s}
	for _, n := range s.Names() {
		name, ok := naming.Translate(n, scheme, naming.SchemeHuggingFace)
		if !ok {
			name = n // reported as what has no place
		}
		if _, twice := r.inFile[name]; twice {
			return nil, fmt.Errorf("%s is there under two names", name)
		}
		r.names = append(r.names, name)
		r.inFile[name] = n
		if !scheme.Paired(n) {
			continue
		}
		h, _ := Describe(s, n)
		if headDim == 0 {
			return nil, fmt.Errorf("%w: its names are those of %s, where rows of queries and keys lie by heads, and neither params.json nor config.json beside it says how wide a head is\n  = help: put the model's params.json there, or lorac convert weights --config CONFIG", ErrNoHeads, scheme)
		}
		if len(h.Shape) != 2 || headDim < 2 || headDim%2 != 0 || h.Shape[0]%headDim != 0 {
			return nil, fmt.Errorf("its tensor %s of shape %v has no heads of %d rows", n, h.Shape, headDim)
		}
		r.paired[name] = true
	}
	return r, nil
}

// ErrNoHeads is the error for a file that does not say how wide a head is, and
// whose meaning depends on it; OpenHeads can be told.
var ErrNoHeads = errors.New("the width of a head is unknown")

func (r *renamed) Names() []string { return slices.Clone(r.names) }

func (r *renamed) Tensor(name string) (Tensor, bool) {
	t, ok := r.from.Tensor(r.inFile[name])
	t.Name = name
	return t, ok
}

func (r *renamed) Head(name string) (Head, bool) { return Describe(r.from, r.inFile[name]) }

// Pairs says how many rows a head has in a matrix of rotary pairs.
func (r *renamed) Pairs(name string) int {
	if r.paired[name] {
		return r.headDim
	}
	return 0
}

// Same reports whether two tensors are one.
func (r *renamed) Same(a, b string) bool { return Same(r.from, r.inFile[a], r.inFile[b]) }

func (r *renamed) Close() { r.from.Close() }

// Same reports whether two tensors of a set are one tensor in the file, as
// those of tied weights are in files of torch.
func Same(s Set, a, b string) bool {
	x, ok := s.(interface{ Same(a, b string) bool })
	return ok && x.Same(a, b)
}

// torchFile describes tensors of a file of torch without copying them.
type torchFile struct{ *torch.File }

func (f torchFile) Head(name string) (Head, bool) {
	dtype, shape, ok := f.Shape(name)
	h := Head{DType: dtype, Shape: shape}
	if view, inOrder := f.View(name); inOrder {
		h.Chunks = [][]byte{view}
	}
	return h, ok
}

// IsTorch reports whether a file was written by torch.save.
func IsTorch(path string) bool {
	head, _, err := headOf(path)
	return err == nil && torch.Is(head)
}

func headOf(path string) (head []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, 0, errors.Join(err, errors.New("no file"))
	}
	head = make([]byte, 512)
	n, _ := f.ReadAt(head, 0)
	return head[:n], info.Size(), nil
}

// openTorch opens files of torch as one checkpoint: shards of Meta, whose
// slices are joined; parts of a Hugging Face model, which divide the names; or
// one file of any names.
func openTorch(paths []string, headDim int) (Set, error) {
	var sets []Set
	done := false
	defer func() {
		if !done {
			closeAll(sets)
		}
	}()
	var names []string
	for _, path := range paths {
		f, err := torch.Open(path)
		if err != nil {
			return nil, err
		}
		sets = append(sets, torchFile{f})
		names = append(names, f.Names()...)
	}
	scheme, ok := naming.SchemeOf(names)
	if !ok {
		return nil, fmt.Errorf("%s holds no parameters of a Llama; its first is %q", paths[0], names[0])
	}
	var s Set = sets[0]
	var err error
	if len(sets) > 1 && scheme == naming.SchemeMeta {
		s, err = joinShards(sets, paths)
	} else if len(sets) > 1 {
		s, err = unite(sets, paths)
	}
	if err != nil {
		return nil, err
	}
	if scheme == naming.SchemeMeta || scheme == naming.SchemeTorchtune {
		if headDim == 0 {
			if headDim, err = headDimBeside(filepath.Dir(paths[0])); err != nil {
				return nil, err
			}
		}
		if s, err = rename(s, scheme, headDim); err != nil {
			return nil, fmt.Errorf("%s: %w", paths[0], err)
		}
	}
	done = true
	return s, nil
}

// openOneTorch opens one file.
func openOneTorch(path string) (Set, error) { return openTorch([]string{path}, 0) }

// OpenHeads opens a checkpoint whose heads are known to be headDim rows wide
// (0: not known).
func OpenHeads(path string, headDim int) (Set, error) {
	info, err := Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		if files := torchFiles(path); len(files) > 0 {
			return openTorch(files, headDim)
		}
	case IsTorch(path):
		return openTorch([]string{path}, headDim)
	}
	return Open(path)
}

// torchFiles are the files of torch in a directory that make up a model.
func torchFiles(dir string) []string {
	for _, pattern := range []string{"consolidated.[0-9][0-9].pth", "pytorch_model-*-of-*.bin", "pytorch_model.bin", "*.pth", "*.pt"} {
		files, err := filepath.Glob(filepath.Join(globEscape(dir), pattern))
		if err != nil || len(files) == 0 {
			continue
		}
		if len(files) > 1 && strings.HasPrefix(pattern, "*") {
			return nil // nothing says which of them is meant
		}
		slices.Sort(files)
		return files
	}
	return nil
}

// globEscape keeps the signs of patterns in a path from being taken for such.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// headDimBeside reads the width of a head from params.json (Meta) or
// config.json (Hugging Face), 0 if neither is there.
func headDimBeside(dir string) (int, error) {
	for _, file := range []struct{ name, width, heads string }{
		{"params.json", "dim", "n_heads"}, {"config.json", "hidden_size", "num_attention_heads"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file.name))
		if err != nil {
			continue
		}
		var keys map[string]any
		if err := json.Unmarshal(text, &keys); err != nil {
			return 0, fmt.Errorf("%s is no JSON object: %w", filepath.Join(dir, file.name), err)
		}
		if n, ok := keys["head_dim"].(float64); ok && n > 0 && n < 1<<20 {
			return int(n), nil
		}
		width, _ := keys[file.width].(float64)
		heads, _ := keys[file.heads].(float64)
		if !(width >= 1 && heads >= 1 && width < 1<<30) || int(heads) > int(width) || int(width)%int(heads) != 0 {
			return 0, fmt.Errorf("%s: `%s` %v and `%s` %v do not go together", filepath.Join(dir, file.name), file.width, keys[file.width], file.heads, keys[file.heads])
		}
		return int(width) / int(heads), nil
	}
	return 0, nil
}

// llama2cFile describes tensors without multiplying them out.
type llama2cFile struct{ *llama2c.File }

func (f llama2cFile) Head(name string) (Head, bool) {
	shape, ok := f.Shape(name)
	return Head{DType: "F32", Shape: shape}, ok
}

func openLlama2c(path string) (Set, error) {
	f, err := llama2c.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := rename(llama2cFile{f}, naming.SchemeMeta, f.HeadDim())
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// openBin opens what ends in .bin: a checkpoint of llama2.c, or one of torch.
func openBin(path string) (Set, error) {
	head, size, err := headOf(path)
	if err != nil {
		return nil, err
	}
	if !torch.Is(head) && llama2c.Is(head, size) {
		return openLlama2c(path)
	}
	return openOneTorch(path)
}

// tensorOf is a tensor in memory of its own.
func tensorOf(name, dtype string, shape []int, data []byte) Tensor {
	return safetensors.Tensor{Name: name, DType: dtype, Shape: shape, Data: data}
}
