package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// deq512 converts n blocks of 32 elements, stride bytes apart, to f32,
// without gaps: a half-precision scale d, in Q4_1 a minimum m, then the
// numbers q, of four bits the low halves first (GGML's block_q8_0, block_q4_0,
// block_q4_1): d·q, d·(q-8), d·q + m.
func deq512(format string) {
	name := "Decode512" + format
	TEXT(name, NOSPLIT|NOFRAME, "func(n int, src *byte, stride int, dst *float32)")
	Pragma("noescape")
	describe(name + " converts n blocks of 32 elements, stride bytes apart, to contiguous f32.")
	n, src, stride, dst := RCX, RSI, R8, RDI
	Load(Param("n"), n)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	low, eight := Z30, Z31
	if format != "Q8_0" {
		constant(low, 15)
		constant(eight, 8)
	}
	TESTQ(n, n)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	VPBROADCASTW(Mem{Base: src}, Y0)
	VCVTPH2PS(Y0, Z0)
	switch format {
	case "Q8_0":
		VPMOVSXBD(Mem{Base: src, Disp: 2}, Z2)
		VPMOVSXBD(Mem{Base: src, Disp: 18}, Z3)
	case "Q4_0":
		VPMOVZXBD(Mem{Base: src, Disp: 2}, Z2)
		VPSRLD(Imm(4), Z2, Z3)
		VPANDD(low, Z2, Z2)
		VPSUBD(eight, Z2, Z2)
		VPSUBD(eight, Z3, Z3)
	case "Q4_1":
		VPBROADCASTW(Mem{Base: src, Disp: 2}, Y1)
		VCVTPH2PS(Y1, Z1)
		VPMOVZXBD(Mem{Base: src, Disp: 4}, Z2)
		VPSRLD(Imm(4), Z2, Z3)
		VPANDD(low, Z2, Z2)
	}
	for _, z := range []VecPhysical{Z2, Z3} {
		VCVTDQ2PS(z, z)
		VMULPS(Z0, z, z)
		if format == "Q4_1" {
			VADDPS(Z1, z, z)
		}
	}
	VMOVUPS(Z2, Mem{Base: dst})
	VMOVUPS(Z3, Mem{Base: dst, Disp: 64})
	ADDQ(stride, src)
	ADDQ(U32(128), dst)
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// nibbles512 converts 32 numbers of four bits, shifted up by shift bits in 32
// bytes, to d·q - m: a part of GGML's block_q4_K.
func nibbles512() {
	name := "Decode512Nibbles"
	TEXT(name, NOSPLIT|NOFRAME, "func(src *byte, shift uint64, d, m float32, dst *float32)")
	Pragma("noescape")
	describe(name + " writes 32 elements d·q - m, q = src>>shift & 15 of a byte each.")
	src, dst, t := RSI, RDI, RAX
	Load(Param("src"), src)
	Load(Param("dst"), dst)
	Load(Param("shift"), t)
	VMOVQ(t, X4)
	constant(Z30, 15)
	broadcast("d", X0, Z0)
	broadcast("m", X1, Z1)
	for i, z := range []VecPhysical{Z2, Z3} {
		VPMOVZXBD(Mem{Base: src, Disp: 16 * i}, z)
		VPSRLD(X4, z, z)
		VPANDD(Z30, z, z)
		VCVTDQ2PS(z, z)
		VMULPS(Z0, z, z)
		VSUBPS(Z1, z, z)
		VMOVUPS(z, Mem{Base: dst, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

func broadcast(param string, x, z VecPhysical) {
	loadFloat(param, x)
	VBROADCASTSS(x, z)
}

// sixes512 converts 32 numbers of six bits, four in one array of bytes and two
// in another: q = (lo>>down & 15 | (hi>>over & 3)<<4) - 32, the first 16 times
// d0, the others times d1: a part of GGML's block_q6_K.
func sixes512() {
	name := "Decode512Sixes"
	TEXT(name, NOSPLIT|NOFRAME, "func(lo, hi *byte, down, over uint64, d0, d1 float32, dst *float32)")
	Pragma("noescape")
	describe(name + " writes 32 elements d·q, q = (lo>>down & 15 | (hi>>over & 3)<<4) - 32, d = d0 for the first 16 and d1 for the others.")
	lo, hi, dst, t := RSI, RDX, RDI, RAX
	Load(Param("lo"), lo)
	Load(Param("hi"), hi)
	Load(Param("dst"), dst)
	Load(Param("down"), t)
	VMOVQ(t, X4)
	Load(Param("over"), t)
	VMOVQ(t, X5)
	constant(Z30, 15)
	constant(Z29, 3)
	constant(Z28, 32)
	broadcast("d0", X0, Z0)
	broadcast("d1", X1, Z1)
	for i, z := range []VecPhysical{Z2, Z3} {
		VPMOVZXBD(Mem{Base: lo, Disp: 16 * i}, z)
		VPMOVZXBD(Mem{Base: hi, Disp: 16 * i}, Z6)
		VPSRLD(X4, z, z)
		VPSRLD(X5, Z6, Z6)
		VPANDD(Z30, z, z)
		VPANDD(Z29, Z6, Z6)
		VPSLLD(Imm(4), Z6, Z6)
		VPORD(Z6, z, z)
		VPSUBD(Z28, z, z)
		VCVTDQ2PS(z, z)
		VMULPS([]VecPhysical{Z0, Z1}[i], z, z)
		VMOVUPS(z, Mem{Base: dst, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

// fit4x512: of 32 factors, each in a lane, and q = x·by rounded and held within
// -8 and 7, the sums of x·q and q·q over 32 numbers, in their order.
func fit4x512() {
	name := "Fit512Q4"
	TEXT(name, NOSPLIT|NOFRAME, "func(sxq, sqq, x, by *float32)")
	Pragma("noescape")
	describe(name + " writes, for each of 32 factors by, Σ x·q and Σ q² over the 32 elements of x, q = x·by rounded and held within [-8, 7].")
	sxq, sqq, x, by, n := RDI, RSI, RDX, R8, RCX
	Load(Param("sxq"), sxq)
	Load(Param("sqq"), sqq)
	Load(Param("x"), x)
	Load(Param("by"), by)
	magic, low, high := Z31, Z30, Z29
	float(magic, 1.5*(1<<23))
	float(low, -8)
	float(high, 7)
	for h := 0; h < 2; h++ {
		VMOVUPS(Mem{Base: by, Disp: 64 * h}, zs[h])
		VPXORD(zs[2+h], zs[2+h], zs[2+h])
		VPXORD(zs[4+h], zs[4+h], zs[4+h])
	}
	MOVQ(U32(32), n)
	Label(name + "_loop")
	VBROADCASTSS(Mem{Base: x}, Z6)
	for h := 0; h < 2; h++ {
		q, t := zs[7+2*h], zs[8+2*h]
		VMULPS(zs[h], Z6, q)
		VADDPS(magic, q, q)
		VSUBPS(magic, q, q)
		VMAXPS(q, low, q) // the first operand written is the result when one is NaN
		VMINPS(q, high, q)
		VMULPS(q, Z6, t)
		VADDPS(t, zs[2+h], zs[2+h])
		VMULPS(q, q, t)
		VADDPS(t, zs[4+h], zs[4+h])
	}
	ADDQ(Imm(4), x)
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	for h := 0; h < 2; h++ {
		VMOVUPS(zs[2+h], Mem{Base: sxq, Disp: 64 * h})
		VMOVUPS(zs[4+h], Mem{Base: sqq, Disp: 64 * h})
	}
	VZEROUPPER()
	RET()
}
