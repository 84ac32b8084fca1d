package kernels

import (
	"fmt"
	"math"
	"unsafe"

	"lorac/kernels/simd"
)

// CanQuantise reports whether Quantise writes rows of n elements as d.
func CanQuantise(d DType, n int) bool {
	return (d == Q8_0 || d == Q4_0 || d == Q4_1) && n%part == 0
}

// Quantise converts a matrix to blocks of d: Q8_0, Q4_0 or Q4_1. The numbers of
// a block are those next to x for its scale (and minimum), which in four bits
// is the one of some candidates with the least squared error. dst takes
// d.RowBytes(x.Cols) bytes a row; what is not finite is refused.
func (c *Context) Quantise(dst []byte, x Mat, d DType) error {
	check(CanQuantise(d, x.Cols) && len(dst) == x.Rows*d.RowBytes(x.Cols), "quantise", x, d, len(dst))
	bad := make([]bool, x.Rows)
	c.rowTasks(x.Rows, rowBlock, func(from, to int) {
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
	return int(max(float64(low), min(float64(high), math.RoundToEven((x-m)/d))))
}

// magic added to a small number and taken off again rounds it to the nearest
// whole one, ties to even.
const magic = 1.5 * (1 << 23)

// candidates is how many scales are tried with either sign.
const candidates = 10

// fit4 gives, of the whole numbers q between -8 and 7 next to by·x, Σxq and Σq²,
// for every by.
func fit4(sxq, sqq *[32]float32, x *[part]float32, by *[32]float32) {
	if has512 {
		simd.Fit512Q4(&sxq[0], &sqq[0], &x[0], &by[0])
		return
	}
	for i, by := range by {
		var xq, qq float32
		for _, v := range x {
			q := min(max((float32(v*by)+magic)-magic, -8), 7)
			xq += float32(v * q)
			qq += float32(q * q)
		}
		sxq[i], sqq[i] = xq, qq
	}
}

// encodeQ40 tries scales that let the larger of the extremes fall on -8 and
// around, with either sign. To whole numbers q the scale Σxq/Σq² fits best, and
// leaves Σx² - (Σxq)²/Σq² of the error.
func encodeQ40(b *blockQ40, x *[part]float32, least, most float64) {
	var by, sxq, sqq [32]float32 // of the candidates
	for side, end := range [2]float32{float32(least), float32(most)} {
		for step := range candidates {
			if end != 0 {
				by[side*16+step] = (-8 + 0.2*float32(step-3)) / end
			}
		}
	}
	fit4(&sxq, &sqq, x, &by)
	best, scale := float32(0), float32(0)
	for i, sq := range sqq {
		if sq > 0 && sxq[i]*sxq[i] > best*sq {
			best, scale = sxq[i]*sxq[i]/sq, sxq[i]/sq
		}
	}
	// The fit is rounded to half precision, so the plain scale may be the better.
	h, e := ToHalf(scale), math.Inf(1)
	for _, end := range [3]float64{float64(scale) * -8, least, most} {
		try := ToHalf(float32(end / -8))
		if f := errorOf(x, float64(Half(try)), 0, -8, 7); f < e {
			h, e = try, f
		}
	}
	b.d = [2]byte{byte(h), byte(h >> 8)}
	d := float64(Half(h))
	for i := range b.qs {
		b.qs[i] = byte(nearest(float64(x[i]), d, 0, -8, 7)+8) | byte(nearest(float64(x[i+16]), d, 0, -8, 7)+8)<<4
	}
}

// encodeQ41 tries ranges from the whole one to some narrower, each fitted to
// the numbers it gives by least squares.
func encodeQ41(b *blockQ41, x *[part]float32, least, most float64) {
	best, scale, low := float32(math.Inf(1)), float32(most-least)/15, float32(least)
	var sx, sxx float32
	for _, v := range x {
		sx += v - low // from the least on, so that little cancels
		sxx += (v - low) * (v - low)
	}
	for a := 0; a <= 3; a++ {
		for c := 0; c <= 3 && scale > 0; c++ {
			span := float32(most-least) / 15
			m := 0.4 * float32(a) * span
			by := 15 / (float32(most-least) - 0.4*float32(c)*span - m)
			var sq, sxq, sqq float32
			for _, v := range x {
				q := min(max(((v-low-m)*by+magic)-magic, 0), 15)
				sq += q
				sxq += (v - low) * q
				sqq += q * q
			}
			if det := part*sqq - sq*sq; det > 0 {
				fit := (part*sxq - sx*sq) / det
				at := (sx - fit*sq) / part
				if e := sxx - fit*sxq - at*sx; e < best {
					best, scale, m = e, fit, at
					b.m = [2]byte{byte(ToHalf(low + m)), byte(ToHalf(low+m) >> 8)}
				}
			}
		}
	}
	hd, hm, e := ToHalf(scale), ToHalf(low), math.Inf(1)
	for _, try := range [2][2]uint16{{ToHalf(scale), uint16(b.m[0]) | uint16(b.m[1])<<8}, {ToHalf(float32(most-least) / 15), ToHalf(low)}} {
		if f := errorOf(x, float64(Half(try[0])), float64(Half(try[1])), 0, 15); f < e {
			hd, hm, e = try[0], try[1], f
		}
	}
	b.d, b.m = [2]byte{byte(hd), byte(hd >> 8)}, [2]byte{byte(hm), byte(hm >> 8)}
	d, m := float64(Half(hd)), float64(Half(hm))
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
