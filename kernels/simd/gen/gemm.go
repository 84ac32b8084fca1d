package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// gemm512: C[mr, 16·nv] = A [k][mr] · B [k][16·nv]. The stride between terms is
// lda bytes in A and ldb in B, packed or not. mask selects the columns of C
// that exist. acc adds from, which may be C and whose row stride is ldf bytes.
// Every four terms prefetch two cache lines at prefetch, which advances by step
// bytes, and as much at next as they read of A: the loads of what is packed and
// multiplied next overlap with the arithmetic.
//
// With a dtype, the columns are read from src, with a row stride of lds bytes,
// and written to the panel b on the way.
func gemm512(mr, nv int, dtype string) {
	name := "Gemm512x" + itoa(mr)
	doc, more := " computes c[i,j] = (acc ? from[i,j] : 0) + Σ a[q,i]·b[q,j] over k terms q, for "+itoa(mr)+" rows and "+itoa(16*nv)+" columns", ""
	if nv == 1 {
		name += "half"
	}
	if dtype != "" {
		name, doc, more = name+dtype, doc+", b packed on the way from src", ", src *byte, lds int"
	}
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int, mask, acc uint64, prefetch *byte, step int, next *float32"+more+")")
	Pragma("noescape")
	describe(name + doc + ".")
	k, a, b, c, ldc, t, k4, prefetch, stride, next, lda, ldb := RCX, RSI, RDI, RDX, R8, RAX, R9, R10, R11, R12, R13, RBX
	Load(Param("lda"), lda)
	Load(Param("ldb"), ldb)
	Load(Param("next"), next)
	Load(Param("prefetch"), prefetch)
	Load(Param("step"), stride)
	Load(Param("k"), k)
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
	src, lds, srcAhead := R14, R15, RDX
	if dtype != "" {
		Load(Param("src"), src)
		Load(Param("lds"), lds)
	}
	acc := func(r, v int) VecPhysical { return zs[nv*r+v] }
	na := nv * mr
	B := func(v int) VecPhysical { return zs[na+v] }
	bc := zs[na+nv:]
	if len(bc) > 4 {
		bc = bc[:4]
	}
	MOVQ(c, t)
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			PREFETCHT0(Mem{Base: t, Disp: 64 * v})
		}
		if r+1 < mr {
			ADDQ(ldc, t)
		}
	}
	from, ldf := RAX, R9
	Load(Param("from"), from)
	CMPQ(from, c)
	JEQ(LabelRef(name + "_near"))
	Load(Param("ldf"), ldf)
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			PREFETCHT0(Mem{Base: from, Disp: 64 * v})
		}
		if r+1 < mr {
			ADDQ(ldf, from)
		}
	}
	Label(name + "_near")
	if dtype != "" {
		LEAQ(Mem{Base: src, Index: lds, Scale: 8}, srcAhead)
	}
	for i := 0; i < na; i++ {
		VPXORD(zs[i], zs[i], zs[i])
	}
	step := func(u int) {
		for v := 0; v < nv; v++ {
			if dtype == "" {
				VMOVUPS(Mem{Base: b, Disp: v * 64}, B(v))
				continue
			}
			widen512(dtype, Mem{Base: src, Disp: 16 * v * sizeOf(dtype)}, B(v))
			VMOVUPS(B(v), Mem{Base: b, Disp: v * 64})
		}
		if dtype != "" {
			for at := 0; at < 32*sizeOf(dtype); at += 64 {
				PREFETCHT0(Mem{Base: srcAhead, Disp: at})
			}
			ADDQ(lds, src)
			ADDQ(lds, srcAhead)
		}
		for r := 0; r < mr; r++ {
			z := bc[(u*mr+r)%len(bc)]
			VBROADCASTSS(Mem{Base: a, Disp: r * 4}, z)
			for v := 0; v < nv; v++ {
				VFMADD231PS(z, B(v), acc(r, v))
			}
		}
		ADDQ(lda, a)
		ADDQ(ldb, b)
	}
	MOVQ(k, k4)
	SHRQ(Imm(2), k4)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_loop")
	PREFETCHT1(Mem{Base: prefetch})
	PREFETCHT1(Mem{Base: prefetch, Disp: 64})
	ADDQ(stride, prefetch)
	for at := 0; at < 16*mr; at += 64 {
		PREFETCHT0(Mem{Base: next, Disp: at})
	}
	ADDQ(U32(uint32(16*mr)), next)
	for u := 0; u < 4; u++ {
		step(u)
	}
	DECQ(k4)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_rest")
	ANDQ(Imm(3), k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_one")
	step(0)
	DECQ(k)
	JNZ(LabelRef(name + "_one"))
	Label(name + "_done")
	if dtype != "" {
		Load(Param("c"), c)
	}
	Load(Param("mask"), t)
	masks := []Register{K1, K2}
	KMOVW(t.As32(), K1)
	if nv == 2 {
		SHRQ(Imm(16), t)
		KMOVW(t.As32(), K2)
	}
	Load(Param("acc"), t)
	TESTQ(t, t)
	JZ(LabelRef(name + "_store"))
	Load(Param("from"), from)
	Load(Param("ldf"), ldf)
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			VADDPS_Z(Mem{Base: from, Disp: 64 * v}, acc(r, v), masks[v], acc(r, v))
		}
		ADDQ(ldf, from)
	}
	Label(name + "_store")
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			VMOVUPS(acc(r, v), masks[v], Mem{Base: c, Disp: 64 * v})
		}
		ADDQ(ldc, c)
	}
	VZEROUPPER()
	RET()
}

// gemm256: the same with C[mr, 16], all columns, for tiles panels of A, one after the
// other in C and more bytes apart: a tile is so short that a call for each would cost a
// twentieth of the time.
func gemm256(mr int) {
	name := "Gemm8x" + itoa(mr)
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf, tiles int, acc uint64, prefetch *byte, step int, next *float32, more int)")
	Pragma("noescape")
	describe(name + " computes c[i,j] = (acc ? from[i,j] : 0) + Σ a[q,i]·b[q,j] over k terms q, for " + itoa(mr) + " rows and 16 columns, tiles times: the next rows of A begin more bytes after the last term of these.")
	k, a, b, c, ldc, t, k4, prefetch, stride, next, lda, ldb, tiles, more := RCX, RSI, RDI, RDX, R8, RAX, R9, R10, R11, R12, R13, RBX, R14, R15
	for _, p := range []struct {
		name string
		to   Register
	}{{"a", a}, {"lda", lda}, {"ldb", ldb}, {"c", c}, {"ldc", ldc}, {"prefetch", prefetch}, {"step", stride}, {"next", next}, {"tiles", tiles}, {"more", more}} {
		Load(Param(p.name), p.to)
	}
	from, err := Param("from").Resolve()
	if err != nil {
		panic(err)
	}
	acc := func(r, v int) VecPhysical { return ys[2*r+v] }
	Label(name + "_tile")
	Load(Param("k"), k)
	Load(Param("b"), b)
	for i := 0; i < 2*mr; i++ {
		VXORPS(ys[i], ys[i], ys[i])
	}
	step := func() {
		VMOVUPS(Mem{Base: b}, Y12)
		VMOVUPS(Mem{Base: b, Disp: 32}, Y13)
		for r := 0; r < mr; r++ {
			z := []VecPhysical{Y14, Y15}[r%2]
			VBROADCASTSS(Mem{Base: a, Disp: r * 4}, z)
			VFMADD231PS(z, Y12, acc(r, 0))
			VFMADD231PS(z, Y13, acc(r, 1))
		}
		ADDQ(lda, a)
		ADDQ(ldb, b)
	}
	MOVQ(k, k4)
	SHRQ(Imm(2), k4)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_loop")
	PREFETCHT0(Mem{Base: prefetch})
	PREFETCHT0(Mem{Base: prefetch, Disp: 64})
	for at := 0; at < 16*mr; at += 64 {
		PREFETCHT0(Mem{Base: next, Disp: at})
	}
	ADDQ(stride, prefetch)
	ADDQ(U32(uint32(16*mr)), next)
	for u := 0; u < 4; u++ {
		step()
	}
	DECQ(k4)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_rest")
	ANDQ(Imm(3), k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_one")
	step()
	DECQ(k)
	JNZ(LabelRef(name + "_one"))
	Label(name + "_done")
	Load(Param("acc"), t)
	TESTQ(t, t)
	JZ(LabelRef(name + "_store"))
	MOVQ(from.Addr, t)
	Load(Param("ldf"), k4)
	for r := 0; r < mr; r++ {
		VADDPS(Mem{Base: t}, acc(r, 0), acc(r, 0))
		VADDPS(Mem{Base: t, Disp: 32}, acc(r, 1), acc(r, 1))
		ADDQ(k4, t)
	}
	MOVQ(t, from.Addr)
	Label(name + "_store")
	for r := 0; r < mr; r++ {
		VMOVUPS(acc(r, 0), Mem{Base: c})
		VMOVUPS(acc(r, 1), Mem{Base: c, Disp: 32})
		ADDQ(ldc, c)
	}
	ADDQ(more, a)
	ADDQ(more, next)
	DECQ(tiles)
	JNZ(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}
