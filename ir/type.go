package ir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DType is the element type of a tensor.
type DType uint8

// The element types. I64 holds the 64-bit keys random masks are drawn from;
// those from Q8_0 on are stored in blocks of a row, for frozen weights.
const (
	F32 DType = iota + 1
	F16
	BF16
	I32
	I64
	Q8_0
	Q4_0
	Q4_1
	Q4_K
	Q6_K
	I8 // bytes with a scale a row, as frozen weights are multiplied with `compute: int8`
)

var dtypeNames = map[DType]string{F32: "f32", F16: "f16", BF16: "bf16", I32: "i32", I64: "i64",
	Q8_0: "q8_0", Q4_0: "q4_0", Q4_1: "q4_1", Q4_K: "q4_k", Q6_K: "q6_k", I8: "i8"}

func (d DType) String() string { return dtypeNames[d] }

// Block is how many elements of a row are stored together, and in how many
// bytes (ggml-common.h): 1 and its size where elements do not share bytes.
func (d DType) Block() (elems, bytes int) {
	switch d {
	case Q8_0:
		return 32, 34
	case Q4_0:
		return 32, 18
	case Q4_1:
		return 32, 20
	case Q4_K:
		return 256, 144
	case Q6_K:
		return 256, 210
	}
	return 1, d.Size()
}

// Quantised reports whether elements share the bytes of a block.
func (d DType) Quantised() bool { return d >= Q8_0 && d <= Q6_K }

// Size is the number of bytes of one element, of those that have some.
func (d DType) Size() int {
	switch d {
	case I8:
		return 1
	case F16, BF16:
		return 2
	case I64:
		return 8
	}
	return 4
}

// Float reports whether d holds real numbers, so that it can carry a gradient.
func (d DType) Float() bool { return d == F32 || d == F16 || d == BF16 || d == I8 || d.Quantised() }

// ParseDType returns the element type that prints as s.
func ParseDType(s string) (DType, bool) {
	for d, n := range dtypeNames {
		if n == s {
			return d, true
		}
	}
	return 0, false
}

// UnmarshalText reads a type as it prints.
func (d *DType) UnmarshalText(text []byte) error {
	t, ok := ParseDType(string(text))
	if !ok {
		return fmt.Errorf("no element type %q", text)
	}
	*d = t
	return nil
}

// Dim is one extent of a shape: a symbol declared by the module, or a number. A
// number may carry its role, the name of a size the module declares, so that 32
// layers and 32 heads are never taken for each other.
type Dim struct {
	Sym   string // "" for a number
	N     int    // used when Sym is ""; of a dimension that is cut, what one rank has
	Name  string // the size a number is; "" for a bare number
	By    string // the axis of the mesh that cuts it, "" for none
	Parts int    // the ranks of that axis
}

// N returns a constant extent without a role.
func N(n int) Dim { return Dim{N: n} }

// Same reports whether two extents are equal. A bare number equals any size of
// that number; two sizes are the same only by name.
func (d Dim) Same(e Dim) bool {
	return d.Sym == e.Sym && d.N == e.N && d.By == e.By && (d.Name == e.Name || d.Name == "" || e.Name == "")
}

// Sym returns a symbolic extent.
func Sym(name string) Dim { return Dim{Sym: name} }

func (d Dim) String() string {
	if d.Sym != "" && d.By != "" {
		return d.Sym + "/" + d.By
	}
	if d.Sym != "" {
		return d.Sym
	}
	by := ""
	if d.By != "" {
		d, by = d.Whole(), "/"+d.By
	}
	if d.Name != "" {
		return d.Name + by
	}
	return strconv.Itoa(d.N) + by
}

// Range is an inclusive range of layer indices, counted down when Lo > Hi.
type Range struct{ Lo, Hi int }

func (r Range) String() string {
	if r.Lo == r.Hi {
		return fmt.Sprintf("[%d]", r.Lo)
	}
	return fmt.Sprintf("[%d..%d]", r.Lo, r.Hi)
}

// Len is the number of layers in the range.
func (r Range) Len() int { return max(r.Hi-r.Lo, r.Lo-r.Hi) + 1 }

// Reversed is the same layers in the opposite order.
func (r Range) Reversed() Range { return Range{r.Hi, r.Lo} }

// Contains reports whether layer i lies in the range.
func (r Range) Contains(i int) bool { return min(r.Lo, r.Hi) <= i && i <= max(r.Lo, r.Hi) }

// Each calls f for every index, in order.
func (r Range) Each(f func(i int)) {
	step := 1
	if r.Lo > r.Hi {
		step = -1
	}
	for i := r.Lo; ; i += step {
		f(i)
		if i == r.Hi {
			return
		}
	}
}

// Type is a tensor type, or the handle of what a repeated function kept.
// A scalar is a tensor of no dimensions.
type Type struct {
	DType DType
	Shape []Dim
	Kept  *Kept  // set for a handle only
	Over  []Over // axes of the mesh over which it is partial
}

// Kept is the type of the handle a repeat returns after its values: for each
// layer of Range, the tensors in Func's keep list.
type Kept struct {
	Func  string
	Range Range
}

// Tensor builds a tensor type.
func Tensor(d DType, shape ...Dim) Type { return Type{DType: d, Shape: shape} }

// Scalar is a tensor type of no dimensions.
func Scalar(d DType) Type { return Type{DType: d} }

func (t Type) String() string {
	if t.Kept != nil {
		return "kept " + t.Kept.Func + t.Kept.Range.String()
	}
	var b strings.Builder
	b.WriteString(t.DType.String())
	b.WriteByte('[')
	for i, d := range t.Shape {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.String())
	}
	b.WriteByte(']')
	for i, o := range t.Over {
		switch {
		case i > 0 && t.Over[i-1].How == o.How:
			b.WriteString("," + o.Axis)
		default:
			b.WriteString(" " + hows[o.How] + "(" + o.Axis)
		}
		if i+1 == len(t.Over) || t.Over[i+1].How != o.How {
			b.WriteByte(')')
		}
	}
	return b.String()
}

// Equal reports whether two types are the same, extents by Dim.Same. Whether
// they are partial is another question (Type.On).
func (t Type) Equal(u Type) bool {
	if t.Kept != nil || u.Kept != nil {
		return t.String() == u.String()
	}
	return t.DType == u.DType && slices.EqualFunc(t.Shape, u.Shape, Dim.Same)
}

// narrow reports whether real numbers are stored in 16 bits.
func (t Type) narrow() bool { return t.Kept == nil && (t.DType == F16 || t.DType == BF16) }

// Rank is the number of dimensions.
func (t Type) Rank() int { return len(t.Shape) }

// With returns the type with dimension i replaced.
func (t Type) With(i int, d Dim) Type {
	shape := append([]Dim(nil), t.Shape...)
	shape[i] = d
	return Type{DType: t.DType, Shape: shape}
}

// Elems is the number of elements under the given extents of the symbols.
func (t Type) Elems(env Env) int {
	n := 1
	for _, d := range t.Shape {
		n *= env.Size(d)
	}
	return n
}

// Bytes is the storage of the tensor under the given extents of the symbols.
func (t Type) Bytes(env Env) int {
	if t.DType == I8 { // rows of whole groups of four, and their scales, as kernels.Int8 makes them
		n := env.Size(t.Shape[len(t.Shape)-1])
		return t.Elems(env) / n * ((n+3)&^3 + 4)
	}
	elems, bytes := t.DType.Block()
	return t.Elems(env) / elems * bytes
}

// Env gives the symbolic dimensions a size; that of one that is cut by its text (T/model),
// or it is that of the rank which has most.
type Env map[string]int

// Size is the extent of d; an undeclared symbol is a fault of the caller.
func (e Env) Size(d Dim) int {
	if d.Sym == "" {
		return d.N
	}
	if d.By != "" {
		if n, ok := e[d.String()]; ok {
			return n
		}
		return (e.Size(Sym(d.Sym)) + d.Parts - 1) / d.Parts
	}
	n, ok := e[d.Sym]
	if !ok {
		panic("BUG: ir: dimension " + d.Sym + " has no size")
	}
	return n
}
