//go:build !arm64

package simd

// NEON is false: this is not arm64.
const NEON = false

// GemmNEON panics here.
func GemmNEON(r, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64) {
	panic("simd: no NEON")
}
