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

// renamed shows a set under Hugging Face names. Rows keep the order they have in
// the file; Pairs says where that order is by rotary pairs.
type renamed struct {
	names   []string
	stored  map[string]string
	paired  map[string]bool
	headDim int
	from    Set
}

// rename shows a set under Hugging Face names. headDim is the number of rows of a
// head; it may be 0 (unknown) if no matrix of the set has rows in rotary pairs.
func rename(s Set, scheme naming.Scheme, headDim int) (Set, error) {
	halves := scheme == naming.SchemeTorchtune && naming.LikeQwen2(s.Names(), scheme)
	r := &renamed{stored: map[string]string{}, paired: map[string]bool{}, headDim: headDim, from: s}
	for _, n := range s.Names() {
		name, ok := naming.Translate(n, scheme, naming.SchemeHuggingFace)
		if !ok {
			name = n // the caller reports it as an unexpected parameter
		}
		if _, twice := r.stored[name]; twice {
			return nil, fmt.Errorf("the parameter %s is stored under two names", name)
		}
		r.names = append(r.names, name)
		r.stored[name] = n
		if !scheme.Paired(n) || halves {
			continue
		}
		h, _ := Describe(s, n)
		if headDim == 0 {
			return nil, fmt.Errorf("%w: with the names of %s, the rows of queries and keys are stored in rotary pairs per head, and no params.json or config.json next to the file gives the size of a head\n  = help: put the model's params.json there, or use lorac convert weights --config CONFIG", ErrNoHeads, scheme)
		}
		if len(h.Shape) == 0 || headDim < 2 || headDim%2 != 0 || h.Shape[0]%headDim != 0 {
			return nil, fmt.Errorf("tensor %s of shape %v is not divisible into heads of %d rows", n, h.Shape, headDim)
		}
		r.paired[name] = true
	}
	return r, nil
}

// ErrNoHeads is the error for a file whose row order depends on the size of a
// head when neither the file nor its directory gives it. OpenHeads takes it as an
// argument.
var ErrNoHeads = errors.New("the size of a head is unknown")

func (r *renamed) Names() []string { return slices.Clone(r.names) }

func (r *renamed) Tensor(name string) (Tensor, bool) {
	t, ok := r.from.Tensor(r.stored[name])
	t.Name = name
	return t, ok
}

func (r *renamed) Header(name string) (Header, bool) { return Describe(r.from, r.stored[name]) }

// Pairs is the number of rows of a head in a matrix whose rows are in rotary
// pairs, 0 for any other tensor.
func (r *renamed) Pairs(name string) int {
	if r.paired[name] {
		return r.headDim
	}
	return 0
}

// Same reports whether two names share one tensor in the file.
func (r *renamed) Same(a, b string) bool { return Same(r.from, r.stored[a], r.stored[b]) }

func (r *renamed) Close() { r.from.Close() }

// Same reports whether two names of a set share one tensor in the file, as tied
// weights do in torch files. It is false where the format cannot tell.
func Same(s Set, a, b string) bool {
	x, ok := s.(interface{ Same(a, b string) bool })
	return ok && x.Same(a, b)
}

// torchFile describes the tensors of a torch file without copying them.
type torchFile struct{ *torch.File }

func (f torchFile) Header(name string) (Header, bool) {
	dtype, shape, ok := f.Shape(name)
	h := Header{DType: dtype, Shape: shape}
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
		return nil, 0, errors.Join(err, errors.New("not a regular file"))
	}
	head = make([]byte, 512)
	n, _ := f.ReadAt(head, 0)
	return head[:n], info.Size(), nil
}

// openTorch opens torch files as one checkpoint: Meta's model-parallel shards,
// whose slices are concatenated; parts of a Hugging Face model, each with some of
// the parameters; or one file of any naming scheme.
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
	}
	sets = unwrapAll(sets)
	for _, s := range sets {
		names = append(names, s.Names()...)
	}
	scheme, ok := naming.SchemeOf(names)
	if !ok {
		return nil, fmt.Errorf("%s holds no parameters of a Llama; the first name is %q", paths[0], names[0])
	}
	var s Set = sets[0]
	var err error
	if len(sets) > 1 && scheme == naming.SchemeMeta {
		s, err = joinShards(sets, paths)
	} else if len(sets) > 1 {
		s, err = newUnion(sets, paths)
	}
	if err != nil {
		return nil, err
	}
	if scheme == naming.SchemeMeta || scheme == naming.SchemeTorchtune {
		if headDim == 0 {
			if headDim, err = headDimNextTo(filepath.Dir(paths[0])); err != nil {
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

// OpenHeads is Open for a checkpoint whose heads have headDim rows (0: unknown).
func OpenHeads(path string, headDim int) (Set, error) {
	info, err := Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		if files := torchFiles(path); len(files) > 0 {
			s, err := openTorch(files, headDim)
			if err != nil {
				return nil, refused(path, err)
			}
			return s, nil
		}
	case IsTorch(path):
		return openTorch([]string{path}, headDim)
	}
	s, err := Open(path)
	if headDim > 0 && errors.Is(err, ErrNoHeads) {
		return openSafetensorsAs(path, headDim)
	}
	return s, err
}

// torchFiles lists the torch files of a directory that make up one model, sorted;
// none if it is ambiguous.
func torchFiles(dir string) []string {
	for _, pattern := range []string{"consolidated.[0-9][0-9].pth", "pytorch_model-*-of-*.bin", "pytorch_model.bin", "*.pth", "*.pt"} {
		files, err := filepath.Glob(filepath.Join(globEscape(dir), pattern))
		if err != nil || len(files) == 0 {
			continue
		}
		if len(files) > 1 && strings.HasPrefix(pattern, "*") {
			return nil // ambiguous
		}
		slices.Sort(files)
		return files
	}
	return nil
}

// globEscape escapes the metacharacters of filepath.Glob in a path.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// headDimNextTo reads the size of a head from params.json (Meta) or config.json
// (Hugging Face) in a directory, 0 if neither exists.
func headDimNextTo(dir string) (int, error) {
	for _, file := range []struct{ name, width, heads string }{
		{"params.json", "dim", "n_heads"}, {"config.json", "hidden_size", "num_attention_heads"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file.name))
		if err != nil {
			continue
		}
		var keys map[string]any
		if err := json.Unmarshal(text, &keys); err != nil {
			return 0, fmt.Errorf("%s is not a JSON object: %w", filepath.Join(dir, file.name), err)
		}
		if n, ok := keys["head_dim"].(float64); ok && n > 0 && n < 1<<20 {
			return int(n), nil
		}
		width, _ := keys[file.width].(float64)
		heads, _ := keys[file.heads].(float64)
		if !(width >= 1 && heads >= 1 && width < 1<<30) || int(heads) > int(width) || int(width)%int(heads) != 0 {
			return 0, fmt.Errorf("%s: `%s` %v is not divisible by `%s` %v", filepath.Join(dir, file.name), file.width, keys[file.width], file.heads, keys[file.heads])
		}
		return int(width) / int(heads), nil
	}
	return 0, nil
}

// llama2cFile describes tensors without dequantising them.
type llama2cFile struct{ *llama2c.File }

func (f llama2cFile) Header(name string) (Header, bool) {
	shape, ok := f.Shape(name)
	return Header{DType: "F32", Shape: shape}, ok
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

// openBin opens a .bin file, which is a checkpoint of llama2.c or of torch.
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

// tensorOf makes a tensor that does not share memory with a file.
func tensorOf(name, dtype string, shape []int, data []byte) Tensor {
	return safetensors.Tensor{Name: name, DType: dtype, Shape: shape, Data: data}
}
