//go:build !amd64

package kernels

// The assembly of other processors; never called here.

func logSum512(lse, top, sum *float32, c float32)        { panic("unreachable") }
func copyRows512(dst, src *float32, stride, rows, n int) { panic("unreachable") }
func softmaxCols256(s *float32, full, seen int, lanes *int32, c float32, top, sum, shrink *float32) {
	panic("unreachable")
}
func softmaxGrad256(p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32, index *int32) {
	panic("unreachable")
}
func scaleCols256(out *float32, rows int, factor *float32) { panic("unreachable") }
func dots256(out, a, b *float32, n, count int)             { panic("unreachable") }
func packT256F32(blocks, rows int, src *byte, stride int, dst *float32, ldd int) {
	panic("unreachable")
}

var rows512, rowsHalf512, rows256 [15]func(k int, a *float32, lda int, b, c *float32, ldc, tiles int, mask, acc uint64, ahead *byte, step int)
