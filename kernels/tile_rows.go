package kernels

import (
	"unsafe"

	"lorac/kernels/simd"
)

// tileRows multiplies n rows of k contiguous terms with a packed
// panel of B, into cols columns of c: c[i·ldc+j] (+)= Σ a[i·lda+q]·b[q·nr+j].
// It needs no packed A, which pays where A meets few panels.
func tileRows(n, k int, a []float32, lda int, b, c []float32, ldc, cols int, acc bool, h hint) {
	if n <= 0 {
		return
	}
	h = h.orElse(&a[0])
	flag := flagOf(acc)
	mr, nr := tileSize()
	run := func(i, r, tiles int) {
		switch {
		case has512 && cols <= 16:
			simd.RowHalfTiles512[r](k, &a[i*lda], lda*4, &b[0], &c[i*ldc], ldc*4, tiles, 1<<cols-1, flag, h.addr, h.step)
		case has512:
			simd.RowTiles512[r](k, &a[i*lda], lda*4, &b[0], &c[i*ldc], ldc*4, tiles, 1<<cols-1, flag, h.addr, h.step)
		default:
			simd.RowTiles8[r](k, &a[i*lda], lda*4, &b[0], &c[i*ldc], ldc*4, tiles, 0, flag, h.addr, h.step)
		}
	}
	if has512 || has8 && cols == nr {
		if n >= mr {
			run(0, mr, n/mr)
		}
		if n%mr > 0 {
			run(n/mr*mr, n%mr, 1)
		}
		return
	}
	for i := 0; i < n; i += mr {
		tileRowsPacked(min(mr, n-i), k, a[i*lda:], lda, b, c[i*ldc:], ldc, cols, acc)
	}
}

// tileRowsPacked is one tile by the kernels for packed rows.
func tileRowsPacked(r, k int, a []float32, lda int, b, c []float32, ldc, cols int, acc bool) {
	const terms = 64
	var local [6 * terms]float32
	panel := unsafe.Slice(noescape(&local[0]), len(local))
	_, nr := tileSize()
	for q0 := 0; q0 < k; q0 += terms {
		n := min(terms, k-q0)
		for i := range r {
			for q, x := range a[i*lda+q0 : i*lda+q0+n] {
				panel[q*r+i] = x
			}
		}
		tile(r, n, panel, b[q0*nr:], c, ldc, cols, acc || q0 > 0)
	}
}
