package simd

// The functions of the tables, which differ in the number of rows only.
type (
	// GemmFunc computes c[i,j] = (acc ? from[i,j] : 0) + Σ a[q,i]·b[q,j].
	GemmFunc = func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int,
		mask, acc uint64, prefetch *byte, step int, next *float32)

	// GemmFunc8 is the same for all columns, for tiles panels of A; the next begins more
	// bytes after the last term of one.
	GemmFunc8 = func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf, tiles int,
		acc uint64, prefetch *byte, step int, next *float32, more int)

	// GemmPackingFunc reads b from src and packs it on the way.
	GemmPackingFunc = func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int,
		mask, acc uint64, prefetch *byte, step int, next *float32, src *byte, lds int)

	// RowGemmFunc computes c[i,j] (+)= Σ a[i,q]·b[q,j], tiles times.
	RowGemmFunc = func(k int, a *float32, lda int, b, c *float32, ldc, tiles int, mask, acc uint64, prefetch *byte, step int)

	// FewFunc computes y[i,j] = Σ x[i,q]·w[j,q] for all rows of w.
	FewFunc = func(rows, n int, w *byte, ldw int, x *byte, ldx int, y *float32, ldy int)

	// Int8SignedFunc computes c[i,j] (+)= Σ a[q,i,·]·b[q,j,·] · scaleB[j]·scaleA[i] for 16
	// columns of a panel of 32; bytes are within ±127.
	Int8SignedFunc = func(k int, a *byte, lda int, b *byte, scaleB, scaleA, c *float32, ldc int, acc uint64)

	// Int8GemmFunc computes c[i,j] (+)= (bias[j] + Σ a[q,i,·]·b[q,j,·])·scaleB[j]·scaleA[i].
	Int8GemmFunc = func(k int, a, b *byte, bias *int32, scaleB, scaleA, c *float32, ldc int, mask, acc uint64, prefetch *byte, step int)
)
