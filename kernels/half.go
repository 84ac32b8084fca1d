package kernels

import (
	"math"
	"unsafe"

	"lorac/kernels/simd"
)

// Round: y = x rounded to the nearest number of type d (F16 or BF16), ties to
// even; what would overflow becomes the largest finite number. y may be x.
func (c *Context) Round(y, x Mat, d DType) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && d != F32, "round", y, x, d)
	c.rowTasks(y.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			round(y.Row(i), nil, x.Row(i), d)
		}
	})
}

// Narrow: y = x in the type of y, rounded as Round does.
func (c *Context) Narrow(y Weight, x Mat) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && y.DType != F32, "narrow", y, x)
	c.rowTasks(x.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			round(nil, y.halves(i), x.Row(i), y.DType)
		}
	})
}

// Widen: y = x as f32.
func (c *Context) Widen(y Mat, x Weight) {
	check(y.Rows == x.Rows && y.Cols == x.Cols, "widen", y, x)
	c.rowTasks(y.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			x.row(y.Row(i), i, 0)
		}
	})
}

// halves is row i of a matrix of half precision.
func (w Weight) halves(i int) []uint16 {
	if w.Cols == 0 {
		return nil
	}
	return unsafe.Slice((*uint16)(w.at(i, 0)), w.Cols)
}

// round converts x to half precision and writes the bits to h, or where that is
// nil the numbers to y.
func round(y []float32, h []uint16, x []float32, d DType) {
	if len(x) == 0 {
		return
	}
	if has512 && d == F16 && h != nil {
		simd.Narrow512F16((*byte)(unsafe.Pointer(&h[0])), &x[0], len(x))
		return
	}
	if has512 && d == F16 {
		simd.Round512F16(&y[0], &x[0], len(x))
		return
	}
	if has512 && h != nil {
		simd.Narrow512BF16((*byte)(unsafe.Pointer(&h[0])), &x[0], len(x))
		return
	}
	if has512 {
		simd.Round512BF16(&y[0], &x[0], len(x))
		return
	}
	done := eights(len(x))
	switch {
	case done == 0:
	case d == F16 && h != nil:
		simd.Narrow8F16((*byte)(unsafe.Pointer(&h[0])), &x[0], done)
	case d == F16:
		simd.Round8F16(&y[0], &x[0], done)
	case h != nil:
		simd.Narrow8BF16((*byte)(unsafe.Pointer(&h[0])), &x[0], done)
	default:
		simd.Round8BF16(&y[0], &x[0], done)
	}
	if h != nil {
		h = h[done:]
	} else {
		y = y[done:]
	}
	roundPlain(y, h, x[done:], d)
}

func roundPlain(y []float32, h []uint16, x []float32, d DType) {
	to, from := ToHalf, Half
	if d == BF16 {
		to, from = ToBFloat, BFloat
	}
	for i, v := range x {
		b := to(v)
		if h != nil {
			h[i] = b
		} else {
			y[i] = from(b)
		}
	}
}

// ToHalf converts f32 to the nearest IEEE 754 binary16, ties to even; what
// would overflow becomes the largest finite number, NaN stays NaN.
func ToHalf(f float32) uint16 {
	bits := math.Float32bits(f)
	sign, abs := uint16(bits>>16)&0x8000, bits&0x7FFFFFFF
	switch {
	case abs > 0x7F800000:
		return sign | 0x7E00
	case abs >= 0x477FE000: // 65504
		return sign | 0x7BFF
	case abs < 0x38800000: // below 2^-14: units of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*(1<<24)))
	}
	abs += 0xFFF + abs>>13&1
	return sign | uint16((abs-0x38000000)>>13)
}

// ToBFloat converts f32 to the nearest bfloat16, ties to even; what would
// overflow becomes the largest finite number, NaN stays NaN.
func ToBFloat(f float32) uint16 {
	bits := math.Float32bits(f)
	sign, abs := uint16(bits>>16)&0x8000, bits&0x7FFFFFFF
	switch {
	case abs > 0x7F800000:
		return sign | 0x7FC0
	case abs >= 0x7F7F0000:
		return sign | 0x7F7F
	}
	return sign | uint16((abs+0x7FFF+abs>>16&1)>>16)
}
