// Package gguf reads and writes GGUF, the file format of llama.cpp: metadata by
// key, and named tensors, some of them block-quantised. Files are mapped, not
// copied, and every claim of a header is validated before it is used. The
// package must not know models, nor what a tensor is used for.
//
// Format: github.com/ggml-org/ggml, docs/gguf.md; block sizes, ggml-common.h.
package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"lorac/runtime/sys/mmap"
)

// Tensor is one tensor of a file.
type Tensor struct {
	Name  string
	Type  string // F32, F16, BF16, Q8_0, … ; see Types
	Shape []int  // slowest dimension first; the file stores the reverse order
	Data  []byte // read-only view of the file, valid until Close
}

// File is an open file.
type File struct {
	Path    string
	Meta    map[string]any // uint64, int64, float64, bool, string, or []any, []string of them
	Tensors []Tensor       // in the order of the file
	byName  map[string]int
	m       *mmap.File
}

// Type is an element type: Elems elements of a row are stored in a block of Bytes.
type Type struct {
	Name         string
	Code         uint32
	Elems, Bytes int // of a block
}

// Types are the types whose block size is known. Callers decide which of them
// they can compute with.
var Types = []Type{
	{"F32", 0, 1, 4}, {"F16", 1, 1, 2}, {"Q4_0", 2, 32, 18}, {"Q4_1", 3, 32, 20}, {"Q5_0", 6, 32, 22}, {"Q5_1", 7, 32, 24},
	{"Q8_0", 8, 32, 34}, {"Q8_1", 9, 32, 36}, {"Q2_K", 10, 256, 84}, {"Q3_K", 11, 256, 110}, {"Q4_K", 12, 256, 144},
	{"Q5_K", 13, 256, 176}, {"Q6_K", 14, 256, 210}, {"Q8_K", 15, 256, 292}, {"IQ4_NL", 20, 32, 18}, {"IQ4_XS", 23, 256, 136},
	{"I8", 24, 1, 1}, {"I16", 25, 1, 2}, {"I32", 26, 1, 4}, {"I64", 27, 1, 8}, {"F64", 28, 1, 8}, {"BF16", 30, 1, 2},
}

// TypeOf finds a type by its name.
func TypeOf(name string) (Type, bool) {
	i := slices.IndexFunc(Types, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return Types[i], true
}

// size is the number of bytes of a tensor, -1 if the shape is invalid for the type
// or the product overflows.
func (t Type) size(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt/8/d {
			return -1
		}
		n *= d
	}
	if len(shape) > 0 && shape[len(shape)-1]%t.Elems != 0 || n > math.MaxInt/512 {
		return -1
	}
	return n / t.Elems * t.Bytes
}

// Open maps a file and validates everything but the data.
func Open(path string) (*File, error) {
	return mmap.Parse(path, func(m *mmap.File) (*File, error) {
		f, err := Parse(m.Data)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s as GGUF: %w", path, err)
		}
		f.Path, f.m = path, m
		return f, nil
	})
}

// Close unmaps the file.
func (f *File) Close() {
	if f.m != nil {
		f.m.Close()
	}
}

// Tensor finds a tensor by its name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Int is an integer of the metadata, false if absent or not in [0, 2³¹−1).
func (f *File) Int(key string) (int, bool) {
	switch v := f.Meta[key].(type) {
	case uint64:
		return int(v), v < math.MaxInt32
	case int64:
		return int(v), v >= 0 && v < math.MaxInt32
	}
	return 0, false
}

const (
	maxName  = 64 // of a tensor (GGML_MAX_NAME)
	maxRank  = 4  // GGML_MAX_DIMS
	maxAlign = 1 << 16
	version  = 3
)

var errCut = errors.New("the file ends before its header does")

// Parse reads a file in memory; its tensors share that memory.
func Parse(data []byte) (*File, error) {
	if len(data) < 24 || string(data[:4]) != "GGUF" {
		return nil, errors.New("the file does not begin with GGUF")
	}
	r := &reader{data: data, at: 4}
	switch v := r.u32(); {
	case v>>16 != 0 && v&0xFFFF == 0:
		return nil, errors.New("the file is big-endian, which is not supported")
	case v != 2 && v != version:
		return nil, fmt.Errorf("version %d is not supported; 2 and 3 are", v)
	}
	tensors, keys := r.u64(), r.u64()
	if tensors > uint64(len(data))/32 || keys > uint64(len(data))/13 {
		return nil, fmt.Errorf("the header claims %d tensors and %d keys in %d bytes", tensors, keys, len(data))
	}
	f := &File{Meta: map[string]any{}, byName: map[string]int{}}
	for range keys {
		key := r.str()
		v := r.value(r.u32(), 0)
		if r.err != nil {
			return nil, fmt.Errorf("the value of %q: %w", key, r.err)
		}
		if _, twice := f.Meta[key]; twice {
			return nil, fmt.Errorf("the key %q is duplicated", key)
		}
		f.Meta[key] = v
	}
	align := uint64(32)
	if a, ok := f.Meta["general.alignment"]; ok {
		if align, ok = a.(uint64); !ok || align == 0 || align%8 != 0 || align > maxAlign {
			return nil, fmt.Errorf("the alignment %v is invalid", a)
		}
	}
	offsets := make([]uint64, 0, tensors)
	for range tensors {
		t, offset := r.tensor()
		if r.err != nil {
			return nil, r.err
		}
		if _, twice := f.byName[t.Name]; twice {
			return nil, fmt.Errorf("the tensor %q is duplicated", t.Name)
		}
		f.byName[t.Name] = len(f.Tensors)
		f.Tensors, offsets = append(f.Tensors, t), append(offsets, offset)
	}
	begin := (uint64(r.at) + align - 1) / align * align
	for i := range f.Tensors {
		t := &f.Tensors[i]
		ty, _ := TypeOf(t.Type)
		n, size := uint64(ty.size(t.Shape)), uint64(len(data))
		if offsets[i]%align != 0 || begin > size || offsets[i] > size-begin || n > size-begin-offsets[i] {
			return nil, fmt.Errorf("the tensor %q has %d bytes at data offset %d, but the file has %d bytes; is the download complete?", t.Name, n, offsets[i], size)
		}
		t.Data = data[begin+offsets[i]:][:n:n]
	}
	if err := disjoint(f.Tensors, offsets); err != nil {
		return nil, err
	}
	return f, nil
}

// disjoint rejects tensors that share bytes.
func disjoint(tensors []Tensor, offsets []uint64) error {
	order := make([]int, len(tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case offsets[a] != offsets[b]:
			return map[bool]int{true: -1, false: 1}[offsets[a] < offsets[b]]
		}
		return len(tensors[a].Data) - len(tensors[b].Data)
	})
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if offsets[a]+uint64(len(tensors[a].Data)) > offsets[b] {
			return fmt.Errorf("the tensors %q and %q overlap", tensors[a].Name, tensors[b].Name)
		}
	}
	return nil
}

// reader decodes the header. err keeps the first error.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.data)-r.at) {
		r.err = errCut
	}
	if r.err != nil {
		return make([]byte, min(n, 8))
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) str() string {
	n := r.u64()
	if r.err != nil {
		return ""
	}
	b := r.take(n)
	if r.err != nil {
		return ""
	}
	return string(b)
}

// scalars are the scalar value types by code: their size, and their decoder.
var scalars = map[uint32]struct {
	bytes uint64
	make  func(b []byte) any
}{
	0:  {1, func(b []byte) any { return uint64(b[0]) }},
	1:  {1, func(b []byte) any { return int64(int8(b[0])) }},
	2:  {2, func(b []byte) any { return uint64(binary.LittleEndian.Uint16(b)) }},
	3:  {2, func(b []byte) any { return int64(int16(binary.LittleEndian.Uint16(b))) }},
	4:  {4, func(b []byte) any { return uint64(binary.LittleEndian.Uint32(b)) }},
	5:  {4, func(b []byte) any { return int64(int32(binary.LittleEndian.Uint32(b))) }},
	6:  {4, func(b []byte) any { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }},
	7:  {1, func(b []byte) any { return b[0] != 0 }},
	10: {8, func(b []byte) any { return binary.LittleEndian.Uint64(b) }},
	11: {8, func(b []byte) any { return int64(binary.LittleEndian.Uint64(b)) }},
	12: {8, func(b []byte) any { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }},
}

const (
	codeString = 8
	codeArray  = 9
)

// value reads one value. Arrays may nest a few levels deep.
func (r *reader) value(code uint32, depth int) any {
	if s, ok := scalars[code]; ok {
		b := r.take(s.bytes)
		if r.err != nil {
			return nil
		}
		return s.make(b)
	}
	switch code {
	case codeString:
		return r.str()
	case codeArray:
		return r.array(depth)
	}
	r.err = fmt.Errorf("the value type %d is unknown", code)
	return nil
}

func (r *reader) array(depth int) any {
	code, n := r.u32(), r.u64()
	least := uint64(12) // bytes of an array
	if s, ok := scalars[code]; ok {
		least = s.bytes
	} else if code == codeString {
		least = 8
	}
	if r.err == nil && (n > uint64(len(r.data)-r.at)/least || depth > 2) {
		r.err = fmt.Errorf("an array of %d values exceeds the file or nests too deep", n)
	}
	if r.err != nil {
		return nil
	}
	if code == codeString {
		list := make([]string, 0, n)
		for range n {
			list = append(list, r.str())
		}
		return list
	}
	var list []any // grown by append: an element takes 16 times the memory of a byte of the file
	for range n {
		if list = append(list, r.value(code, depth+1)); r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) tensor() (Tensor, uint64) {
	t := Tensor{Name: r.str()}
	if len(t.Name) == 0 || len(t.Name) >= maxName {
		r.fail("a tensor's name has %d bytes", len(t.Name))
	}
	rank := r.u32()
	if rank > maxRank {
		r.fail("the tensor %q has %d dimensions", t.Name, rank)
	}
	if r.err != nil {
		return t, 0
	}
	for range rank {
		d := r.u64()
		if d > math.MaxInt32 {
			r.fail("the tensor %q has a dimension of %d", t.Name, d)
		}
		t.Shape = append([]int{int(d)}, t.Shape...)
	}
	code := r.u32()
	i := slices.IndexFunc(Types, func(t Type) bool { return t.Code == code })
	if i < 0 {
		r.fail("the tensor %q has the type %d, which is not known", t.Name, code)
		return t, 0
	}
	t.Type = Types[i].Name
	if Types[i].size(t.Shape) < 0 {
		r.fail("the tensor %q cannot have the shape %v in %s", t.Name, t.Shape, t.Type)
	}
	return t, r.u64()
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}
