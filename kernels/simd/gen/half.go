package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// half512 rounds n numbers to half precision: narrow512 writes the halves,
// round512 the numbers they stand for. Numbers beyond the largest finite one
// become that first; NaN stays NaN.
func half512(dtype string, narrow bool) {
	name := "Round512" + dtype
	if narrow {
		name = "Narrow512" + dtype
		TEXT(name, NOSPLIT|NOFRAME, "func(dst *byte, src *float32, n int)")
	} else {
		TEXT(name, NOSPLIT|NOFRAME, "func(dst, src *float32, n int)")
	}
	Pragma("noescape")
	if narrow {
		describe(name + " rounds n numbers to half precision, ties to even; beyond the largest finite number they become that.")
	} else {
		describe(name + " rounds n numbers as Narrow512" + dtype + " does and widens them again.")
	}
	dst, src, n, t := RDI, RSI, RCX, RAX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	most := uint32(0x477FE000) // 65504
	if dtype == "BF16" {
		most = 0x7F7F0000
		constant(Z18, 0x7FFF)
		constant(Z19, 1)
		constant(Z20, 0x7FC00000)
	}
	constant(Z16, most)
	constant(Z17, most|1<<31)
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: src}, K1, Z0)
		VMINPS(Z0, Z16, Z0)
		VMAXPS(Z0, Z17, Z0)
		if dtype == "F16" {
			VCVTPS2PH(Imm(0), Z0, Y1)
			if narrow {
				VMOVDQU16(Y1, K1, Mem{Base: dst})
			} else {
				VCVTPH2PS(Y1, Z0)
			}
		} else {
			// bits + 0x7FFF + the last bit that stays, cut off.
			VCMPPS(Imm(3), Z0, Z0, K2)
			VPSRLD(Imm(16), Z0, Z1)
			VPANDD(Z19, Z1, Z1)
			VPADDD(Z18, Z1, Z1)
			VPADDD(Z1, Z0, Z0)
			VPSRLD(Imm(16), Z0, Z0)
			VPSRLD(Imm(16), Z20, K2, Z0)
			if narrow {
				VPMOVDW(Z0, K1, Mem{Base: dst})
			} else {
				VPSLLD(Imm(16), Z0, Z0)
			}
		}
		if !narrow {
			VMOVUPS(Z0, K1, Mem{Base: dst})
		}
		ADDQ(U32(64), src)
		if narrow {
			ADDQ(U32(32), dst)
		} else {
			ADDQ(U32(64), dst)
		}
	})
	VZEROUPPER()
	RET()
}
