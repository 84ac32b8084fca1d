package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// mask512 is dropout512 for pieces of a row: the hash of the first pair is
// given, those of the fifteen behind it lie offsets further.
func mask512() {
	name := "mask512"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x *float32, n int, offsets *[16]uint32, start, high, limit uint32, scale float32)")
	Pragma("noescape")
	Doc(name + " drops the columns of which 16 bits are below limit and scales the others.")
	y, x, n, t := RDI, RSI, RCX, RAX
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("n"), n)
	Load(Param("offsets"), t)
	VMOVDQU32(Mem{Base: t}, Z0)
	Load(Param("start"), EAX)
	VPBROADCASTD(EAX, Z16)
	VPADDD(Z16, Z0, Z0)
	Load(Param("high"), EAX)
	VPBROADCASTD(EAX, Z16)
	Load(Param("limit"), EAX)
	VPBROADCASTW(EAX, Z17)
	loadFloat("scale", X1)
	VBROADCASTSS(X1, Z18)
	const golden = 0x9E3779B9
	constant(Z19, golden*16&0xFFFFFFFF)
	constant(Z20, 0x7FEB352D)
	constant(Z21, 0x846CA68B)
	Label(name + "_loop")
	CMPQ(n, Imm(0))
	JLE(LabelRef(name + "_end"))
	MOVL(U32(0xFFFFFFFF), EAX)
	CMPQ(n, Imm(32))
	JGE(LabelRef(name + "_whole"))
	MOVQ(U32(1), t)
	SHLQ(CL, t)
	SUBQ(Imm(1), t)
	Label(name + "_whole")
	KMOVD(EAX, K1)
	VPSRLD(Imm(16), Z0, Z1)
	VPXORD(Z0, Z1, Z1)
	VPADDD(Z19, Z0, Z0)
	VPMULLD(Z20, Z1, Z1)
	VPSRLD(Imm(15), Z1, Z2)
	VPXORD(Z2, Z1, Z1)
	VPMULLD(Z21, Z1, Z1)
	VPSRLD(Imm(16), Z1, Z2)
	VPXORD(Z2, Z1, Z1)
	VPXORD(Z16, Z1, Z1)
	VPCMPUW(Imm(5), Z17, Z1, K2) // bits ≥ limit
	KSHIFTRD(Imm(16), K1, K3)
	KSHIFTRD(Imm(16), K2, K4)
	VMOVUPS_Z(Mem{Base: x}, K1, Z3)
	VMOVUPS_Z(Mem{Base: x, Disp: 64}, K3, Z4)
	VMULPS_Z(Z18, Z3, K2, Z3)
	VMULPS_Z(Z18, Z4, K4, Z4)
	VMOVUPS(Z3, K1, Mem{Base: y})
	VMOVUPS(Z4, K3, Mem{Base: y, Disp: 64})
	ADDQ(U32(128), x)
	ADDQ(U32(128), y)
	SUBQ(Imm(32), n)
	JMP(LabelRef(name + "_loop"))
	Label(name + "_end")
	VZEROUPPER()
	RET()
}
