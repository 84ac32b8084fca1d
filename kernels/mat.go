// Package kernels holds the operations a trainer is made of, each with a fast
// form and a plain Go twin that is obviously right. They are methods of Context;
// outputs come first, inputs next, scalars last. A shape that does not fit
// panics with all shapes. The package knows nothing of graphs, models or files.
//
// Denormal numbers are computed like others, since all instruction sets and the
// plain code must agree: no kernel flushes them or changes the processor's mode.
// Where they would arise by themselves and then be multiplied, there are none:
// exponentials of a softmax below 2^-125 are zero.
package kernels

import (
	"fmt"
	"runtime"
	"unsafe"
)

// The vectors of signatures. On the CPU they are slices.
type (
	Vec   = []float32
	Ints  = []int32  // token ids, row numbers, positions
	Seeds = []uint64 // of dropout masks, one a row
)

// Mat is a row-major view of f32: element (i, j) is Data[i*Stride+j].
type Mat struct {
	Data       []float32
	Rows, Cols int
	Stride     int
}

// NewMat allocates a matrix of zeros.
func NewMat(rows, cols int) Mat {
	return Mat{make([]float32, rows*cols), rows, cols, cols}
}

// MatOf views a slice of rows·cols values.
func MatOf(data []float32, rows, cols int) Mat {
	if len(data) < rows*cols {
		panic(fmt.Sprintf("kernels: %d values for a %dx%d matrix", len(data), rows, cols))
	}
	return Mat{data[:rows*cols], rows, cols, cols}
}

// Row is row i.
func (m Mat) Row(i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// Slice is the rows [from, to).
func (m Mat) Slice(from, to int) Mat {
	if from == to {
		return Mat{Cols: m.Cols, Stride: m.Stride}
	}
	return Mat{m.Data[from*m.Stride : (to-1)*m.Stride+m.Cols], to - from, m.Cols, m.Stride}
}

// Columns is the columns [from, to).
func (m Mat) Columns(from, to int) Mat {
	if m.Rows == 0 {
		return Mat{Cols: to - from, Stride: m.Stride}
	}
	return Mat{m.Data[from : (m.Rows-1)*m.Stride+to], m.Rows, to - from, m.Stride}
}

// Empty reports whether there is no matrix: an output that is not wanted, say.
func (m Mat) Empty() bool { return m.Data == nil }

// Weight views the matrix as the weight of a linear; its rows must be contiguous.
func (m Mat) Weight() Weight {
	if m.Rows > 1 && m.Stride != m.Cols {
		panic("kernels: a weight has no gaps between its rows")
	}
	return m.view()
}

// view is the matrix as a weight for products of few rows, which may have gaps.
func (m Mat) view() Weight {
	w := Weight{Rows: m.Rows, Cols: m.Cols, DType: F32}
	if m.Stride != m.Cols {
		w.stride = 4 * m.Stride
	}
	if len(m.Data) > 0 {
		w.ptr = unsafe.Pointer(&m.Data[0])
	}
	return w
}

func (m Mat) String() string { return fmt.Sprintf("%dx%d", m.Rows, m.Cols) }

// DType is how the elements of a weight are stored.
type DType uint8

// The stored types; quant.go has the layout of those with blocks, int8.go that
// of I8.
const (
	F32 DType = iota
	F16
	BF16
	Q8_0
	Q4_0
	Q4_1
	Q4_K
	Q6_K
	I8
)

func (d DType) String() string {
	return [...]string{"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K", "I8"}[d]
}

// DTypeNamed is the type that files call name, false if weights are not read in
// it. I8 is not: it is computed when weights are loaded, with scales of its own.
func DTypeNamed(name string) (d DType, ok bool) {
	for d := F32; d < I8; d++ {
		if d.String() == name {
			return d, true
		}
	}
	return 0, false
}

// InBlocks reports whether numbers of a type share a scale, so that they can
// be neither split nor stored elsewhere as they are.
func (d DType) InBlocks() bool { return d >= Q8_0 && d < I8 }

// Size is the number of bytes of one element; it panics for types stored in
// blocks.
func (d DType) Size() int {
	switch d {
	case F32:
		return 4
	case F16, BF16:
		return 2
	case I8:
		return 1
	}
	panic("kernels: elements of " + d.String() + " share their bytes")
}

// Weight is the matrix of a linear, [out, in] row-major, in the type of its file;
// it is read in place and converted panel by panel. There are gaps between the rows
// of a part alone.
type Weight struct {
	Rows, Cols int
	DType      DType
	ptr        unsafe.Pointer
	stride     int                     // bytes between rows; 0: those of a row
	keep       []byte                  // keeps a copy alive
	pairs      int                     // see Paired
	scale      []float32               // I8: of each row
	read       func(dst []byte, i int) // see ReadBy
}

// ReadBy is the same matrix for Embed alone, which calls read to copy row i, as
// it is stored, to dst: the matrix itself need not be in memory. Several threads
// call read at once.
func (w Weight) ReadBy(read func(dst []byte, i int)) Weight {
	check(w.pairs == 0 && w.DType != I8, "rows that are read", w)
	w.read = read
	return w
}

// WeightFromBytes views little-endian elements, as mapped from a checkpoint.
// Where the machine loads from any address, they may be at any (those of a
// protobuf file are); elsewhere, bytes not aligned to their elements are copied.
func WeightFromBytes(b []byte, d DType, rows, cols int) (Weight, error) {
	elems, bytes := d.block()
	n := len(b) / bytes // blocks
	if d == I8 || rows < 0 || cols < 0 || cols%elems != 0 || len(b)%bytes != 0 || (rows == 0 || cols == 0) && n != 0 ||
		rows > 0 && cols > 0 && (n%rows != 0 || n/rows != cols/elems) { // rows·cols may overflow
		return Weight{}, fmt.Errorf("%d bytes for a %dx%d matrix of %s", len(b), rows, cols, d)
	}
	w := Weight{Rows: rows, Cols: cols, DType: d, keep: b}
	if len(b) == 0 {
		return w, nil
	}
	w.ptr = unsafe.Pointer(&b[0])
	if !anyAddress && !d.Quantised() && uintptr(w.ptr)%uintptr(bytes) != 0 {
		words := make([]uint64, (len(b)+7)/8)
		c := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(b))
		copy(c, b)
		w.ptr, w.keep = unsafe.Pointer(&words[0]), c
	}
	return w, nil
}

// Stored is the memory of the weight.
func (w Weight) Stored() []byte { return w.keep }

// Bytes are the elements as they are stored, one after the other; false where
// they share their bytes, or rows are in another order.
func (w Weight) Bytes() ([]byte, bool) {
	if w.DType.Quantised() || w.DType == I8 || w.pairs > 0 || w.stride > 0 {
		return nil, false
	}
	if w.ptr == nil {
		return nil, true
	}
	return unsafe.Slice((*byte)(w.ptr), w.Rows*w.Cols*w.DType.Size()), true
}

// anyAddress reports whether plain and vector loads may be unaligned.
const anyAddress = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// Paired is the same matrix stored with the rows of each head in another
// order: those the rotary embedding rotates together are adjacent, 2j and
// 2j+1, instead of half a head apart, j and j+headDim/2 (Meta's and GGUF's
// order of wq and wk).
func (w Weight) Paired(headDim int) Weight {
	check(headDim > 0 && headDim%2 == 0 && w.Rows%headDim == 0, "rows in pairs", w, headDim)
	w.pairs = headDim
	return w
}

// rowBytes is the row stride.
func (w Weight) rowBytes() int {
	if w.stride > 0 {
		return w.stride
	}
	if w.DType == I8 {
		return int8Stride(w.Cols)
	}
	return w.DType.RowBytes(w.Cols)
}

// Part is rows r0 to r1 and columns c0 to c1, in the memory of the whole. Columns
// begin and end with the blocks of the type, rows in rotary pairs with heads; there
// are no parts of I8. Stored stays the memory of the whole.
func (w Weight) Part(r0, r1, c0, c1 int) Weight {
	elems, bytes := w.DType.block()
	heads := max(w.pairs, 1)
	check(w.DType != I8 && 0 <= r0 && r0 <= r1 && r1 <= w.Rows && 0 <= c0 && c0 <= c1 && c1 <= w.Cols &&
		c0%elems == 0 && c1%elems == 0 && r0%heads == 0 && r1%heads == 0 && (w.read == nil || c1-c0 == w.Cols), "part", w, r0, r1, c0, c1)
	p := w
	p.stride = w.rowBytes()
	p.Rows, p.Cols = r1-r0, c1-c0
	if w.ptr != nil {
		p.ptr = unsafe.Add(w.ptr, r0*p.stride+c0/elems*bytes)
	}
	if w.read != nil {
		p.read = func(dst []byte, i int) { w.read(dst, r0+i) }
	}
	if p.Cols == w.Cols {
		p.stride = w.stride
	}
	return p
}

// slice is the rows [from, to) of a weight whose rows are in their order.
func (w Weight) slice(from, to int) Weight {
	if w.pairs > 0 {
		panic("kernels: rows in rotary pairs are not sliced")
	}
	s := w
	s.ptr, s.Rows = w.rowAt(from), to-from
	if w.scale != nil {
		s.scale = w.scale[from:to]
	}
	return s
}

// rowAt is the address of row i.
func (w Weight) rowAt(i int) unsafe.Pointer {
	if w.pairs > 0 {
		r := i % w.pairs
		i += 2*(r%(w.pairs/2)) + r/(w.pairs/2) - r
	}
	return unsafe.Add(w.ptr, i*w.rowBytes())
}

// at is the address of element (i, j), which has bytes of its own.
func (w Weight) at(i, j int) unsafe.Pointer {
	return unsafe.Add(w.rowAt(i), j*w.DType.Size())
}

// Float32s returns the elements converted.
func (w Weight) Float32s() []float32 {
	out := make([]float32, w.Rows*w.Cols)
	if len(out) == 0 {
		return out
	}
	for i := 0; i < w.Rows; i++ {
		w.row(out[i*w.Cols:(i+1)*w.Cols], i, 0)
	}
	return out
}

// Row converts row i.
func (w Weight) Row(dst []float32, i int) { w.row(dst[:w.Cols], i, 0) }

// row converts len(dst) elements of row i from column j on.
func (w Weight) row(dst []float32, i, j int) {
	if len(dst) == 0 {
		return
	}
	if w.DType.Quantised() {
		w.DType.span(dst, w.rowAt(i), j)
		return
	}
	p := w.at(i, j)
	switch w.DType {
	case F32:
		copy(dst, unsafe.Slice((*float32)(p), len(dst)))
	case F16:
		cvtF16(dst, unsafe.Slice((*uint16)(p), len(dst)))
	case I8:
		for k, q := range unsafe.Slice((*int8)(p), len(dst)) {
			dst[k] = w.scale[i] * float32(q)
		}
	default:
		cvtBF16(dst, unsafe.Slice((*uint16)(p), len(dst)))
	}
}

func (w Weight) String() string { return fmt.Sprintf("%s %dx%d", w.DType, w.Rows, w.Cols) }

// check panics with what was expected and given; a wrong shape is a bug
// of the program, not a fault of its input.
func check(ok bool, op string, shapes ...any) {
	if !ok {
		panic(fmt.Sprintf("kernels: %s: shapes do not fit: %v", op, shapes))
	}
}
