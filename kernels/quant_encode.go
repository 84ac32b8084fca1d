package kernels

import (
	"fmt"
	"math"
	"unsafe"
)

// CanQuantise reports whether Quantise writes rows of n elements as d.
func CanQuantise(d DType, n int) bool {
	return (d == Q8_0 || d == Q4_0 || d == Q4_1) && n%part == 0
}

// Quantise converts a matrix to blocks of d: Q8_0, Q4_0 or Q4_1. The numbers of
// a block are those next to x for its scale (and minimum), which in four bits
// is the one of some candidates with the least squared error. dst takes
// d.RowBytes(x.Cols) bytes a row; what is not finite is refused.
func Quantise(dst []byte, x Mat, d DType) error {
	check(CanQuantise(d, x.Cols) && len(dst) == x.Rows*d.RowBytes(x.Cols), "quantise", x, d, len(dst))
	bad := make([]bool, x.Rows)
	rowTasks(x.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			bad[i] = !quantiseRow(dst[i*d.RowBytes(x.Cols):], x.Row(i), d)
		}
	})
	for i, b := range bad {
		if b {
			return fmt.Errorf("row %d has an element that is not finite, or too large for %s", i, d)
		}
	}
	return nil
}

// quantiseRow reports whether the row could be written.
func quantiseRow(dst []byte, x []float32, d DType) bool {
	_, size := d.block()
	for i := 0; i < len(x); i += part {
		block := (*[part]float32)(x[i:])
		p := unsafe.Pointer(&dst[i/part*size])
		least, most := extremes(block)
		if !(math.Abs(least) <= 65504 && math.Abs(most) <= 65504) { // no number is neither
			return false
		}
		switch d {
		case Q8_0:
			encodeQ8((*blockQ8)(p), block, max(most, -least))
		case Q4_0:
			encodeQ40((*blockQ40)(p), block, least, most)
		default:
			encodeQ41((*blockQ41)(p), block, least, most)
		}
	}
	return true
}

// extremes are the least and the largest element, no numbers if one is none.
func extremes(x *[part]float32) (least, most float64) {
	least, most = float64(x[0]), float64(x[0])
	for _, v := range x {
		least, most = math.Min(least, float64(v)), math.Max(most, float64(v))
	}
	return least, most
}

func encodeQ8(b *blockQ8, x *[part]float32, top float64) {
	h := ToHalf(float32(top / 127))
	b.d = [2]byte{byte(h), byte(h >> 8)}
	d := float64(Half(h))
	for i, v := range x {
		b.qs[i] = int8(nearest(float64(v), d, 0, -127, 127))
	}
}

// nearest is the number q within bounds for which d·q + m is next to x.
func nearest(x, d, m float64, low, high int) int {
	if d == 0 {
		return max(low, min(high, 0))
	}
	return int(math.Max(float64(low), math.Min(float64(high), math.RoundToEven((x-m)/d))))
}

// encodeQ40 tries scales that let the larger of the extremes fall on -8 and
// around, with either sign, each fitted to the numbers it gives.
func encodeQ40(b *blockQ40, x *[part]float32, least, most float64) {
	best, scale := math.Inf(1), uint16(0)
	try := func(h uint16) {
		if e := errorOf(x, float64(Half(h)), 0, -8, 7); e < best {
			best, scale = e, h
		}
	}
	for _, end := range []float64{least, most} {
		for step := -4; step <= 6; step++ {
			d := end / (-8 + 0.2*float64(step))
			try(ToHalf(float32(d)))
			sxq, sqq := 0.0, 0.0
			for _, v := range x {
				q := float64(nearest(float64(v), d, 0, -8, 7))
				sxq += float64(v) * q
				sqq += q * q
			}
			if sqq > 0 {
				try(ToHalf(float32(sxq / sqq)))
			}
		}
	}
	b.d = [2]byte{byte(scale), byte(scale >> 8)}
	d := float64(Half(scale))
	for i := range b.qs {
		b.qs[i] = byte(nearest(float64(x[i]), d, 0, -8, 7)+8) | byte(nearest(float64(x[i+16]), d, 0, -8, 7)+8)<<4
	}
}

// encodeQ41 tries ranges from the whole one to some narrower, each fitted to
// the numbers it gives.
func encodeQ41(b *blockQ41, x *[part]float32, least, most float64) {
	best, scale, low := math.Inf(1), uint16(0), uint16(0)
	try := func(d, m float64) {
		hd, hm := ToHalf(float32(d)), ToHalf(float32(m))
		if e := errorOf(x, float64(Half(hd)), float64(Half(hm)), 0, 15); e < best {
			best, scale, low = e, hd, hm
		}
	}
	for a := 0; a <= 3; a++ {
		for c := 0; c <= 3; c++ {
			span := (most - least) / 15
			m := least + 0.4*float64(a)*span
			d := (most - 0.4*float64(c)*span - m) / 15
			try(d, m)
			n, sx, sq, sxq, sqq := float64(part), 0.0, 0.0, 0.0, 0.0
			for _, v := range x {
				q := float64(nearest(float64(v), d, m, 0, 15))
				sx += float64(v)
				sq += q
				sxq += float64(v) * q
				sqq += q * q
			}
			if det := n*sqq - sq*sq; det > 0 {
				fit := (n*sxq - sx*sq) / det
				try(fit, (sx-fit*sq)/n)
			}
		}
	}
	b.d, b.m = [2]byte{byte(scale), byte(scale >> 8)}, [2]byte{byte(low), byte(low >> 8)}
	d, m := float64(Half(scale)), float64(Half(low))
	for i := range b.qs {
		b.qs[i] = byte(nearest(float64(x[i]), d, m, 0, 15)) | byte(nearest(float64(x[i+16]), d, m, 0, 15))<<4
	}
}

// errorOf is the squared error of x in numbers within bounds.
func errorOf(x *[part]float32, d, m float64, low, high int) float64 {
	sum := 0.0
	for _, v := range x {
		e := float64(v) - m - d*float64(nearest(float64(v), d, m, low, high))
		sum += e * e
	}
	return sum
}
