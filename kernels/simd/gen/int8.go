package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// int8x512: C[mr, 32] (+)= (A panel [k][mr][4] · B panel [k][32][4] + bias)·scaleB·scaleA,
// A unsigned bytes, B signed; k counts groups of four terms. The products are
// summed in 32 bits, starting from bias, then converted, multiplied with the
// scale of the column, then with that of the row, then added to C.
func int8x512(mr int) {
	name := "Int8Gemm512x" + itoa(mr)
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a, b *byte, bias *int32, scaleB, scaleA, c *float32, ldc int, mask, acc uint64, prefetch *byte, step int)")
	Pragma("noescape")
	describe(name + " computes c[i,j] (+)= (bias[j] + Σ a[q,i,·]·b[q,j,·])·scaleB[j]·scaleA[i] over k groups of four terms, for " + itoa(mr) + " rows and 32 columns; a is unsigned, b signed.")
	k, a, b, c, ldc, t, k4, prefetch, stride, sa := RCX, RSI, RDI, RDX, R8, RAX, R9, R10, R11, RBX
	Load(Param("k"), k)
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("prefetch"), prefetch)
	Load(Param("step"), stride)
	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
	acc := func(r, v int) VecPhysical { return zs[2*r+v] }
	B := func(v int) VecPhysical { return zs[2*mr+v] }
	bc := zs[2*mr+2:]
	if len(bc) > 4 {
		bc = bc[:4]
	}
	MOVQ(c, t)
	for r := 0; r < mr; r++ {
		PREFETCHT0(Mem{Base: t})
		PREFETCHT0(Mem{Base: t, Disp: 64})
		if r+1 < mr {
			ADDQ(ldc, t)
		}
	}
	Load(Param("bias"), t)
	for v := 0; v < 2; v++ {
		VMOVDQU32(Mem{Base: t, Disp: 64 * v}, acc(0, v))
		for r := 1; r < mr; r++ {
			VMOVDQA32(acc(0, v), acc(r, v))
		}
	}
	step := func(u int) {
		for v := 0; v < 2; v++ {
			VMOVDQU32(Mem{Base: b, Disp: (2*u + v) * 64}, B(v))
		}
		for r := 0; r < mr; r++ {
			z := bc[(u*mr+r)%len(bc)]
			VPBROADCASTD(Mem{Base: a, Disp: (u*mr + r) * 4}, z)
			for v := 0; v < 2; v++ {
				VPDPBUSD(B(v), z, acc(r, v))
			}
		}
	}
	MOVQ(k, k4)
	SHRQ(Imm(2), k4)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_loop")
	PREFETCHT1(Mem{Base: prefetch})
	PREFETCHT1(Mem{Base: prefetch, Disp: 64})
	ADDQ(stride, prefetch)
	for u := 0; u < 4; u++ {
		step(u)
	}
	ADDQ(U32(4*mr*4), a)
	ADDQ(U32(4*128), b)
	DECQ(k4)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_rest")
	ANDQ(Imm(3), k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_one")
	step(0)
	ADDQ(U32(mr*4), a)
	ADDQ(U32(128), b)
	DECQ(k)
	JNZ(LabelRef(name + "_one"))
	Label(name + "_done")
	Load(Param("mask"), t)
	KMOVW(t.As32(), K1)
	SHRQ(Imm(16), t)
	KMOVW(t.As32(), K2)
	masks := []Register{K1, K2}
	Load(Param("scaleB"), t)
	Load(Param("scaleA"), sa)
	for v := 0; v < 2; v++ {
		VMOVUPS(Mem{Base: t, Disp: 64 * v}, B(v))
	}
	Load(Param("acc"), t)
	for r := 0; r < mr; r++ {
		z := bc[r%len(bc)]
		VBROADCASTSS(Mem{Base: sa, Disp: 4 * r}, z)
		for v := 0; v < 2; v++ {
			VCVTDQ2PS(acc(r, v), acc(r, v))
			VMULPS(B(v), acc(r, v), acc(r, v))
			VMULPS(z, acc(r, v), acc(r, v))
		}
	}
	TESTQ(t, t)
	JZ(LabelRef(name + "_store"))
	for r := 0; r < mr; r++ {
		for v := 0; v < 2; v++ {
			VADDPS(Mem{Base: c, Disp: 64 * v}, acc(r, v), masks[v], acc(r, v))
			VMOVUPS(acc(r, v), masks[v], Mem{Base: c, Disp: 64 * v})
		}
		ADDQ(ldc, c)
	}
	VZEROUPPER()
	RET()
	Label(name + "_store")
	for r := 0; r < mr; r++ {
		for v := 0; v < 2; v++ {
			VMOVUPS(acc(r, v), masks[v], Mem{Base: c, Disp: 64 * v})
		}
		ADDQ(ldc, c)
	}
	VZEROUPPER()
	RET()
}

// bias512: bias[j] = -128·Σ b[k][j][·] for a panel of k groups of four terms:
// what the 128 added to each byte of A adds to the products.
func bias512() {
	name := "Int8Bias512"
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, b *byte, bias *int32)")
	Pragma("noescape")
	describe(name + " writes bias[j] = -128·Σ b[q,j,·] for the 32 columns of a panel of k groups of four signed bytes.")
	k, b, out := RCX, RSI, RDI
	Load(Param("k"), k)
	Load(Param("b"), b)
	Load(Param("bias"), out)
	constant(Z4, 0x80808080)
	for _, z := range []VecPhysical{Z0, Z1, Z5} {
		VPXORD(z, z, z)
	}
	TESTQ(k, k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	VMOVDQU32(Mem{Base: b}, Z2)
	VMOVDQU32(Mem{Base: b, Disp: 64}, Z3)
	VPDPBUSD(Z2, Z4, Z0)
	VPDPBUSD(Z3, Z4, Z1)
	ADDQ(U32(128), b)
	DECQ(k)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	VPSUBD(Z0, Z5, Z0)
	VPSUBD(Z1, Z5, Z1)
	VMOVDQU32(Z0, Mem{Base: out})
	VMOVDQU32(Z1, Mem{Base: out, Disp: 64})
	VZEROUPPER()
	RET()
}

// quads256 interleaves four rows of 32 bytes, k times: dst[q][j][i] = row 4q+i, byte j.
func quads256() {
	name := "InterleaveBytes8"
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, src *byte, stride int, dst *byte)")
	Pragma("noescape")
	describe(name + " interleaves groups of four rows of 32 bytes: dst[q][j][i] = byte j of row 4q+i, for k groups; stride is in bytes.")
	k, src, stride, dst, p := RCX, RSI, R8, RDI, RAX
	Load(Param("k"), k)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	TESTQ(k, k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	MOVQ(src, p)
	for i := 0; i < 4; i++ {
		VMOVDQU(Mem{Base: p}, ys[i])
		ADDQ(stride, p)
	}
	MOVQ(p, src)
	VPUNPCKLBW(Y1, Y0, Y4) // of each half of 16 bytes: its first 8, rows 0 and 1
	VPUNPCKHBW(Y1, Y0, Y5)
	VPUNPCKLBW(Y3, Y2, Y6)
	VPUNPCKHBW(Y3, Y2, Y7)
	VPUNPCKLWD(Y6, Y4, Y8)  // bytes 0-3 | 16-19
	VPUNPCKHWD(Y6, Y4, Y9)  // bytes 4-7 | 20-23
	VPUNPCKLWD(Y7, Y5, Y10) // bytes 8-11 | 24-27
	VPUNPCKHWD(Y7, Y5, Y11) // bytes 12-15 | 28-31
	for i, y := range []VecPhysical{Y8, Y9, Y10, Y11} {
		VMOVDQU(y.AsX(), Mem{Base: dst, Disp: 16 * i})
		VEXTRACTI128(Imm(1), y, Mem{Base: dst, Disp: 64 + 16*i})
	}
	ADDQ(U32(128), dst)
	DECQ(k)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// bytes512: q[i] = x[i]·by rounded to the nearest integer, ties to even, within
// ±127, xor flip; n elements.
func bytes512() {
	name := "RoundBytes512"
	TEXT(name, NOSPLIT|NOFRAME, "func(q *byte, x *float32, n int, by float32, flip uint64)")
	Pragma("noescape")
	describe(name + " writes q = x·by as bytes within ±127, rounded to the nearest, ties to even, xor flip.")
	dst, src, n, t := RDI, RSI, RCX, RAX
	Load(Param("q"), dst)
	Load(Param("x"), src)
	Load(Param("n"), n)
	broadcast("by", X1, Z1)
	constant(Z2, 127)
	constant(Z3, 0xFFFFFF81) // -127
	Load(Param("flip"), t)
	VMOVQ(t, X4)
	VPBROADCASTB(X4, X4)
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: src}, K1, Z0)
		VMULPS(Z1, Z0, Z0)
		VCVTPS2DQ(Z0, Z0)
		VPMINSD(Z2, Z0, Z0)
		VPMAXSD(Z3, Z0, Z0)
		VPMOVDB(Z0, X0)
		VPXOR(X4, X0, X0)
		VMOVDQU8(X0, K1, Mem{Base: dst})
		ADDQ(U32(64), src)
		ADDQ(U32(16), dst)
	})
	VZEROUPPER()
	RET()
}

// maxAbs512 is the largest absolute value of n elements, NaN if one is NaN; they
// are multiplied by mul first and the products written to y, unless mul is nil.
func maxAbs512() {
	name := "MaxAbs512"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x, mul *float32, n int) float32")
	Pragma("noescape")
	describe(name + " returns the largest absolute value of y = x·mul, or of x where mul is nil; NaN if one is NaN.")
	y, src, mul, n, t := RDI, RSI, RDX, RCX, RAX
	Load(Param("y"), y)
	Load(Param("x"), src)
	Load(Param("mul"), mul)
	Load(Param("n"), n)
	VPXORD(Z1, Z1, Z1)
	constant(Z2, 0x7FFFFFFF)
	TESTQ(mul, mul)
	JZ(LabelRef(name + "_alone"))
	tail(name+"_both", n, t, func() {
		VMOVUPS_Z(Mem{Base: src}, K1, Z0)
		VMOVUPS_Z(Mem{Base: mul}, K1, Z3)
		VMULPS(Z3, Z0, Z0)
		VMOVUPS(Z0, K1, Mem{Base: y})
		VPANDD(Z2, Z0, Z0)
		VPMAXUD(Z0, Z1, Z1) // as integers: NaN is above all numbers
		ADDQ(U32(64), src)
		ADDQ(U32(64), mul)
		ADDQ(U32(64), y)
	})
	JMP(LabelRef(name + "_max"))
	Label(name + "_alone")
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: src}, K1, Z0)
		VPANDD(Z2, Z0, Z0)
		VPMAXUD(Z0, Z1, Z1)
		ADDQ(U32(64), src)
	})
	Label(name + "_max")
	VEXTRACTI64X4(Imm(1), Z1, Y0)
	VPMAXUD(Y0, Y1, Y1)
	returnLargest()
}

// returnLargest returns the largest of the eight elements of Y1, as integers.
func returnLargest() {
	VEXTRACTI128(Imm(1), Y1, X0)
	VPMAXUD(X0, X1, X1)
	VPSHUFD(Imm(0x4E), X1, X0)
	VPMAXUD(X0, X1, X1)
	VPSHUFD(Imm(0xB1), X1, X0)
	VPMAXUD(X0, X1, X1)
	storeFloat(X1)
	VZEROUPPER()
	RET()
}
