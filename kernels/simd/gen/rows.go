package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rowTiles: C[mr, 16·nv] (+)= A·B. The terms of a row of A are contiguous, with
// a row stride of lda bytes; those of B are rows of a panel. It repeats with the
// next mr rows of A and C, tiles times. mask selects the columns of C that exist
// (on AVX-512; on AVX2 all do); acc adds to C. Every four terms prefetch two
// cache lines at prefetch, which advances by step bytes, and a share of the next
// tile's rows.
func rowTiles(wide bool, mr, nv int) {
	name, regs, size, panel := "RowGemm8x", ys, 32, 64
	if wide {
		name, regs, size, panel = "RowGemm512x", zs, 64, 128
	}
	name += itoa(mr)
	if wide && nv == 1 {
		name += "half"
	}
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a *float32, lda int, b, c *float32, ldc, tiles int, mask, acc uint64, prefetch *byte, step int)")
	Pragma("noescape")
	describe(name + " computes c[i,j] (+)= Σ a[i,q]·b[q,j] over k terms q, for tiles times " + itoa(mr) + " rows and " + itoa(nv*size/4) + " columns of a panel.")
	t, k, at, lda, lda3, b, c, ldc, tiles, prefetch, stride := RAX, RCX, RSI, RBX, R8, RDI, RDX, R9, R10, R11, R12
	group := []GPPhysical{R13, R14, R15} // addresses of rows 0, 5 and 10
	for _, p := range []struct {
		name string
		to   Register
	}{{"a", at}, {"lda", lda}, {"c", c}, {"ldc", ldc}, {"tiles", tiles}, {"prefetch", prefetch}, {"step", stride}} {
		Load(Param(p.name), p.to)
	}
	if wide {
		Load(Param("mask"), t)
		KMOVW(t.As32(), K1)
		if nv == 2 {
			SHRQ(Imm(16), t)
			KMOVW(t.As32(), K2)
		}
	}
	masks := []Register{K1, K2}
	LEAQ(Mem{Base: lda, Index: lda, Scale: 2}, lda3)
	na := nv * mr
	acc := func(r, v int) VecPhysical { return regs[nv*r+v] }
	B := func(v int) VecPhysical { return regs[na+v] }
	bc := regs[na+nv:]
	if len(bc) > 4 {
		bc = bc[:4]
	}
	element := func(r, u int) Mem {
		m := Mem{Base: group[r/5], Disp: 4 * u}
		switch r % 5 {
		case 1, 2, 4:
			m.Index, m.Scale = lda, uint8(r%5)
		case 3:
			m.Index, m.Scale = lda3, 1
		}
		return m
	}
	step := func(u int) {
		for v := 0; v < nv; v++ {
			VMOVUPS(Mem{Base: b, Disp: u*panel + v*size}, B(v))
		}
		for r := 0; r < mr; r++ {
			x := bc[(u*mr+r)%len(bc)]
			VBROADCASTSS(element(r, u), x)
			for v := 0; v < nv; v++ {
				VFMADD231PS(x, B(v), acc(r, v))
			}
		}
	}
	// below advances an address by mr rows of A.
	below := func(p GPPhysical) {
		for n := mr; n > 0; n -= min(n, 4) {
			switch min(n, 4) {
			case 4:
				LEAQ(Mem{Base: p, Index: lda, Scale: 4}, p)
			case 3:
				ADDQ(lda3, p)
			case 2:
				LEAQ(Mem{Base: p, Index: lda, Scale: 2}, p)
			case 1:
				ADDQ(lda, p)
			}
		}
	}
	forward := func(terms int) {
		for g := 0; 5*g < mr; g++ {
			ADDQ(U32(uint32(4*terms)), group[g])
		}
		ADDQ(U32(uint32(terms*panel)), b)
	}
	Label(name + "_tile")
	MOVQ(at, group[0])
	for g := 1; 5*g < mr; g++ {
		LEAQ(Mem{Base: group[g-1], Index: lda, Scale: 4}, group[g])
		ADDQ(lda, group[g])
	}
	Load(Param("b"), b)
	for i := 0; i < na; i++ {
		if wide {
			VPXORD(regs[i], regs[i], regs[i])
		} else {
			VXORPS(regs[i], regs[i], regs[i])
		}
	}
	MOVQ(at, t)
	below(t)
	Load(Param("k"), k)
	SHRQ(Imm(2), k)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_loop")
	PREFETCHT0(Mem{Base: prefetch})
	PREFETCHT0(Mem{Base: prefetch, Disp: 64})
	ADDQ(stride, prefetch)
	for at := 0; at < 16*mr; at += 64 {
		PREFETCHT0(Mem{Base: t, Disp: at})
	}
	ADDQ(U32(uint32(16*mr)), t)
	for u := 0; u < 4; u++ {
		step(u)
	}
	forward(4)
	DECQ(k)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_rest")
	Load(Param("k"), k)
	ANDQ(Imm(3), k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_one")
	step(0)
	forward(1)
	DECQ(k)
	JNZ(LabelRef(name + "_one"))
	Label(name + "_done")
	Load(Param("acc"), t)
	TESTQ(t, t)
	JZ(LabelRef(name + "_store"))
	MOVQ(c, t)
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			if wide {
				VADDPS(Mem{Base: t, Disp: size * v}, acc(r, v), masks[v], acc(r, v))
			} else {
				VADDPS(Mem{Base: t, Disp: size * v}, acc(r, v), acc(r, v))
			}
		}
		if r+1 < mr {
			ADDQ(ldc, t)
		}
	}
	Label(name + "_store")
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			if wide {
				VMOVUPS(acc(r, v), masks[v], Mem{Base: c, Disp: size * v})
			} else {
				VMOVUPS(acc(r, v), Mem{Base: c, Disp: size * v})
			}
		}
		ADDQ(ldc, c)
	}
	below(at)
	DECQ(tiles)
	JNZ(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}
