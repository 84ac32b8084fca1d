//go:build !amd64

package kernels

import "runtime"

const has512, has256 = false, false

// The assembly of other processors; never called here.
func cvt512F16(dst *float32, src *byte, n int)                  { panic("unreachable") }
func cvt512BF16(dst *float32, src *byte, n int)                 { panic("unreachable") }
func cvt256F16(dst *float32, src *byte, n int)                  { panic("unreachable") }
func cvt256BF16(dst *float32, src *byte, n int)                 { panic("unreachable") }
func narrow512F16(dst *byte, src *float32, n int)               { panic("unreachable") }
func narrow512BF16(dst *byte, src *float32, n int)              { panic("unreachable") }
func round512F16(dst, src *float32, n int)                      { panic("unreachable") }
func round512BF16(dst, src *float32, n int)                     { panic("unreachable") }
func expSum512(dst, src *float32, n int, shift float32) float32 { panic("unreachable") }
func swiglu512(h, g, u *float32, n int)                         { panic("unreachable") }
func swigluGrad512(dg, du, dh, g, u *float32, n int)            { panic("unreachable") }
func softmaxCols512(s *float32, full, seen int, lanes *int32, c float32, top, sum, shrink *float32) {
	panic("unreachable")
}
func softmaxGrad512(p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32) {
	panic("unreachable")
}
func scaleCols512(out *float32, rows int, factor *float32) { panic("unreachable") }
func dots512(out, a, b *float32, n, count int)             { panic("unreachable") }
func packT512F32(cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	panic("unreachable")
}
func mask512(y, x *float32, n int, offsets *[16]uint32, start, high, limit uint32, scale float32) {
	panic("unreachable")
}
func adamw512(p, grad, m, v *float32, n int, o *[9]float32)        { panic("unreachable") }
func pause()                                                       { runtime.Gosched() }
func packN256(d DType, k int, src *byte, stride int, dst *float32) { panic("unreachable") }
func packT256(d DType, blocks, rows int, src *byte, stride int, dst *float32, ldd int) {
	panic("unreachable")
}
func packN(d DType, k int, src *byte, stride int, dst *float32) { panic("unreachable") }
func packT(d DType, cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	panic("unreachable")
}

var packing512 [3][15]func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int, mask, acc uint64, ahead *byte, step int, next *float32, src *byte, lds int)

var tile512, half512, tile256 [15]func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int, mask, acc uint64, ahead *byte, step int, next *float32)
