// Package safetensors reads and writes the safetensors container: a JSON header
// that names tensors, then their bytes, little-endian and in row-major order.
// Files are mapped, not copied, and every claim of a header is validated before
// it is used. The package must not know what tensors mean, which model they
// belong to, or how they are used.
//
// Format: github.com/huggingface/safetensors, README.md and
// safetensors/src/tensor.rs.
package safetensors

import (
	"fmt"
	"maps"
	"slices"

	"lorac/runtime/sys/mmap"
)

// Tensor is one entry of a container.
type Tensor struct {
	Name  string
	DType string // as the format spells it: F32, F16, BF16, …
	Shape []int  // empty for a scalar
	Data  []byte // read-only view of the file, valid until Close
}

// File is a container, open for reading by any number of goroutines.
type File struct {
	Path     string
	Metadata map[string]string
	tensors  map[string]Tensor
	unmap    func() error
}

// Open maps a file and validates its header: sizes must fit the file, and every
// byte of data must belong to exactly one tensor. The file must not be truncated
// while it is open.
func Open(path string) (*File, error) {
	return mmap.Parse(path, func(m *mmap.File) (*File, error) {
		if len(m.Data) < 8 {
			return nil, fmt.Errorf("%s is not a safetensors file: it has %d bytes", path, len(m.Data))
		}
		f, err := Parse(m.Data)
		if err != nil {
			return nil, fmt.Errorf("%s is not a valid safetensors file: %w; download or write it again", path, err)
		}
		f.Path, f.unmap = path, m.Close
		return f, nil
	})
}

// Parse reads a container in memory. Its tensors share that memory.
func Parse(data []byte) (*File, error) {
	tensors, metadata, err := parse(data)
	if err != nil {
		return nil, err
	}
	return &File{Metadata: metadata, tensors: tensors}, nil
}

// Names lists the tensors in alphabetical order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Tensor returns a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Close unmaps the file. No tensor of it may be used afterwards. A second call
// does nothing.
func (f *File) Close() error {
	unmap := f.unmap
	f.unmap, f.tensors = nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}
