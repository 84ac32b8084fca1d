//go:build !amd64 && !arm64

package simd

const noVectors = "simd: neither AVX2 nor NEON"

var (
	GemmTiles8 [15]GemmFunc8
	RowTiles8  [15]RowGemmFunc
	FewRows8   [8][5]FewFunc
	Int8Tiles8 [7]Int8SignedFunc
)

func AdamW8(p *float32, grad *float32, m *float32, v *float32, n int, o *[9]float32) {
	panic(noVectors)
}
func Add8(y *float32, a *float32, b *float32, n int)                             { panic(noVectors) }
func AddScaled8(y *float32, x *float32, n int, by float32)                       { panic(noVectors) }
func Decode8Nibbles(src *byte, shift uint64, d, m float32, dst *float32)         { panic(noVectors) }
func Decode8Q4_0(n int, src *byte, stride int, dst *float32)                     { panic(noVectors) }
func Decode8Q4_1(n int, src *byte, stride int, dst *float32)                     { panic(noVectors) }
func Decode8Q8_0(n int, src *byte, stride int, dst *float32)                     { panic(noVectors) }
func Decode8Sixes(lo, hi *byte, down, over uint64, d0, d1 float32, dst *float32) { panic(noVectors) }
func Dot3x8(d *float32, w *float32, x *float32, n int) float64                   { panic(noVectors) }
func Dots8(out, a, b *float32, n, count int)                                     { panic(noVectors) }
func ExpSum8(dst, src *float32, n int, shift float32) float32                    { panic(noVectors) }
func Halves8(n int, x *float32, dst *byte)                                       { panic(noVectors) }
func Mask8(y *float32, x *float32, n int, offsets *[16]uint32, start uint32, high uint32, limit uint32, scale float32) {
	panic(noVectors)
}
func InterleaveBytes8(k int, src *byte, stride int, dst *byte)        { panic(noVectors) }
func MaxAbs8(x *float32, n int) float32                               { panic(noVectors) }
func RoundBytes8(q *byte, x *float32, n int, by float32, flip uint64) { panic(noVectors) }
func Max8(x *float32, n int) float32                                  { panic(noVectors) }
func Mul8(y *float32, a *float32, b *float32, n int)                  { panic(noVectors) }
func Narrow8BF16(dst *byte, src *float32, n int)                      { panic(noVectors) }
func Narrow8F16(dst *byte, src *float32, n int)                       { panic(noVectors) }
func Norm8(y *float32, x *float32, w *float32, n int, r float32)      { panic(noVectors) }
func NormGrad8(dx *float32, d *float32, w *float32, x *float32, n int, r float32, s float32) {
	panic(noVectors)
}
func NormGradAdd8(dx *float32, res *float32, d *float32, w *float32, x *float32, n int, r float32, s float32) {
	panic(noVectors)
}
func NormGradW8(sum *float64, d *float32, x *float32, n int, r float64)         { panic(noVectors) }
func PackN8BF16(k int, src *byte, stride int, dst *float32)                     { panic(noVectors) }
func PackN8F16(k int, src *byte, stride int, dst *float32)                      { panic(noVectors) }
func PackN8F32(k int, src *byte, stride int, dst *float32)                      { panic(noVectors) }
func PackT8BF16(blocks, rows int, src *byte, stride int, dst *float32, ldd int) { panic(noVectors) }
func PackT8F16(blocks, rows int, src *byte, stride int, dst *float32, ldd int)  { panic(noVectors) }
func PackT8F32(blocks, rows int, src *byte, stride int, dst *float32, ldd int)  { panic(noVectors) }
func Rope8(y *float32, x *float32, cos *float32, sin *float32, half int, heads int, sign float32) {
	panic(noVectors)
}
func Round8BF16(dst *float32, src *float32, n int)       { panic(noVectors) }
func Round8F16(dst *float32, src *float32, n int)        { panic(noVectors) }
func Scale8(y *float32, x *float32, n int, by float32)   { panic(noVectors) }
func ScaleCols8(out *float32, rows int, factor *float32) { panic(noVectors) }
func SoftmaxCols8(s *float32, full, seen int, lanes *int32, c float32, top, sum, rescale *float32) {
	panic(noVectors)
}
func SoftmaxGrad8(p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32, index *int32) {
	panic(noVectors)
}
func SumExp8(x *float32, n int, shift float32) float64     { panic(noVectors) }
func SumSquares8(x *float32, n int) float64                { panic(noVectors) }
func SwiGLU8(h, gate, up *float32, n int)                  { panic(noVectors) }
func SwiGLUGrad8(dgate, dup, dh, gate, up *float32, n int) { panic(noVectors) }
func Widen8BF16(dst *float32, src *byte, n int)            { panic(noVectors) }
func Widen8F16(dst *float32, src *byte, n int)             { panic(noVectors) }
