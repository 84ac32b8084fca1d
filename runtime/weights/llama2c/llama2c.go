// Package llama2c reads and writes the checkpoints of llama2.c: a header and the
// parameters in a fixed order, without names. Here they have the names of Meta's
// checkpoints, whose row order they share. Files are mapped and must have exactly
// the length that follows from their header. The package must not know what a
// tensor is used for.
//
// Format: karpathy/llama2.c export.py (legacy_export, version1_export,
// version2_export) and run.c.
package llama2c

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// Header is the model's shape. The base of the rotary embedding is always 10000,
// the epsilon of the norms 1e-5.
type Header struct {
	Version                                    int // 0 is the legacy format, 2 is int8 in groups
	Dim, Hidden, Layers, Heads, KVHeads, Vocab int
	SeqLen                                     int
	Shared                                     bool // the output head is tied to the embedding
	Group                                      int  // elements per scale, version 2
}

// File is an open file.
type File struct {
	Path string
	Header
	names  []string
	places map[string]place
	unmap  func() error
}

// place is the location of a tensor in the file.
type place struct {
	shape  []int
	data   []byte
	scales []byte // of version 2, nil for f32
}

const (
	magic      = 0x616b3432 // "ak42"
	headerSize = 256        // of versions 1 and 2
	legacySize = 28
	maxLayers  = 1 << 12
	maxSize    = 1 << 24 // of any number in the header
)

// Open maps a file.
func Open(path string) (*File, error) {
	return mmap.Parse(path, func(m *mmap.File) (*File, error) {
		f, err := Parse(m.Data)
		if err != nil {
			return nil, fmt.Errorf("%s is not a llama2.c checkpoint: %w", path, err)
		}
		f.Path, f.unmap = path, m.Close
		return f, nil
	})
}

// Is reports whether a file of the given size and first bytes is one. The legacy
// format has no magic number; the length that follows from its header must match.
func Is(head []byte, size int64) bool {
	h, err := parseHeader(head)
	if err != nil {
		return false
	}
	_, total := h.walk()
	return total == uint64(size)
}

// parseHeader reads the header and checks its numbers against each other.
func parseHeader(b []byte) (h Header, err error) {
	if len(b) < legacySize {
		return h, fmt.Errorf("the file has %d bytes", len(b))
	}
	num := func(i int) int { return int(int32(binary.LittleEndian.Uint32(b[4*i:]))) }
	first := 0
	if binary.LittleEndian.Uint32(b) == magic {
		if len(b) < headerSize {
			return h, fmt.Errorf("the header takes %d bytes, the file has %d", headerSize, len(b))
		}
		if h.Version = num(1); h.Version != 1 && h.Version != 2 {
			return h, fmt.Errorf("version %d is not supported; 1, 2 and the legacy format are", h.Version)
		}
		first = 2
	}
	h.Dim, h.Hidden, h.Layers, h.Heads, h.KVHeads = num(first), num(first+1), num(first+2), num(first+3), num(first+4)
	h.Vocab, h.SeqLen, h.Shared = num(first+5), num(first+6), true
	if h.Version == 0 && h.Vocab < 0 {
		h.Vocab, h.Shared = -h.Vocab, false
	}
	if h.Version > 0 {
		h.Shared = b[36] != 0
	}
	if h.Version == 2 {
		h.Group = int(int32(binary.LittleEndian.Uint32(b[37:])))
	}
	return h, h.check()
}

func (h Header) check() error {
	for _, n := range []int{h.Dim, h.Hidden, h.Layers, h.Heads, h.KVHeads, h.Vocab, h.SeqLen} {
		if n < 1 || n > maxSize {
			return errors.New("the first bytes are not the sizes of a model")
		}
	}
	switch {
	case h.Layers > maxLayers || h.Dim%h.Heads != 0 || h.Heads%h.KVHeads != 0 || h.Dim/h.Heads%2 != 0:
		return fmt.Errorf("%d layers of hidden size %d with %d heads and %d key/value heads are inconsistent", h.Layers, h.Dim, h.Heads, h.KVHeads)
	case h.Version == 2 && (h.Group < 1 || h.Dim%h.Group != 0): // each matrix has whole groups; they may cross its rows (export.py)
		return fmt.Errorf("matrices of a width of %d are not divisible into groups of %d", h.Dim, h.Group)
	}
	return nil
}

// HeadDim is the number of rows of a head.
func (h Header) HeadDim() int { return h.Dim / h.Heads }

// A part is a contiguous range of a file: a tensor by its Meta name, or a table
// of the rotary embedding, which has no name.
type part struct {
	name  string
	shape []int
	exact bool // f32 in version 2 too
	n     int  // elements
}

// walk lists the parts after the header, in order, and the length of the file.
func (h Header) walk() (parts []part, total uint64) {
	kv := h.HeadDim() * h.KVHeads
	total = headerSize
	if h.Version == 0 {
		total = legacySize
	}
	overflow := false
	add := func(name string, exact bool, shape ...int) {
		p := part{name: name, shape: shape, exact: exact, n: 1}
		for _, d := range shape {
			p.n *= d // at most 2^48
		}
		parts = append(parts, p)
		bytes := 4 * uint64(p.n)
		if h.Version == 2 && !exact {
			bytes = uint64(p.n) + 4*uint64(p.n/h.Group)
		}
		var carry uint64
		total, carry = bits.Add64(total, bytes, 0)
		overflow = overflow || carry != 0 || total > math.MaxInt64
	}
	layers := func(leaf string, exact bool, shape ...int) {
		for i := range h.Layers {
			add(fmt.Sprintf("layers.%d.%s.weight", i, leaf), exact, shape...)
		}
	}
	embedding := func() { add("tok_embeddings.weight", false, h.Vocab, h.Dim) }
	attention := func() {
		layers("attention.wq", false, h.Dim, h.Dim)
		layers("attention.wk", false, kv, h.Dim)
		layers("attention.wv", false, kv, h.Dim)
		layers("attention.wo", false, h.Dim, h.Dim)
	}
	feed := func() {
		layers("feed_forward.w1", false, h.Hidden, h.Dim)
		layers("feed_forward.w2", false, h.Dim, h.Hidden)
		layers("feed_forward.w3", false, h.Hidden, h.Dim)
	}
	if h.Version == 0 {
		embedding()
		layers("attention_norm", true, h.Dim)
		attention()
		layers("ffn_norm", true, h.Dim)
		feed()
		add("norm.weight", true, h.Dim)
		add("", true, h.SeqLen, h.HeadDim()/2) // cosines
		add("", true, h.SeqLen, h.HeadDim()/2) // sines
	} else {
		layers("attention_norm", true, h.Dim)
		layers("ffn_norm", true, h.Dim)
		add("norm.weight", true, h.Dim)
		embedding()
		attention()
		feed()
	}
	if !h.Shared {
		add("output.weight", false, h.Vocab, h.Dim)
	}
	if overflow {
		total = math.MaxUint64
	}
	return parts, total
}

// Parse reads a file in memory; its tensors share that memory.
func Parse(data []byte) (*File, error) {
	h, err := parseHeader(data)
	if err != nil {
		return nil, err
	}
	parts, total := h.walk()
	if total != uint64(len(data)) {
		return nil, fmt.Errorf("the header requires %d bytes, the file has %d; is the download complete?", total, len(data))
	}
	f := &File{Header: h, places: map[string]place{}}
	at := headerSize
	if h.Version == 0 {
		at = legacySize
	}
	for _, p := range parts {
		n := 4 * p.n
		if h.Version == 2 && !p.exact {
			n = p.n
		}
		pl := place{shape: p.shape, data: data[at:][:n:n]}
		if at += n; h.Version == 2 && !p.exact {
			n = 4 * (p.n / h.Group)
			pl.scales = data[at:][:n:n]
			at += n
		}
		if p.name != "" {
			f.places[p.name] = pl
			f.names = append(f.names, p.name)
		}
	}
	return f, nil
}

// Names lists the tensors in the order of the file.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Shape is the shape of a tensor.
func (f *File) Shape(name string) ([]int, bool) {
	p, ok := f.places[name]
	return p.shape, ok
}

// Tensor returns a tensor as F32, dequantised if it is stored in int8.
func (f *File) Tensor(name string) (safetensors.Tensor, bool) {
	p, ok := f.places[name]
	if !ok {
		return safetensors.Tensor{}, false
	}
	data := p.data
	if p.scales != nil {
		data = make([]byte, 0, 4*len(p.data))
		for i, q := range p.data {
			scale := math.Float32frombits(binary.LittleEndian.Uint32(p.scales[4*(i/f.Group):]))
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(int8(q))*scale))
		}
	}
	return safetensors.Tensor{Name: name, DType: "F32", Shape: p.shape, Data: data}, true
}

// Paired reports whether the rows of a tensor are in rotary pairs.
func Paired(name string) bool { return naming.SchemeMeta.Paired(name) }

// Close unmaps the file. No tensor may be used afterwards.
func (f *File) Close() {
	if f.unmap != nil {
		f.unmap() // an munmap error is not actionable
	}
	f.names, f.places, f.unmap = nil, nil, nil
}
