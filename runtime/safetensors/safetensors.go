// Package safetensors reads and writes the safetensors container. A file is
// mapped, not copied; everything its header claims is checked before use.
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"sort"
	"syscall"
)

// Tensor is one entry; Data lies in the mapped file.
type Tensor struct {
	Name  string
	DType string // F32, F16, BF16, …
	Shape []int
	Data  []byte
}

// File is a mapped container.
type File struct {
	Path     string
	Metadata map[string]string
	tensors  map[string]Tensor
	mapping  []byte
}

// maxHeader is the longest header the format allows.
const maxHeader = 100_000_000

var sizes = map[string]int{"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8}

// Open maps a file and checks it whole: entries inside the file, without
// holes or overlap, sizes that fit their shapes.
func Open(path string) (*File, error) {
	fd, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	info, err := fd.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if info.Size() < 8 {
		return nil, fmt.Errorf("%s is no safetensors file: %d bytes are too few", path, info.Size())
	}
	m, err := syscall.Mmap(int(fd.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map %s: %w", path, err)
	}
	f, err := parse(m)
	if err != nil {
		syscall.Munmap(m)
		return nil, fmt.Errorf("%s is no good safetensors file: %w", path, err)
	}
	f.Path, f.mapping = path, m
	return f, nil
}

// Parse reads a container that lies in memory.
func Parse(data []byte) (*File, error) { return parse(data) }

func parse(m []byte) (*File, error) {
	if len(m) < 8 {
		return nil, errors.New("it is shorter than its length field")
	}
	n := binary.LittleEndian.Uint64(m)
	if n > maxHeader || n > uint64(len(m)-8) {
		return nil, fmt.Errorf("its header claims %d bytes, %d are there", n, len(m)-8)
	}
	header, data := m[8:8+n], m[8+n:]
	entries, meta, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	f := &File{Metadata: meta, tensors: map[string]Tensor{}}
	sort.Slice(entries, func(i, j int) bool {
		a, b := entries[i].Offsets, entries[j].Offsets
		return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
	})
	at := uint64(0)
	for _, e := range entries {
		b, end := e.Offsets[0], e.Offsets[1]
		if b != at || end < b || end > uint64(len(data)) {
			return nil, fmt.Errorf("tensor %q lies at [%d, %d) where %d was due, of %d bytes", e.name, b, end, at, len(data))
		}
		size, ok := sizes[e.DType]
		if !ok {
			return nil, fmt.Errorf("tensor %q has the unknown type %q", e.name, e.DType)
		}
		want, err := byteSize(e.Shape, size)
		if err != nil || want != end-b {
			return nil, fmt.Errorf("tensor %q: shape %v of %s does not take %d bytes", e.name, e.Shape, e.DType, end-b)
		}
		at = end
		f.tensors[e.name] = Tensor{e.name, e.DType, e.Shape, data[b:end:end]}
	}
	if at != uint64(len(data)) {
		return nil, fmt.Errorf("%d bytes behind the last tensor belong to none", uint64(len(data))-at)
	}
	return f, nil
}

type entry struct {
	name    string
	DType   string    `json:"dtype"`
	Shape   []int     `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

// parseHeader reads the JSON by tokens, since a map would hide duplicates.
func parseHeader(header []byte) ([]entry, map[string]string, error) {
	dec := json.NewDecoder(newTrimmed(header))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("its header is no JSON object")
	}
	var entries []entry
	var meta map[string]string
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("its header is no JSON: %w", err)
		}
		name, ok := t.(string)
		if !ok || seen[name] {
			return nil, nil, fmt.Errorf("its header names %v twice, or no name at all", t)
		}
		seen[name] = true
		if name == "__metadata__" {
			if err := dec.Decode(&meta); err != nil {
				return nil, nil, fmt.Errorf("its metadata is no map of strings: %w", err)
			}
			continue
		}
		e := entry{name: name}
		var raw struct {
			DType   *string  `json:"dtype"`
			Shape   *[]int   `json:"shape"`
			Offsets []uint64 `json:"data_offsets"`
		}
		if err := dec.Decode(&raw); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if raw.DType == nil || raw.Shape == nil || len(raw.Offsets) != 2 {
			return nil, nil, fmt.Errorf("tensor %q lacks dtype, shape or data_offsets", name)
		}
		e.DType, e.Shape, e.Offsets = *raw.DType, *raw.Shape, [2]uint64(raw.Offsets)
		entries = append(entries, e)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("its header is no JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, errors.New("something stands behind the JSON of its header")
	}
	return entries, meta, nil
}

// byteSize multiplies with overflow checked.
func byteSize(shape []int, size int) (uint64, error) {
	n := uint64(size)
	for _, d := range shape {
		if d < 0 {
			return 0, errors.New("negative dimension")
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 {
			return 0, errors.New("overflow")
		}
		n = lo
	}
	return n, nil
}

// Names lists the tensors in order.
func (f *File) Names() []string {
	out := make([]string, 0, len(f.tensors))
	for n := range f.tensors {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Tensor returns an entry by name.
func (f *File) Tensor(name string) (Tensor, bool) { t, ok := f.tensors[name]; return t, ok }

// Close unmaps the file; tensors must not be used afterwards.
func (f *File) Close() error {
	if f.mapping == nil {
		return nil
	}
	m := f.mapping
	f.mapping, f.tensors = nil, nil
	return syscall.Munmap(m)
}
