//go:build !amd64

package simd

import "runtime"

// AVX512, AVX2 and VNNI are false: this is not amd64. What needs them panics.
const AVX512, AVX2, VNNI = false, false, false

// HalvesInWords is false: Halves8 writes upper and lower bytes.
const HalvesInWords = false

// Pairs8 and Supers8 panic here.
func Pairs8(n int, x *byte)  { panic(noAVX) }
func Supers8(n int, x *byte) { panic(noAVX) }

const noAVX = "simd: no AVX-512"

// Pause gives up the processor.
func Pause() { runtime.Gosched() }

var (
	GemmTiles512, GemmHalfTiles512 [15]GemmFunc
	GemmPackingTiles512            [3][15]GemmPackingFunc
	RowTiles512, RowHalfTiles512   [15]RowGemmFunc
	Int8Tiles512                   [15]Int8GemmFunc
)

func AdamW512(p, grad, m, v *float32, n int, o *[9]float32)                        { panic(noAVX) }
func Add512(y, a, b *float32, n int)                                               { panic(noAVX) }
func CopyRows512(dst, src *float32, stride, rows, n int)                           { panic(noAVX) }
func Decode512Nibbles(src *byte, shift uint64, d, m float32, dst *float32)         { panic(noAVX) }
func Decode512Q4_0(n int, src *byte, stride int, dst *float32)                     { panic(noAVX) }
func Decode512Q4_1(n int, src *byte, stride int, dst *float32)                     { panic(noAVX) }
func Decode512Q8_0(n int, src *byte, stride int, dst *float32)                     { panic(noAVX) }
func Decode512Sixes(lo, hi *byte, down, over uint64, d0, d1 float32, dst *float32) { panic(noAVX) }
func Dot3x512(d, w, x, next *float32, n int) float64                               { panic(noAVX) }
func Dots512(out, a, b *float32, n, count int)                                     { panic(noAVX) }
func ExpSum512(dst, src *float32, n int, shift float32) float32                    { panic(noAVX) }
func Fit512Q4(sxq, sqq, x, by *float32)                                            { panic(noAVX) }
func Int8Bias512(k int, b *byte, bias *int32)                                      { panic(noAVX) }
func LogSum512(lse, top, sum *float32, c float32)                                  { panic(noAVX) }
func Mask512(y, x *float32, n int, offsets *[16]uint32, start, high, limit uint32, scale float32) {
	panic(noAVX)
}
func Max512(x *float32, n int) float32                                            { panic(noAVX) }
func MaxAbs512(y, x, mul *float32, n int) float32                                 { panic(noAVX) }
func Mul512(y, a, b *float32, n int)                                              { panic(noAVX) }
func Narrow512BF16(dst *byte, src *float32, n int)                                { panic(noAVX) }
func Narrow512F16(dst *byte, src *float32, n int)                                 { panic(noAVX) }
func Norm512(y, x, w, next *float32, n int, r float32)                            { panic(noAVX) }
func NormGrad512(dx, d, w, x, nextD, nextX *float32, n int, r, s float32)         { panic(noAVX) }
func NormGradAdd512(dx, res, d, w, x, nextD, nextX *float32, n int, r, s float32) { panic(noAVX) }
func NormGradW512(sum *float64, d, x, nextD, nextX *float32, n int, r float64)    { panic(noAVX) }
func PackN512BF16(k int, src *byte, stride int, dst *float32)                     { panic(noAVX) }
func PackN512F16(k int, src *byte, stride int, dst *float32)                      { panic(noAVX) }
func PackN512F32(k int, src *byte, stride int, dst *float32)                      { panic(noAVX) }
func PackT512BF16(cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	panic(noAVX)
}
func PackT512F16(cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	panic(noAVX)
}
func PackT512F32(cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	panic(noAVX)
}
func Rope512(y, x, cos, sin *float32, half, heads int, sign float32)    { panic(noAVX) }
func Round512BF16(dst, src *float32, n int)                             { panic(noAVX) }
func Round512F16(dst, src *float32, n int)                              { panic(noAVX) }
func RoundBytes512(q *byte, x *float32, n int, by float32, flip uint64) { panic(noAVX) }
func Scale512(y, x *float32, n int, by float32)                         { panic(noAVX) }
func ScaleCols512(out *float32, rows int, factor *float32)              { panic(noAVX) }
func SoftmaxCols512(s *float32, full, seen int, lanes *int32, c float32, top, sum, rescale *float32) {
	panic(noAVX)
}
func SoftmaxGrad512(p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32) {
	panic(noAVX)
}
func SumExp512(x *float32, n int, shift float32) float64     { panic(noAVX) }
func SumSquares512(x, next *float32, n int) float64          { panic(noAVX) }
func SwiGLU512(h, gate, up *float32, n int)                  { panic(noAVX) }
func SwiGLUGrad512(dgate, dup, dh, gate, up *float32, n int) { panic(noAVX) }
func Widen512BF16(dst *float32, src *byte, n int)            { panic(noAVX) }
func Widen512F16(dst *float32, src *byte, n int)             { panic(noAVX) }
