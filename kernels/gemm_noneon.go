//go:build !arm64

package kernels

const hasNEON = false

// The assembly of arm64; never called here.
func neonTile(r, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64) {
	panic("unreachable")
}
