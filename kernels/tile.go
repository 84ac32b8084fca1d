package kernels

import "lorac/kernels/simd"

// maxTileRows is the most tileSize has.
const maxTileRows = 14

// tileSize is the size of the register tile on this processor.
func tileSize() (mr, nr int) {
	switch {
	case has512:
		return maxTileRows, 32
	case has8:
		return 6, 16
	}
	return 4, 16
}

// tile multiplies a packed panel of r rows with one of B's, into n columns of c.
func tile(r, k int, a, b, c []float32, ldc, n int, acc bool) {
	_, nr := tileSize()
	tileStrided(r, k, a, r, b, nr, c, ldc, n, acc, hint{})
}

// tileStrided multiplies k terms of r rows, term q at a[q·lda:], with as many
// of n columns, at b[q·ldb:], into c[i·ldc+j], and prefetches h meanwhile.
// All columns of a tile are read in b, however few are wanted.
func tileStrided(r, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc, n int, acc bool, h hint) {
	tileFrom(r, k, a, lda, b, ldb, c, ldc, c, ldc, n, acc, h)
}

// tileFrom is the same, but acc adds from[i·ldf+j] instead of c[i·ldc+j].
func tileFrom(r, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, from []float32, ldf, n int, acc bool, h hint) {
	h = h.orElse(&a[0])
	flag := flagOf(acc)
	switch {
	case has512 && n <= 16:
		simd.GemmHalfTiles512[r](k, &a[0], lda*4, &b[0], ldb*4, &c[0], ldc*4, &from[0], ldf*4, 1<<n-1, flag, h.addr, h.step, h.panel)
	case has512:
		simd.GemmTiles512[r](k, &a[0], lda*4, &b[0], ldb*4, &c[0], ldc*4, &from[0], ldf*4, 1<<n-1, flag, h.addr, h.step, h.panel)
	case has8 && n == 16:
		simd.GemmTiles8[r](k, &a[0], lda*4, &b[0], ldb*4, &c[0], ldc*4, &from[0], ldf*4, 1, flag, h.addr, h.step, h.panel, 0)
	case &c[0] != &from[0]:
		for i := range r {
			if acc {
				copy(c[i*ldc:i*ldc+n], from[i*ldf:])
			}
		}
		tileStrided(r, k, a, lda, b, ldb, c, ldc, n, acc, h)
	case has8:
		var t [6 * 16]float32
		p := noescape(&t[0])
		simd.GemmTiles8[r](k, &a[0], lda*4, &b[0], ldb*4, p, 64, p, 64, 1, 0, h.addr, h.step, h.panel, 0)
		for i := range r {
			put(c[i*ldc:i*ldc+n], t[i*16:], acc)
		}
	default:
		tileGo(r, k, a, lda, b, ldb, c, ldc, n, acc)
	}
}

// tileRun is tileFrom for so many tiles, one after the other in the rows of c: panels of A
// have k0 terms, of which k are taken. Only where tilesRun is more than one.
func tileRun(tiles, r, k, k0 int, a, b, c []float32, ldc int, from []float32, ldf int, acc bool, h hint) {
	h = h.orElse(&a[0])
	simd.GemmTiles8[r](k, &a[0], r*4, &b[0], 64, &c[0], ldc*4, &from[0], ldf*4, tiles, flagOf(acc), h.addr, h.step, h.panel, (k0-k)*r*4)
}

// mostTiles is how many tiles are a call at most: the garbage collector waits for it.
const mostTiles = 32

// tilesRun is how many tiles of n columns may be a call.
func tilesRun(n int) int {
	if has8 && !has512 && n == 16 {
		return mostTiles
	}
	return 1
}

// tilePacking is tileFrom for a whole panel of B that is not packed yet: it
// packs it from src, which unpacked gives.
func tilePacking(r, k int, a []float32, src unpackedB, panel, c []float32, ldc int, from []float32, ldf int, acc bool, h hint) {
	h = h.orElse(&a[0])
	simd.GemmPackingTiles512[src.dtype][r](k, &a[0], r*4, &panel[0], 128, &c[0], ldc*4, &from[0], ldf*4, 1<<32-1, flagOf(acc), h.addr, h.step, h.panel,
		src.at, src.stride)
}

func flagOf(acc bool) uint64 {
	if acc {
		return 1
	}
	return 0
}

// tileGo is the kernel in plain Go, 16 columns wide.
func tileGo(r, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc, n int, acc bool) {
	for i := range r {
		var t [16]float32
		for q := range k {
			x := a[q*lda+i]
			row := b[q*ldb : q*ldb+16 : q*ldb+16]
			for j := range t {
				t[j] += x * row[j]
			}
		}
		put(c[i*ldc:i*ldc+n], t[:], acc)
	}
}

// put writes or adds a row of a tile.
func put(c, t []float32, acc bool) {
	for j := range c {
		if acc {
			c[j] += t[j]
		} else {
			c[j] = t[j]
		}
	}
}
