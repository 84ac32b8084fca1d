package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// load256 brings eight elements into a register as f32.
func load256(dtype string, m Mem, y VecPhysical) {
	switch dtype {
	case "F32":
		VMOVUPS(m, y)
	case "F16":
		VCVTPH2PS(m, y)
	case "BF16":
		VPMOVZXWD(m, y)
		VPSLLD(Imm(16), y, y)
	}
}

// packT256 transposes up to 8 rows of a matrix, eight columns at a time,
// converting to f32: dst[j][r] = src[r][j] for r < rows, and zero up to eight
// lanes, all of which are written.
func packT256(dtype string) {
	name := "PackT8" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(blocks, rows int, src *byte, stride int, dst *float32, ldd int)")
	Pragma("noescape")
	describe(name + " transposes: dst[j][r] = src[r][j] as f32 for 8·blocks columns j and rows ≤ 8 rows r; all eight lanes are written, zero from rows on. stride and ldd are in bytes.")
	blocks, rows, src, stride, dst, ldd, p := RCX, RBX, RSI, R8, RDI, R9, RDX
	Load(Param("blocks"), blocks)
	Load(Param("rows"), rows)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	Load(Param("ldd"), ldd)
	size := 4
	if dtype != "F32" {
		size = 2
	}
	TESTQ(blocks, blocks)
	JZ(LabelRef(name + "_done"))
	Label(name + "_block")
	for r := 0; r < 8; r++ {
		VXORPS(ys[r], ys[r], ys[r])
	}
	MOVQ(src, p)
	for r := 0; r < 8; r++ {
		CMPQ(rows, Imm(uint64(r)))
		JLE(LabelRef(name + "_loaded"))
		load256(dtype, Mem{Base: p}, ys[r])
		ADDQ(stride, p)
	}
	Label(name + "_loaded")
	for i := 0; i < 8; i += 2 {
		VUNPCKLPS(ys[i+1], ys[i], ys[8+i])
		VUNPCKHPS(ys[i+1], ys[i], ys[9+i])
	}
	for i := 0; i < 8; i += 4 {
		VUNPCKLPD(ys[10+i], ys[8+i], ys[i])
		VUNPCKHPD(ys[10+i], ys[8+i], ys[i+1])
		VUNPCKLPD(ys[11+i], ys[9+i], ys[i+2])
		VUNPCKHPD(ys[11+i], ys[9+i], ys[i+3])
	}
	for j := 0; j < 8; j++ {
		half := uint64(0x20)
		if j >= 4 {
			half = 0x31
		}
		VPERM2F128(Imm(half), ys[4+j%4], ys[j%4], Y8)
		VMOVUPS(Y8, Mem{Base: dst})
		ADDQ(ldd, dst)
	}
	ADDQ(Imm(uint64(8*size)), src)
	DECQ(blocks)
	JNZ(LabelRef(name + "_block"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// packN256 copies 16 columns of k rows into a panel, converting to f32.
func packN256(dtype string) {
	name := "PackN8" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, src *byte, stride int, dst *float32)")
	Pragma("noescape")
	describe(name + " copies 16 columns of k rows, stride bytes apart, into a panel as f32.")
	k, src, stride, dst := RCX, RSI, R8, RDI
	Load(Param("k"), k)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	half := 32
	if dtype != "F32" {
		half = 16
	}
	TESTQ(k, k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	load256(dtype, Mem{Base: src}, Y0)
	load256(dtype, Mem{Base: src, Disp: half}, Y1)
	VMOVUPS(Y0, Mem{Base: dst})
	VMOVUPS(Y1, Mem{Base: dst, Disp: 32})
	ADDQ(stride, src)
	ADDQ(Imm(64), dst)
	DECQ(k)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}
