package kernels

import (
	"fmt"
	"testing"
)

// BenchmarkQuantised: products with a quantised weight beside the same with f32,
// as the share of the FMA peak: go test -bench 'Quantised/NT/2048x2048/rows=512'.
func BenchmarkQuantised(b *testing.B) {
	for _, s := range [][2]int{{2048, 2048}, {2048, 5632}, {5632, 2048}, {4096, 4096}, {4096, 11008}} {
		for _, m := range []int{256, 512, 1024} {
			for _, d := range append([]DType{F32, F16, I8}, quantTypes...) {
				in, out := s[0], s[1]
				var w Weight
				weight := func(b *testing.B) {
					switch {
					case w.Rows > 0:
					case d == I8:
						full, _ := randWeight(F32, out, in)
						w = ctx.Int8(full)
					case d.Quantised():
						w, _ = randQuant(d, out, in)
					default:
						w, _ = randWeight(d, out, in)
					}
				}
				flop := 2 * float64(m*in*out)
				b.Run(fmt.Sprintf("NT/%dx%d/rows=%d/%s", in, out, m, d), func(b *testing.B) {
					weight(b)
					x, y := dense(m, in), NewMat(m, out)
					b.ResetTimer()
					ofPeak(b, flop, func() { ctx.MatMulNT(y, x, w) })
				})
				b.Run(fmt.Sprintf("NN/%dx%d/rows=%d/%s", in, out, m, d), func(b *testing.B) {
					weight(b)
					dx, dy := NewMat(m, in), dense(m, out)
					b.ResetTimer()
					ofPeak(b, flop, func() { ctx.MatMulNN(dx, dy, w) })
				})
			}
		}
	}
}
