package kernels

import (
	"time"

	"lorac/kernels/simd"
)

// TimesF32 is how many times as long as one with f32 a product with a weight of a
// type takes here, forward; 1 where the processor has the instructions that the type
// needs. It is measured, for some tens of milliseconds: without them a plain loop
// takes their place, and how much slower that is depends on the processor.
func (c *Context) TimesF32(d DType) float64 {
	if d == I8 && (has512 && hasVNNI || signed8()) || d != I8 && (has512 || has8 || !d.Quantised()) {
		return 1
	}
	rows, width := 64, 256
	if d != I8 {
		rows, width = 512, 128 // a block is decoded once for many rows
	}
	x, y, w := NewMat(rows, width), NewMat(rows, width), NewMat(width, width)
	for i := range x.Data {
		x.Data[i] = float32(i%13) - 6
	}
	for i := range w.Data {
		w.Data[i] = float32(i%7) - 3
	}
	plain := w.Weight()
	other, free := c.as(plain, w, d)
	defer free()
	best := func(w Weight, n int) time.Duration {
		least := time.Duration(1 << 62)
		for range n {
			start := time.Now()
			c.MatMulNT(y, x, w)
			least = min(least, time.Since(start))
		}
		return max(least, 1)
	}
	best(plain, 3) // threads and caches are warm afterwards
	return float64(best(other, 3)) / float64(best(plain, 10))
}

// as is a weight in another type, and what gives it back.
func (c *Context) as(plain Weight, m Mat, d DType) (Weight, func()) {
	if d == I8 {
		w := c.Int8(plain)
		return w, func() {
			release(w.scale)
			release(floatsOf(w.keep))
		}
	}
	bytes := make([]byte, m.Rows*d.RowBytes(m.Cols))
	if err := c.Quantise(bytes, m, d); err != nil {
		panic("BUG: kernels: " + err.Error())
	}
	w, err := WeightFromBytes(bytes, d, m.Rows, m.Cols)
	if err != nil {
		panic("BUG: kernels: " + err.Error())
	}
	return w, func() {}
}

// Lacks names the instructions that the kernels would use and that are missing here,
// "" where AVX2 (with FMA and F16C), AVX-512 or NEON is there.
func Lacks() string {
	if has512 || has8 {
		return ""
	}
	return simd.Lacks()
}
