package main

import "fmt"

// The register tile: sums of row r are in v[4r] to v[4r+3], 16 columns; v24 to v27
// hold a row of B, v28 to v31 elements of A.

// rowOfB loads 16 columns.
func rowOfB(at, offset int) {
	v("ldp q24, q25, [x%d, #%d]", at, offset)
	v("ldp q26, q27, [x%d, #%d]", at, offset+32)
}

// elements loads mr numbers of 32 bits into two registers, and nothing beyond them.
func elements(mr, to, at int) {
	switch {
	case mr >= 4:
		v("ldr q%d, [x%d]", to, at)
	case mr >= 2:
		v("ldr d%d, [x%d]", to, at)
	default:
		v("ldr s%d, [x%d]", to, at)
	}
	switch mr {
	case 6:
		v("ldr d%d, [x%d, #16]", to+1, at)
	case 5:
		v("ldr s%d, [x%d, #16]", to+1, at)
	case 3:
		v("ldr s%d, [x%d, #8]", to+1, at)
	}
}

// element is where elements has number r of mr.
func element(mr, r int) (register, lane int) {
	if mr == 3 && r == 2 {
		return 1, 0
	}
	return r / 4, r % 4
}

// terms runs step for k terms in R0, four and what prefetch writes at a time.
func terms(prefetch func(), step func(u int), forward func(terms int)) {
	g("LSR $2, R0, R12")
	g("CBZ R12, rest")
	loop("loop", 12, 1, func() {
		prefetch()
		for u := range 4 {
			step(u)
		}
		forward(4)
	})
	label("rest")
	g("AND $3, R0, R12")
	g("CBZ R12, done")
	loop("one", 12, 1, func() {
		step(0)
		forward(1)
	})
	label("done")
}

// gemm: C[mr, 16] = A [k][mr] · B [k][16], for tiles panels of A.
func gemm(mr int) {
	begin(fmt.Sprintf("Gemm8x%d", mr), "k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf, tiles int, acc uint64, prefetch *byte, step int, next *float32, more int", "")
	loads("k", "a", "lda", "b", "ldb", "c", "ldc")
	const from, tiles, more = 19, 13, 14
	load("from", from)
	load("tiles", tiles)
	load("more", more)
	load("prefetch", 9)
	load("step", 10)
	load("next", 11)
	label("tile")
	load("b", 3)
	for i := range 4 * mr {
		zero(i)
	}
	terms(func() {
		g("PRFM (R9), PLDL1KEEP")
		g("PRFM 64(R9), PLDL1KEEP")
		for at := 0; at < 16*mr; at += 64 {
			g("PRFM %d(R11), PLDL1KEEP", at)
		}
		g("ADD R10, R9")
		g("ADD $%d, R11", 16*mr)
	}, func(u int) {
		a := 28 + u%2*2
		rowOfB(3, 0)
		elements(mr, a, 1)
		for r := range mr {
			register, lane := element(mr, r)
			for c := range 4 {
				v("fmla v%d.4s, v%d.4s, v%d.s[%d]", 4*r+c, 24+c, a+register, lane)
			}
		}
		g("ADD R2, R1")
		g("ADD R4, R3")
	}, func(int) {})
	load("acc", 7)
	g("CBZ R7, store")
	load("ldf", 8)
	for r := range mr {
		rowOfB(from, 0)
		for c := range 4 {
			op("fadd", 4*r+c, 4*r+c, 24+c)
		}
		g("ADD R8, R%d", from)
	}
	label("store")
	storeTile(mr, 5, 6)
	g("ADD R%d, R1", more)
	g("ADD R%d, R11", more)
	g("SUBS $1, R%d, R%d", tiles, tiles)
	g("BNE tile")
	ret()
}

// storeTile writes rows of a tile to an address that advances by a stride.
func storeTile(mr, at, stride int) {
	for r := range mr {
		v("stp q%d, q%d, [x%d]", 4*r, 4*r+1, at)
		v("stp q%d, q%d, [x%d, #32]", 4*r+2, 4*r+3, at)
		g("ADD R%d, R%d", stride, at)
	}
}

// rowGemm: C[mr, 16] (+)= A·B. The terms of a row of A are contiguous; it repeats with
// the next mr rows of A and C, tiles times.
func rowGemm(mr int) {
	begin(fmt.Sprintf("RowGemm8x%d", mr), "k int, a *float32, lda int, b, c *float32, ldc, tiles int, mask, acc uint64, prefetch *byte, step int", "")
	const a, lda, b, c, ldc, tiles, prefetch, step, acc, t, row, next = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 19, 11
	load("k", 0)
	load("a", a)
	load("lda", lda)
	load("c", c)
	load("ldc", ldc)
	load("tiles", tiles)
	load("acc", acc)
	load("prefetch", prefetch)
	load("step", step)
	loop("tile", tiles, 1, func() {
		load("b", b)
		g("MOVD R%d, R%d", a, row)
		for r := 1; r < mr; r++ {
			g("ADD R%d, R%d, R%d", lda, row+r-1, row+r)
		}
		g("ADD R%d, R%d, R%d", lda, row+mr-1, a)
		g("MOVD R%d, R%d", a, next)
		for i := range 4 * mr {
			zero(i)
		}
		terms(func() {
			g("PRFM (R%d), PLDL1KEEP", prefetch)
			g("PRFM 64(R%d), PLDL1KEEP", prefetch)
			g("ADD R%d, R%d", step, prefetch)
			for at := 0; at < 16*mr; at += 64 {
				g("PRFM %d(R%d), PLDL1KEEP", at, next)
			}
			g("ADD $%d, R%d", 16*mr, next)
		}, func(u int) {
			rowOfB(b, 64*u)
			for r := range mr {
				x := 28 + r%4
				v("ldr s%d, [x%d, #%d]", x, row+r, 4*u)
				for c := range 4 {
					v("fmla v%d.4s, v%d.4s, v%d.s[0]", 4*r+c, 24+c, x)
				}
			}
		}, func(terms int) {
			g("ADD $%d, R%d", 64*terms, b)
			for r := range mr {
				g("ADD $%d, R%d", 4*terms, row+r)
			}
		})
		g("CBZ R%d, store", acc)
		g("MOVD R%d, R%d", c, t)
		for r := range mr {
			rowOfB(t, 0)
			for c := range 4 {
				op("fadd", 4*r+c, 4*r+c, 24+c)
			}
			g("ADD R%d, R%d", ldc, t)
		}
		label("store")
		storeTile(mr, c, ldc)
	})
	ret()
}

// int8Gemm: the sums of four products of bytes a term by the dot product:
// c[i, j] (+)= Σ a·b · scaleB[j]·scaleA[i].
func int8Gemm(mr int) {
	begin(fmt.Sprintf("Int8Gemm8x%d", mr), "k int, a *byte, lda int, b *byte, scaleB, scaleA, c *float32, ldc int, acc uint64", "")
	loads("k", "a", "lda", "b", "scaleB", "scaleA", "c", "ldc", "acc")
	for i := range 4 * mr {
		zero(i)
	}
	terms(func() {
		g("PRFM 1024(R3), PLDL1KEEP")
	}, func(int) {
		rowOfB(3, 0)
		elements(mr, 28, 1)
		for r := range mr {
			register, lane := element(mr, r)
			for c := range 4 {
				v("sdot v%d.4s, v%d.16b, v%d.4b[%d]", 4*r+c, 24+c, 28+register, lane)
			}
		}
		g("ADD R2, R1")
		g("ADD $128, R3")
	}, func(int) {})
	rowOfB(4, 0)
	elements(mr, 28, 5)
	for r := range mr {
		register, lane := element(mr, r)
		for c := range 4 {
			op("scvtf", 4*r+c, 4*r+c)
			op("fmul", 4*r+c, 4*r+c, 24+c)
			v("fmul v%d.4s, v%d.4s, v%d.s[%d]", 4*r+c, 4*r+c, 28+register, lane)
		}
	}
	g("CBZ R8, store")
	g("MOVD R6, R9")
	for r := range mr {
		rowOfB(9, 0)
		for c := range 4 {
			op("fadd", 4*r+c, 4*r+c, 24+c)
		}
		g("ADD R7, R9")
	}
	label("store")
	storeTile(mr, 6, 7)
	ret()
}
