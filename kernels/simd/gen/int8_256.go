package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rows8 is the most rows of A of one function: their sums take ten of sixteen registers.
const rows8 = 5

// int8x256: C[mr, 16] (+)= Σ A panel [k][·][4] · B panel [k][32][4] · scaleB·scaleA, both
// of signed bytes within ±127; k counts groups of four terms. |a| is unsigned and takes its
// sign to b, so the sum of two products is at most 2·127², which 16 bits hold.
func int8x256(mr int) {
	name := "Int8Gemm8x" + itoa(mr)
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a *byte, lda int, b *byte, scaleB, scaleA, c *float32, ldc int, acc uint64)")
	Pragma("noescape")
	describe(name + " computes c[i,j] (+)= Σ a[q,i,·]·b[q,j,·] · scaleB[j]·scaleA[i] over k groups of four terms, for " + itoa(mr) + " rows and 16 columns; both are signed, within ±127.")
	k, a, lda, b, c, ldc, t, sa := RCX, RSI, R9, RDI, RDX, R8, RAX, RBX
	Load(Param("k"), k)
	Load(Param("a"), a)
	Load(Param("lda"), lda)
	Load(Param("b"), b)
	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
	sum := func(r, v int) VecPhysical { return ys[2*r+v] }
	bs := []VecPhysical{Y10, Y11}
	x, size, product, ones := Y12, Y13, Y14, Y15
	MOVL(U32(0x00010001), EAX)
	VMOVD(EAX, ones.AsX())
	VPBROADCASTD(ones.AsX(), ones)
	for r := 0; r < mr; r++ {
		for v := 0; v < 2; v++ {
			VPXOR(sum(r, v), sum(r, v), sum(r, v))
		}
	}
	quad := func(u int) {
		for v, y := range bs {
			VMOVDQU(Mem{Base: b, Disp: 128*u + 32*v}, y)
		}
		for r := 0; r < mr; r++ {
			VPBROADCASTD(Mem{Base: a, Disp: 4 * r}, x)
			VPABSB(x, size)
			for v, y := range bs {
				VPSIGNB(x, y, product)
				VPMADDUBSW(product, size, product)
				VPMADDWD(ones, product, product)
				VPADDD(product, sum(r, v), sum(r, v))
			}
		}
		ADDQ(lda, a)
	}
	SUBQ(Imm(2), k)
	JL(LabelRef(name + "_rest"))
	Label(name + "_loop")
	quad(0)
	quad(1)
	ADDQ(U32(256), b)
	SUBQ(Imm(2), k)
	JGE(LabelRef(name + "_loop"))
	Label(name + "_rest")
	ADDQ(Imm(2), k)
	JZ(LabelRef(name + "_done"))
	quad(0)
	Label(name + "_done")
	Load(Param("scaleB"), t)
	Load(Param("scaleA"), sa)
	for v, y := range bs {
		VMOVUPS(Mem{Base: t, Disp: 32 * v}, y)
	}
	Load(Param("acc"), t)
	for r := 0; r < mr; r++ {
		VBROADCASTSS(Mem{Base: sa, Disp: 4 * r}, x)
		for v, y := range bs {
			VCVTDQ2PS(sum(r, v), sum(r, v))
			VMULPS(y, sum(r, v), sum(r, v))
			VMULPS(x, sum(r, v), sum(r, v))
		}
	}
	TESTQ(t, t)
	JZ(LabelRef(name + "_store"))
	t2 := sa
	MOVQ(c, t2)
	for r := 0; r < mr; r++ {
		for v := 0; v < 2; v++ {
			VADDPS(Mem{Base: t2, Disp: 32 * v}, sum(r, v), sum(r, v))
		}
		if r+1 < mr {
			ADDQ(ldc, t2)
		}
	}
	Label(name + "_store")
	for r := 0; r < mr; r++ {
		for v := 0; v < 2; v++ {
			VMOVUPS(sum(r, v), Mem{Base: c, Disp: 32 * v})
		}
		if r+1 < mr {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// bytes256: q[i] = x[i]·by rounded to the nearest integer, ties to even, within ±127, xor
// flip; n elements, a multiple of eight.
func bytes256() {
	name := "RoundBytes8"
	TEXT(name, NOSPLIT|NOFRAME, "func(q *byte, x *float32, n int, by float32, flip uint64)")
	Pragma("noescape")
	describe(name + " writes q = x·by as bytes within ±127, rounded to the nearest, ties to even, xor flip; n is a multiple of 8.")
	dst, src, n, t := RDI, RSI, RCX, RAX
	Load(Param("q"), dst)
	Load(Param("x"), src)
	Load(Param("n"), n)
	broadcast("by", X1, Y1)
	constant256(Y2, 127)
	constant256(Y3, 0xFFFFFF81) // -127
	Load(Param("flip"), t)
	VMOVQ(t, X4)
	VPBROADCASTB(X4, X4)
	Label(name + "_loop")
	VMULPS(Mem{Base: src}, Y1, Y0)
	VCVTPS2DQ(Y0, Y0)
	VPMINSD(Y2, Y0, Y0)
	VPMAXSD(Y3, Y0, Y0)
	VEXTRACTI128(Imm(1), Y0, X5)
	VPACKSSDW(X5, X0, X0)
	VPACKSSWB(X0, X0, X0)
	VPXOR(X4, X0, X0)
	VMOVQ(X0, Mem{Base: dst})
	ADDQ(Imm(32), src)
	ADDQ(Imm(8), dst)
	SUBQ(Imm(8), n)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// maxAbs256 is the largest absolute value of n elements, a multiple of eight, as integers:
// NaN is above all numbers.
func maxAbs256() {
	name := "MaxAbs8"
	TEXT(name, NOSPLIT|NOFRAME, "func(x *float32, n int) float32")
	Pragma("noescape")
	describe(name + " returns the largest absolute value of x, NaN if one is NaN; n is a multiple of 8.")
	src, n := RSI, RCX
	Load(Param("x"), src)
	Load(Param("n"), n)
	VPXOR(Y1, Y1, Y1)
	constant256(Y2, 0x7FFFFFFF)
	Label(name + "_loop")
	VPAND(Mem{Base: src}, Y2, Y0)
	VPMAXUD(Y0, Y1, Y1)
	ADDQ(Imm(32), src)
	SUBQ(Imm(8), n)
	JNZ(LabelRef(name + "_loop"))
	returnLargest()
}
