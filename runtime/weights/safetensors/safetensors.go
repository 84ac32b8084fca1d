// Package safetensors reads and writes the safetensors container: a header of
// JSON that names tensors, and their bytes, little-endian and row by row. Files
// are mapped, not copied, and nothing a header claims is believed before it is
// checked. The package must not know what tensors mean, which model they belong
// to, or how they are used.
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
	Data  []byte // shared with the file: read only, valid until it is closed
}

// File is a container, open for reading by any number of goroutines.
type File struct {
	Path     string
	Metadata map[string]string
	tensors  map[string]Tensor
	unmap    func() error
}

// Open maps a file and checks all of it that is not data: what the header
// claims must fit the file, every byte must belong to exactly one tensor.
// The file must not be shortened while it is open.
func Open(path string) (*File, error) {
	m, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	if len(m.Data) < 8 {
		m.Close()
		return nil, fmt.Errorf("%s is no safetensors file: it has %d bytes", path, len(m.Data))
	}
	f, err := Parse(m.Data)
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("%s is no valid safetensors file: %w; fetch or write it again", path, err)
	}
	f.Path, f.unmap = path, m.Close
	return f, nil
}

// Parse reads a container that lies in memory. Its tensors share that memory.
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
