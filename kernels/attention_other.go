//go:build !amd64

package kernels

// The assembly of other processors; never called here.

func logSum512(lse, top, sum *float32, c float32)        { panic("unreachable") }
func copyRows512(dst, src *float32, stride, rows, n int) { panic("unreachable") }

var rows512, rowsHalf512, rows256 [15]func(k int, a *float32, lda int, b, c *float32, ldc, tiles int, mask, acc uint64, ahead *byte, step int)
