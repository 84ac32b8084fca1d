// Package ascend holds the operations a trainer is made of for Ascend NPUs: the
// same names and arguments as package kernels, on tensors in device memory. A
// method queues the launch of a kernel of csrc and returns; Scalar.Value waits.
// A shape that does not fit panics, and so does a fault of the device, with the
// error that Device gives. The package knows nothing of ACL, graphs or files.
package ascend

import (
	"fmt"

	"lorac/kernels"
)

// Ptr is an address of device memory, 0 for none.
type Ptr = uint64

// DType is an element type.
type DType uint8

// The element types of matrices. BF16 and F16 are what the cube multiplies; sums
// are F32.
const (
	F32 DType = iota
	F16
	BF16
)

// Size is the number of bytes of an element.
func (d DType) Size() int {
	if d == F32 {
		return 4
	}
	return 2
}

func (d DType) String() string { return [...]string{"f32", "f16", "bf16"}[d] }

// Mat is a row-major matrix in device memory, without gaps between its rows.
type Mat struct {
	At         Ptr
	Rows, Cols int
	DType      DType
}

// Weight is a matrix that a linear multiplies with.
type Weight = Mat

// MatAt is the matrix at an address.
func MatAt(at Ptr, rows, cols int, d DType) Mat { return Mat{at, rows, cols, d} }

// Weight is the matrix itself: on the CPU it is another type.
func (m Mat) Weight() Weight { return m }

// Empty reports whether there is no matrix: an output that is not wanted, say.
func (m Mat) Empty() bool { return m.At == 0 }

// Bytes is the size of the matrix.
func (m Mat) Bytes() int { return m.Rows * m.Cols * m.DType.Size() }

func (m Mat) String() string { return fmt.Sprintf("%s %dx%d", m.DType, m.Rows, m.Cols) }

// Vec is a vector of f32 in device memory.
type Vec struct {
	At Ptr
	N  int
}

// VecAt is the vector at an address.
func VecAt(at Ptr, n int) Vec { return Vec{at, n} }

// IntList is a vector of integers in device memory; nil in place of one means none.
type IntList struct {
	At Ptr
	N  int
}

// The vectors of integers. Of the starts of N sequences there are N+1: the last is
// the number of tokens.
type (
	Ints  = *IntList // i32: token ids, row numbers, positions
	Seeds = *IntList // i64: of dropout masks, one a row
)

// IntsAt and SeedsAt are the integers at an address.
func IntsAt(at Ptr, n int) Ints   { return &IntList{at, n} }
func SeedsAt(at Ptr, n int) Seeds { return &IntList{at, n} }

// at is the address of integers that may be missing.
func at(x *IntList) Ptr {
	if x == nil {
		return 0
	}
	return x.At
}

// count is their number.
func count(x *IntList) int {
	if x == nil {
		return 0
	}
	return x.N
}

// Scalar is a number in device memory, or one that is known.
type Scalar struct {
	c      *Context
	at     Ptr
	number int // of the context's scalars, from 1; 0 for memory of the caller
	known  float64
}

// Number is a known number.
func Number(x float64) Scalar { return Scalar{known: x} }

// Value waits for the device and gives the number.
func (s Scalar) Value() float64 {
	if s.at == 0 {
		return s.known
	}
	return float64(s.c.number(s))
}

// RopeSpec says which angles a rotary table holds.
type RopeSpec = kernels.RopeSpec

// check panics when shapes do not fit.
func check(ok bool, op string, shapes ...any) {
	if !ok {
		panic(fmt.Sprintf("BUG: ascend: %s: shapes do not fit: %v", op, shapes))
	}
}
