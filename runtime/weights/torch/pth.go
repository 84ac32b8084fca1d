// Package torch reads and writes the files of torch.save (.pth, .pt, .bin): a zip
// archive with a pickle that describes the tensors, and their bytes. A pickle is a
// program; here it is never executed as Python but interpreted by a machine that
// knows tensors, dicts and numbers and rejects everything else by name (see
// machine.go). Files are mapped, and every claim is validated before it is used.
// The package must not know what tensors mean.
//
// Format: PyTorch torch/serialization.py (_save, _load), torch/_utils.py.
package torch

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/safetensors"
)

// File is an open file.
type File struct {
	Path    string
	names   []string
	tensors map[string]*tensor
	unmap   func() error
}

// tensor is a view of a storage.
type tensor struct {
	*storage
	offset        int // in elements
	shape, stride []int
}

// storage is a record of the archive, which several tensors may view.
type storage struct {
	dtype string
	elem  int // bytes
	numel int
	data  []byte
}

// Open maps a file and validates everything but the data.
func Open(path string) (*File, error) {
	return mmap.Parse(path, func(m *mmap.File) (*File, error) {
		f, err := Parse(m.Data)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s as a torch file: %w", path, err)
		}
		f.Path, f.unmap = path, m.Close
		return f, nil
	})
}

// Is reports whether the first bytes of a file are those of torch.save, in the
// current format or the legacy one, which Parse rejects.
func Is(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, legacy)
}

// legacy is the beginning of files without an archive: protocol 2, then torch's
// magic number 0x1950a86a20f9469cfc6c as a long of ten bytes.
var legacy = []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

// maxPickle bounds the size of data.pkl. That of a model with a thousand tensors
// has 200 kB.
const maxPickle = 16 << 20

// Parse reads a file in memory; its tensors share that memory.
func Parse(data []byte) (*File, error) {
	switch {
	case bytes.HasPrefix(data, legacy):
		return nil, errors.New("it is in the format of torch before 1.6, without an archive; load and save it with a later torch")
	case len(data) > 0 && data[0] == 0x80:
		return nil, errors.New("it is a bare pickle, which may hold anything; save the state dict with torch.save")
	case len(data) > 262 && string(data[257:262]) == "ustar":
		return nil, errors.New("it is a tar archive, the format of torch before 0.1.10; load and save it with a later torch")
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("as a zip archive: %w; is the download complete?", err)
	}
	a := &archive{data: data, files: map[string]*zip.File{}}
	for _, f := range z.File {
		if _, twice := a.files[f.Name]; twice {
			return nil, fmt.Errorf("the record %q is duplicated", f.Name)
		}
		a.files[f.Name] = f
		if root, ok := strings.CutSuffix(f.Name, "data.pkl"); ok && strings.Count(f.Name, "/") <= 1 {
			if a.found {
				return nil, errors.New("it holds two data.pkl")
			}
			a.root, a.found = root, true
		}
	}
	if !a.found {
		return nil, errors.New("it is an archive without data.pkl, so torch.save did not write it")
	}
	if a.files[a.root+"constants.pkl"] != nil {
		return nil, errors.New("it is a TorchScript program; give the state dict it was made from")
	}
	if order, err := a.record(a.root + "byteorder"); err == nil && string(order) != "little" {
		return nil, fmt.Errorf("the byte order %.20q is not supported; little is", order)
	}
	pickle, err := a.record(a.root + "data.pkl")
	if err != nil {
		return nil, err
	}
	if len(pickle) > maxPickle {
		return nil, fmt.Errorf("data.pkl has %d bytes, at most %d are allowed", len(pickle), maxPickle)
	}
	m := &machine{in: pickle, archive: a, memo: map[uint32]any{}, storages: map[string]*storage{}}
	top, err := m.run()
	if err != nil {
		return nil, fmt.Errorf("data.pkl, byte %d: %w", m.at, err)
	}
	return collect(top)
}

// archive is the directory of the records of a file.
type archive struct {
	data  []byte
	files map[string]*zip.File
	root  string // common prefix of the names
	found bool
}

// record is a view of a record. It must not be compressed: torch never compresses,
// and so no record can be longer than the file.
func (a *archive) record(name string) ([]byte, error) {
	f := a.files[name]
	if f == nil {
		return nil, fmt.Errorf("the record %q is missing", name)
	}
	if f.Method != zip.Store || f.Flags&1 != 0 || f.CompressedSize64 != f.UncompressedSize64 {
		return nil, fmt.Errorf("the record %q is compressed or encrypted, which torch.save never does; save the model again", name)
	}
	at, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("the record %q: %w", name, err)
	}
	if size := uint64(len(a.data)); at < 0 || uint64(at) > size || f.UncompressedSize64 > size-uint64(at) {
		return nil, fmt.Errorf("the record %q has %d bytes at offset %d, but the file has %d", name, f.UncompressedSize64, at, size)
	}
	n := f.UncompressedSize64
	return a.data[at:][:n:n], nil
}

// wrappers are the keys under which training scripts store the state dict.
var wrappers = []string{"model", "state_dict", "module", "model_state_dict"}

// collect takes the tensors of a state dict, or of the state dict nested in
// another dict. Other values, such as an epoch counter, are ignored.
func collect(top any) (*File, error) {
	d, ok := top.(*dict)
	if !ok {
		return nil, fmt.Errorf("it holds %s, not a dict of tensors", kind(top))
	}
	f := &File{tensors: map[string]*tensor{}}
	for _, key := range append([]string{""}, wrappers...) {
		inner := d
		if key != "" {
			if inner, ok = d.values[key].(*dict); !ok {
				continue
			}
		}
		for _, k := range inner.keys {
			name, isName := k.(string)
			t, isTensor := inner.values[k].(*tensor)
			if isName && isTensor {
				f.names = append(f.names, name)
				f.tensors[name] = t
			}
		}
		if len(f.names) > 0 {
			return f, nil
		}
	}
	return nil, errors.New("it holds no tensors by name; save model.state_dict()")
}

// Names lists the tensors in the order of the file.
func (f *File) Names() []string { return append([]string(nil), f.names...) }

// Shape is type and shape of a tensor, without reading it.
func (f *File) Shape(name string) (dtype string, shape []int, ok bool) {
	t, ok := f.tensors[name]
	if !ok {
		return "", nil, false
	}
	return t.dtype, t.shape, true
}

// View is the bytes of a tensor in the file; false if they are not contiguous in
// row-major order.
func (f *File) View(name string) ([]byte, bool) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, false
	}
	return t.view()
}

// Same reports whether two names share one tensor, as tied weights do.
func (f *File) Same(a, b string) bool {
	s, t := f.tensors[a], f.tensors[b]
	return s != nil && t != nil && s.storage == t.storage && s.offset == t.offset &&
		fmt.Sprint(s.shape, s.stride) == fmt.Sprint(t.shape, t.stride)
}

// Tensor returns a tensor by name: a view of the file if it is contiguous in
// row-major order, else a copy.
func (f *File) Tensor(name string) (safetensors.Tensor, bool) {
	t, ok := f.tensors[name]
	if !ok {
		return safetensors.Tensor{}, false
	}
	return safetensors.Tensor{Name: name, DType: t.dtype, Shape: t.shape, Data: t.bytes()}, true
}

// Close unmaps the file. No tensor may be used afterwards.
func (f *File) Close() {
	if f.unmap != nil {
		f.unmap() // an munmap error is not actionable
	}
	f.names, f.tensors, f.unmap = nil, nil, nil
}

// elems is the number of elements.
func (t *tensor) elems() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// view is the part of the storage with the elements, if they are contiguous.
func (t *tensor) view() ([]byte, bool) {
	n, step := t.elems(), 1
	for i := len(t.shape) - 1; i >= 0 && n > 0; i-- {
		if t.shape[i] > 1 && t.stride[i] != step {
			return nil, false
		}
		step *= t.shape[i]
	}
	return t.data[t.offset*t.elem:][: n*t.elem : n*t.elem], true
}

// bytes copies the elements in row-major order.
func (t *tensor) bytes() []byte {
	if view, ok := t.view(); ok {
		return view
	}
	out := make([]byte, 0, t.elems()*t.elem)
	index := make([]int, len(t.shape))
	at := t.offset
	for {
		out = append(out, t.data[at*t.elem:][:t.elem]...)
		i := len(index) - 1
		for ; i >= 0; i-- {
			index[i]++
			at += t.stride[i]
			if index[i] < t.shape[i] {
				break
			}
			at -= index[i] * t.stride[i]
			index[i] = 0
		}
		if i < 0 {
			return out
		}
	}
}
