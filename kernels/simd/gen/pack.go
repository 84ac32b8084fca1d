package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// packT512 transposes up to 16 rows of a matrix, converting to f32:
// dst[j][r] = src[r][j] for j < cols, r < rows; lanes beyond rows get zeros,
// and only the lanes of the mask are written.
func packT512(dtype string) {
	name := "PackT512" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64)")
	Pragma("noescape")
	describe(name + " transposes: dst[j][r] = src[r][j] as f32 for cols columns j and rows ≤ 16 rows r; lanes from rows on are zero, and only those in the mask lanes are written. stride and ldd are in bytes.")
	cols, rows, src, stride, dst, ldd, t, p := RCX, RBX, RSI, R8, RDI, R9, RAX, RDX
	Load(Param("rows"), rows)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	Load(Param("ldd"), ldd)
	Load(Param("lanes"), t)
	KMOVW(t.As32(), K2)
	size, whole := 4, 16 // bytes of an element; columns of a whole block
	switch dtype {
	case "F16":
		size = 2
	case "BF16":
		size, whole = 2, 32
	}
	// Whole blocks want rows 0 to 11. Of the last four those that are missing
	// are replaced by the last there is, if their lanes are not written.
	quarters := []GPPhysical{SI, R10, R11, R12}
	stride3, last := R13, []GPPhysical{R14, R15, RDX} // last: distances of rows 13 to 15 from row 12
	least := rows                                     // columns a whole block takes
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	XORQ(last[0], last[0])
	for i, d := range last {
		if i > 0 {
			MOVQ(last[i-1], d)
		}
		CMPQ(rows, U32(uint32(14+i)))
		JL(LabelRef(name + "_row" + itoa(13+i)))
		LEAQ(Mem{Base: d, Index: stride, Scale: 1}, d)
		Label(name + "_row" + itoa(13+i))
	}
	MOVQ(rows, cols)
	SHRQ(CL, t)
	Load(Param("cols"), cols)
	JNZ(LabelRef(name + "_part"))
	CMPQ(rows, U32(12))
	JLE(LabelRef(name + "_part"))
	for i, k := range []OpmaskPhysical{K3, K4, K5} {
		MOVQ(U32(0xF0<<(4*i)), t)
		KMOVW(t.As32(), k)
	}
	if dtype == "BF16" {
		MOVQ(U32(0xFFFF0000), t)
		VPBROADCASTD(t.As32(), Z31)
	}
	MOVQ(U32(uint32(whole)), least)
	Label(name + "_block")
	CMPQ(cols, least)
	JL(LabelRef(name + "_part"))
	wholeBlock(dtype, stride, stride3, quarters, last, dst, ldd)
	ADDQ(U32(uint32(whole*size)), src)
	SUBQ(least, cols)
	JG(LabelRef(name + "_block"))
	JMP(LabelRef(name + "_done"))
	Label(name + "_part")
	Load(Param("rows"), rows)
	MOVQ(U32(0xFFFF), t)
	CMPQ(cols, Imm(16))
	JGE(LabelRef(name + "_full"))
	MOVQ(U32(1), t)
	SHLQ(CL, t)
	SUBQ(Imm(1), t)
	Label(name + "_full")
	KMOVW(t.As32(), K1)
	for r := 0; r < 16; r++ {
		VPXORD(zs[r], zs[r], zs[r])
	}
	MOVQ(src, p)
	for r := 0; r < 16; r++ {
		CMPQ(rows, U32(uint32(r)))
		JLE(LabelRef(name + "_loaded"))
		switch dtype {
		case "F32":
			VMOVUPS_Z(Mem{Base: p}, K1, zs[r])
		case "F16":
			VMOVDQU16_Z(Mem{Base: p}, K1, zs[r].AsY())
			VCVTPH2PS(zs[r].AsY(), zs[r])
		case "BF16":
			VPMOVZXWD_Z(Mem{Base: p}, K1, zs[r])
			VPSLLD(Imm(16), zs[r], zs[r])
		}
		ADDQ(stride, p)
	}
	Label(name + "_loaded")
	transpose16()
	for j := 0; j < 16; j++ {
		CMPQ(cols, U32(uint32(j)))
		JLE(LabelRef(name + "_done"))
		VMOVUPS(zs[j], K2, Mem{Base: dst})
		ADDQ(ldd, dst)
	}
	ADDQ(U32(uint32(16*size)), src)
	SUBQ(Imm(16), cols)
	JG(LabelRef(name + "_part"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// transpose16 turns the rows in registers 0 to 15 into columns.
func transpose16() {
	// Four rounds of pairwise interleaving; afterwards zs[order] are the columns.
	for i := 0; i < 16; i += 2 {
		VUNPCKLPS(zs[i+1], zs[i], zs[16+i])
		VUNPCKHPS(zs[i+1], zs[i], zs[17+i])
	}
	for i := 0; i < 16; i += 4 {
		VUNPCKLPD(zs[18+i], zs[16+i], zs[i])
		VUNPCKHPD(zs[18+i], zs[16+i], zs[i+1])
		VUNPCKLPD(zs[19+i], zs[17+i], zs[i+2])
		VUNPCKHPD(zs[19+i], zs[17+i], zs[i+3])
	}
	// zs[4g+c] now holds, in its four quarters, columns c, 4+c, 8+c, 12+c of rows 4g..4g+3.
	for c := 0; c < 4; c++ {
		VSHUFF32X4(Imm(0x88), zs[4+c], zs[c], zs[16+c])    // rows 0-7: columns c and 8+c
		VSHUFF32X4(Imm(0xdd), zs[4+c], zs[c], zs[20+c])    // rows 0-7: columns 4+c and 12+c
		VSHUFF32X4(Imm(0x88), zs[12+c], zs[8+c], zs[24+c]) // rows 8-15
		VSHUFF32X4(Imm(0xdd), zs[12+c], zs[8+c], zs[28+c])
	}
	for c := 0; c < 4; c++ {
		VSHUFF32X4(Imm(0x88), zs[24+c], zs[16+c], zs[c])
		VSHUFF32X4(Imm(0x88), zs[28+c], zs[20+c], zs[4+c])
		VSHUFF32X4(Imm(0xdd), zs[24+c], zs[16+c], zs[8+c])
		VSHUFF32X4(Imm(0xdd), zs[28+c], zs[20+c], zs[12+c])
	}
}

// wholeBlock transposes 16 rows of 64 bytes (of F16: 32). A register takes the
// same quarter of every fourth row, straight from memory, which
// leaves only two rounds of interleaving to the one port that shuffles.
func wholeBlock(dtype string, stride, stride3 GPPhysical, quarters, last []GPPhysical, dst, ldd GPPhysical) {
	for i := 1; i < 4; i++ {
		LEAQ(Mem{Base: quarters[i-1], Index: stride, Scale: 4}, quarters[i])
	}
	row := func(r int) Mem {
		m := Mem{Base: quarters[r/4]}
		if r > 12 {
			m.Index, m.Scale = last[r-13], 1
			return m
		}
		switch r % 4 {
		case 1, 2:
			m.Index, m.Scale = stride, uint8(r%4)
		case 3:
			m.Index, m.Scale = stride3, 1
		}
		return m
	}
	store := func(z VecPhysical) {
		VMOVUPS(z, K2, Mem{Base: dst})
		ADDQ(ldd, dst)
	}
	if dtype == "F16" {
		for r := 0; r < 16; r++ {
			VCVTPH2PS(row(r), zs[r])
		}
		transpose16()
		for j := 0; j < 16; j++ {
			store(zs[j])
		}
		return
	}
	for c := 0; c < 4; c++ {
		q, t := zs[8*(c%2):], zs[16+4*(c%2):] // two in turn, for independence
		for i := 0; i < 4; i++ {
			VMOVUPS(row(i).Offset(16*c), q[i].AsX())
			for l, k := range []OpmaskPhysical{K3, K4, K5} {
				VBROADCASTF32X4(row(4*l+4+i).Offset(16*c), k, q[i])
			}
		}
		VUNPCKLPS(q[1], q[0], t[0])
		VUNPCKHPS(q[1], q[0], t[1])
		VUNPCKLPS(q[3], q[2], t[2])
		VUNPCKHPS(q[3], q[2], t[3])
		VUNPCKLPD(t[2], t[0], q[4])
		VUNPCKHPD(t[2], t[0], q[5])
		VUNPCKLPD(t[3], t[1], q[6])
		VUNPCKHPD(t[3], t[1], q[7])
		for i := 4; i < 8; i++ {
			if dtype == "F32" {
				store(q[i])
				continue
			}
			VPSLLD(Imm(16), q[i], q[i-4]) // of two adjacent columns, the first
			store(q[i-4])
			VPANDD(q[i], Z31, q[i])
			store(q[i])
		}
	}
}

// packN512 copies 32 columns of k rows into a panel, converting to f32. The
// row stride is large, so the rows to come are prefetched.
func packN512(dtype string) {
	name := "PackN512" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, src *byte, stride int, dst *float32)")
	Pragma("noescape")
	describe(name + " copies 32 columns of k rows, stride bytes apart, into a panel as f32.")
	k, src, stride, dst, ahead := RCX, RSI, R8, RDI, R9
	Load(Param("k"), k)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	MOVQ(stride, ahead)
	SHLQ(Imm(4), ahead)
	ADDQ(src, ahead)
	TESTQ(k, k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	for at := 0; at < 32*sizeOf(dtype); at += 64 {
		PREFETCHT0(Mem{Base: ahead, Disp: at})
	}
	widen512(dtype, Mem{Base: src}, Z0)
	widen512(dtype, Mem{Base: src, Disp: 16 * sizeOf(dtype)}, Z1)
	VMOVUPS(Z0, Mem{Base: dst})
	VMOVUPS(Z1, Mem{Base: dst, Disp: 64})
	ADDQ(stride, src)
	ADDQ(stride, ahead)
	ADDQ(U32(128), dst)
	DECQ(k)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// sizeOf is the bytes of an element.
func sizeOf(dtype string) int {
	if dtype == "F32" {
		return 4
	}
	return 2
}

// widen512 loads 16 elements as f32.
func widen512(dtype string, m Mem, z VecPhysical) {
	switch dtype {
	case "F32":
		VMOVUPS(m, z)
	case "F16":
		VCVTPH2PS(m, z)
	case "BF16":
		VPMOVZXWD(m, z)
		VPSLLD(Imm(16), z, z)
	}
}
