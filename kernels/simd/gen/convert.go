package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// cvt512 converts n elements to f32.
func cvt512(dtype string) {
	name := "Widen512" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(dst *float32, src *byte, n int)")
	Pragma("noescape")
	describe(name + " converts n elements to f32.")
	dst, src, n, t := RDI, RSI, RCX, RAX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	tail(name, n, t, func() {
		if dtype == "F16" {
			VMOVDQU16_Z(Mem{Base: src}, K1, Y0)
			VCVTPH2PS(Y0, Z0)
		} else {
			VPMOVZXWD_Z(Mem{Base: src}, K1, Z0)
			VPSLLD(Imm(16), Z0, Z0)
		}
		VMOVUPS(Z0, K1, Mem{Base: dst})
		ADDQ(U32(32), src)
		ADDQ(U32(64), dst)
	})
	VZEROUPPER()
	RET()
}

// cvt256 converts n elements to f32, n a multiple of 8.
func cvt256(dtype string) {
	name := "Widen8" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(dst *float32, src *byte, n int)")
	Pragma("noescape")
	describe(name + " converts n elements to f32; n is a multiple of 8.")
	dst, src, n := RDI, RSI, RCX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	Label(name + "_loop")
	CMPQ(n, Imm(0))
	JLE(LabelRef(name + "_end"))
	if dtype == "F16" {
		VCVTPH2PS(Mem{Base: src}, Y0)
	} else {
		VPMOVZXWD(Mem{Base: src}, Y0)
		VPSLLD(Imm(16), Y0, Y0)
	}
	VMOVUPS(Y0, Mem{Base: dst})
	ADDQ(U32(16), src)
	ADDQ(U32(32), dst)
	SUBQ(Imm(8), n)
	JMP(LabelRef(name + "_loop"))
	Label(name + "_end")
	VZEROUPPER()
	RET()
}
