// Package torch reads and writes the files of torch.save (.pth, .pt, .bin): a zip
// archive with a pickle that says which tensors there are, and their bytes. A
// pickle is a program; the one here is never run but read by a machine that
// knows tensors, dicts and numbers and refuses everything else by its name (see
// machine.go). Files are mapped, and nothing they claim is believed before it
// is checked. The package must not know what tensors mean.
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

// Open maps a file and checks all of it but the bytes of its tensors.
func Open(path string) (*File, error) {
	m, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(m.Data)
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("%s is no torch file that can be read: %w", path, err)
	}
	f.Path, f.unmap = path, m.Close
	return f, nil
}

// Is reports whether a file that begins so was written by torch.save, in the
// present form or the old one, which Parse refuses.
func Is(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, legacy)
}

// legacy is how files without an archive begin: protocol 2, then torch's magic
// number 0x1950a86a20f9469cfc6c as a long of ten bytes.
var legacy = []byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")

// maxPickle is the longest list of tensors that is read. That of a model with
// a thousand tensors takes 200 kB.
const maxPickle = 16 << 20

// Parse reads a file that lies in memory, which its tensors share.
func Parse(data []byte) (*File, error) {
	switch {
	case bytes.HasPrefix(data, legacy):
		return nil, errors.New("it has the form of torch before 1.6, without an archive; load and save it again with a later torch")
	case len(data) > 0 && data[0] == 0x80:
		return nil, errors.New("it is a bare pickle, which may hold anything; save the state dict with torch.save")
	case len(data) > 262 && string(data[257:262]) == "ustar":
		return nil, errors.New("it is a tar archive, the form of torch before 0.1.10; load and save it again with a later torch")
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("as an archive: %w; was it fetched in full?", err)
	}
	a := &archive{data: data, files: map[string]*zip.File{}}
	for _, f := range z.File {
		if _, twice := a.files[f.Name]; twice {
			return nil, fmt.Errorf("it holds %q twice", f.Name)
		}
		a.files[f.Name] = f
		if root, ok := strings.CutSuffix(f.Name, "data.pkl"); ok && strings.Count(f.Name, "/") <= 1 {
			if a.found {
				return nil, errors.New("it holds two lists of tensors")
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
		return nil, fmt.Errorf("its byte order is %.20q; little is read", order)
	}
	pickle, err := a.record(a.root + "data.pkl")
	if err != nil {
		return nil, err
	}
	if len(pickle) > maxPickle {
		return nil, fmt.Errorf("its list of tensors has %d bytes, %d are read at most", len(pickle), maxPickle)
	}
	m := &machine{in: pickle, archive: a, memo: map[uint32]any{}, storages: map[string]*storage{}}
	top, err := m.run()
	if err != nil {
		return nil, fmt.Errorf("its list of tensors, byte %d: %w", m.at, err)
	}
	return collect(top)
}

// archive finds the records of a file.
type archive struct {
	data  []byte
	files map[string]*zip.File
	root  string // what names begin with
	found bool
}

// record is a view of a record, which must not be compressed: torch never
// does, and so no record can be longer than the file.
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
		return nil, fmt.Errorf("the record %q is said to have %d bytes at %d, the file has %d", name, f.UncompressedSize64, at, size)
	}
	n := f.UncompressedSize64
	return a.data[at:][:n:n], nil
}

// wrappers are the keys under which training scripts keep the state dict.
var wrappers = []string{"model", "state_dict", "module", "model_state_dict"}

// collect takes the tensors of a state dict, or of the one that lies in a dict
// of other things. What is no tensor beside them, such as a count of epochs, is
// left out.
func collect(top any) (*File, error) {
	d, ok := top.(*dict)
	if !ok {
		return nil, fmt.Errorf("it holds %s, a dict of tensors is due", kind(top))
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

// Shape is the type and shape of a tensor, without reading it.
func (f *File) Shape(name string) (dtype string, shape []int, ok bool) {
	t, ok := f.tensors[name]
	if !ok {
		return "", nil, false
	}
	return t.dtype, t.shape, true
}

// View is the tensor as it lies in the file; false if its elements do not lie
// there in order.
func (f *File) View(name string) ([]byte, bool) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, false
	}
	return t.view()
}

// Same reports whether two tensors are one, as those of tied weights are.
func (f *File) Same(a, b string) bool {
	s, t := f.tensors[a], f.tensors[b]
	return s != nil && t != nil && s.storage == t.storage && s.offset == t.offset &&
		fmt.Sprint(s.shape, s.stride) == fmt.Sprint(t.shape, t.stride)
}

// Tensor returns a tensor by name: a view of the file if its elements lie there
// in order, else a copy in order.
func (f *File) Tensor(name string) (safetensors.Tensor, bool) {
	t, ok := f.tensors[name]
	if !ok {
		return safetensors.Tensor{}, false
	}
	return safetensors.Tensor{Name: name, DType: t.dtype, Shape: t.shape, Data: t.bytes()}, true
}

// Close unmaps the file; no tensor may be used afterwards.
func (f *File) Close() {
	if f.unmap != nil {
		f.unmap() // unmapping cannot fail in a way anyone can act on
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

// view is the part of the storage that holds the elements in order.
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

// bytes gives the elements in the order of the shape.
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
