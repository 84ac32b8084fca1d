package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// deq256 is deq512 for AVX2.
func deq256(format string) {
	name := "Decode8" + format
	TEXT(name, NOSPLIT|NOFRAME, "func(n int, src *byte, stride int, dst *float32)")
	Pragma("noescape")
	describe(name + " converts n blocks of 32 elements, stride bytes apart, to contiguous f32.")
	n, src, stride, dst := RCX, RSI, R8, RDI
	Load(Param("n"), n)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	low, eight := Y15, Y14
	if format != "Q8_0" {
		fill256(low, 15)
		fill256(eight, 8)
	}
	TESTQ(n, n)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	half(Mem{Base: src}, Y0)
	q := []VecPhysical{Y2, Y3, Y4, Y5}
	switch format {
	case "Q8_0":
		for c, y := range q {
			VPMOVSXBD(Mem{Base: src, Disp: 2 + 8*c}, y)
		}
	default:
		at := 2
		if format == "Q4_1" {
			half(Mem{Base: src, Disp: 2}, Y1)
			at = 4
		}
		for c := range 2 {
			VPMOVZXBD(Mem{Base: src, Disp: at + 8*c}, q[c])
			VPSRLD(Imm(4), q[c], q[2+c])
			VPAND(low, q[c], q[c])
		}
		if format == "Q4_0" {
			for _, y := range q {
				VPSUBD(eight, y, y)
			}
		}
	}
	for c, y := range q {
		VCVTDQ2PS(y, y)
		VMULPS(Y0, y, y)
		if format == "Q4_1" {
			VADDPS(Y1, y, y)
		}
		VMOVUPS(y, Mem{Base: dst, Disp: 32 * c})
	}
	ADDQ(stride, src)
	ADDQ(U32(128), dst)
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// nibbles256 is nibbles512 for AVX2.
func nibbles256() {
	name := "Decode8Nibbles"
	TEXT(name, NOSPLIT|NOFRAME, "func(src *byte, shift uint64, d, m float32, dst *float32)")
	Pragma("noescape")
	describe(name + " writes 32 elements d·q - m, q = src>>shift & 15 of a byte each.")
	src, dst, t := RSI, RDI, RCX
	Load(Param("src"), src)
	Load(Param("dst"), dst)
	Load(Param("shift"), t)
	VMOVQ(t, X4)
	fill256(Y15, 15)
	broadcast("d", X0, Y0)
	broadcast("m", X1, Y1)
	for c := range 4 {
		VPMOVZXBD(Mem{Base: src, Disp: 8 * c}, Y2)
		VPSRLD(X4, Y2, Y2)
		VPAND(Y15, Y2, Y2)
		VCVTDQ2PS(Y2, Y2)
		VMULPS(Y0, Y2, Y2)
		VSUBPS(Y1, Y2, Y2)
		VMOVUPS(Y2, Mem{Base: dst, Disp: 32 * c})
	}
	VZEROUPPER()
	RET()
}

// sixes256 is sixes512 for AVX2.
func sixes256() {
	name := "Decode8Sixes"
	TEXT(name, NOSPLIT|NOFRAME, "func(lo, hi *byte, down, over uint64, d0, d1 float32, dst *float32)")
	Pragma("noescape")
	describe(name + " writes 32 elements d·q, q = (lo>>down & 15 | (hi>>over & 3)<<4) - 32, d = d0 for the first 16 and d1 for the others.")
	lo, hi, dst, t := RSI, RDX, RDI, RCX
	Load(Param("lo"), lo)
	Load(Param("hi"), hi)
	Load(Param("dst"), dst)
	Load(Param("down"), t)
	VMOVQ(t, X4)
	Load(Param("over"), t)
	VMOVQ(t, X5)
	fill256(Y15, 15)
	fill256(Y14, 3)
	fill256(Y13, 32)
	broadcast("d0", X0, Y0)
	broadcast("d1", X1, Y1)
	for c := range 4 {
		VPMOVZXBD(Mem{Base: lo, Disp: 8 * c}, Y2)
		VPMOVZXBD(Mem{Base: hi, Disp: 8 * c}, Y3)
		VPSRLD(X4, Y2, Y2)
		VPSRLD(X5, Y3, Y3)
		VPAND(Y15, Y2, Y2)
		VPAND(Y14, Y3, Y3)
		VPSLLD(Imm(4), Y3, Y3)
		VPOR(Y3, Y2, Y2)
		VPSUBD(Y13, Y2, Y2)
		VCVTDQ2PS(Y2, Y2)
		VMULPS(ys[c/2], Y2, Y2)
		VMOVUPS(Y2, Mem{Base: dst, Disp: 32 * c})
	}
	VZEROUPPER()
	RET()
}
