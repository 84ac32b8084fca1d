package simd

import "os"

// NEON is true on arm64, where every processor has it, unless LORAC_CPU=go asks
// for plain Go.
var NEON = os.Getenv("LORAC_CPU") != "go"

// gemmNEONxR multiplies R rows with 16 columns; see gemm_arm64.s.

//go:noescape
func gemmNEONx1(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)

//go:noescape
func gemmNEONx2(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)

//go:noescape
func gemmNEONx3(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)

//go:noescape
func gemmNEONx4(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)

//go:noescape
func gemmNEONx5(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)

//go:noescape
func gemmNEONx6(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)

// GemmNEON computes c[i,j] = (acc ? c[i,j] : 0) + Σ a[q,i]·b[q,j] over k terms q,
// for r ≤ 6 rows and 16 columns.
func GemmNEON(r, k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64) {
	switch r {
	case 1:
		gemmNEONx1(k, a, lda, b, ldb, c, ldc, acc)
	case 2:
		gemmNEONx2(k, a, lda, b, ldb, c, ldc, acc)
	case 3:
		gemmNEONx3(k, a, lda, b, ldb, c, ldc, acc)
	case 4:
		gemmNEONx4(k, a, lda, b, ldb, c, ldc, acc)
	case 5:
		gemmNEONx5(k, a, lda, b, ldb, c, ldc, acc)
	default:
		gemmNEONx6(k, a, lda, b, ldb, c, ldc, acc)
	}
}
