package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// exp2Consts loads the constants of exp2 into Z16..Z22.
func exp2Consts() {
	// 2^f on [-1/2, 1/2] within 9.2e-8, the least greatest relative error of a
	// polynomial of fifth degree that is 1 at 0.
	for i, f := range []float32{0.0013264727065362275, 0.009671512648915422, 0.055507337436909276, 0.24022242085173157, 0.6931469775988577, 1, -125} {
		float(zs[16+i], f)
	}
}

// exp2 puts 2^x into y, or zero where that would be near a denormal, which
// makes the products that follow slow; x is destroyed, n and K3 are scratch.
// NaN stays NaN.
func exp2(x, y, n VecPhysical) {
	VCMPPS(Imm(5), Z22, x, K3) // not less
	VRNDSCALEPS(Imm(0), x, n)
	VSUBPS(n, x, x)
	VMOVAPS(Z16, y)
	for i := 17; i <= 21; i++ {
		VFMADD213PS(zs[i], x, y)
	}
	VSCALEFPS_Z(n, y, K3, y)
}

// softmaxCols512 works on a panel of scores, a key a row, whose 32 columns are
// queries, so that nothing is summed across a register. lanes says how many of
// the keys each query sees; the first full rows are seen by all. A score that
// is NaN is passed over in the maximum, as in its twin.
func softmaxCols512() {
	name := "SoftmaxCols512"
	TEXT(name, NOSPLIT|NOFRAME, "func(s *float32, full, seen int, lanes *int32, c float32, top, sum, rescale *float32)")
	Pragma("noescape")
	describe(name + " updates the online softmax of 32 columns by the scores s of seen more keys, a row each; column i sees the first lanes[i] keys, all of them the first full. s becomes exp2(c·(s - top)); top and sum are updated, rescale is what the sums so far were multiplied by.")
	s, full, seen, t, p := RDI, RCX, RDX, RAX, RSI
	exp2Consts()
	loadFloat("c", X8)
	VBROADCASTSS(X8, Z8)
	Load(Param("lanes"), t)
	VMOVDQU32(Mem{Base: t}, Z9)
	VMOVDQU32(Mem{Base: t, Disp: 64}, Z10)
	constant(Z12, 1)
	Load(Param("full"), full)
	Load(Param("seen"), seen)
	// rows runs over both kinds of rows: those all see, two columns at once,
	// and those with masks in K1 and K2.
	rows := func(pass string, whole, masked func()) {
		Load(Param("s"), s)
		MOVQ(full, t)
		TESTQ(t, t)
		JZ(LabelRef(name + pass + "_rest"))
		Label(name + pass + "_loop")
		whole()
		ADDQ(U32(128), s)
		DECQ(t)
		JNZ(LabelRef(name + pass + "_loop"))
		Label(name + pass + "_rest")
		MOVQ(full, t)
		VPBROADCASTD(t.As32(), Z11)
		Label(name + pass + "_masked")
		CMPQ(t, seen)
		JGE(LabelRef(name + pass + "_end"))
		VPCMPGTD(Z11, Z9, K1)
		VPCMPGTD(Z11, Z10, K2)
		masked()
		VPADDD(Z12, Z11, Z11)
		ADDQ(U32(128), s)
		INCQ(t)
		JMP(LabelRef(name + pass + "_masked"))
		Label(name + pass + "_end")
	}
	cols := []struct{ top, sum VecPhysical }{{Z2, Z6}, {Z3, Z7}}
	masks := []Register{K1, K2}
	Load(Param("top"), p)
	VMOVUPS(Mem{Base: p}, Z2)
	VMOVUPS(Mem{Base: p, Disp: 64}, Z3)
	VMOVAPS(Z2, Z14) // what the maxima were
	VMOVAPS(Z3, Z15)
	rows("_max", func() {
		for i, c := range cols {
			VMOVUPS(Mem{Base: s, Disp: 64 * i}, zs[24+i])
			VMAXPS(c.top, zs[24+i], c.top)
		}
	}, func() {
		for i, c := range cols {
			VMOVUPS(Mem{Base: s, Disp: 64 * i}, zs[24+i])
			VMAXPS(c.top, zs[24+i], masks[i], c.top)
		}
	})
	VMOVUPS(Z2, Mem{Base: p})
	VMOVUPS(Z3, Mem{Base: p, Disp: 64})
	Load(Param("rescale"), p)
	Load(Param("sum"), t)
	for i, c := range cols {
		VSUBPS(c.top, zs[14+i], zs[24+i])
		VMULPS(Z8, zs[24+i], zs[24+i])
		exp2(zs[24+i], zs[26+i], zs[28+i])
		VMOVUPS(zs[26+i], Mem{Base: p, Disp: 64 * i})
		VMULPS(Mem{Base: t, Disp: 64 * i}, zs[26+i], c.sum)
	}
	whole := func(masked bool) func() {
		return func() {
			for i, c := range cols {
				x, y, n := zs[24+i], zs[26+i], zs[28+i]
				VMOVUPS(Mem{Base: s, Disp: 64 * i}, x)
				VSUBPS(c.top, x, x) // before the product: the greatest is 2^0, however great
				VMULPS(Z8, x, x)
				exp2(x, y, n)
				if masked {
					VMOVAPS_Z(y, masks[i], y)
				}
				VADDPS(y, c.sum, c.sum)
				VMOVUPS(y, Mem{Base: s, Disp: 64 * i})
			}
		}
	}
	rows("_exp", whole(false), whole(true))
	Load(Param("sum"), p)
	VMOVUPS(Z6, Mem{Base: p})
	VMOVUPS(Z7, Mem{Base: p, Disp: 64})
	VZEROUPPER()
	RET()
}

// softmaxGrad512 works on a panel whose rows are queries and whose 32 columns
// are keys, of which a query sees the first few; rows of ds are stride bytes
// apart: p = 2^(c·p − lse),
// ds = p·(ds − delta)·scale, zeros in the columns that are not seen.
func softmaxGrad512() {
	name := "SoftmaxGrad512"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32)")
	Pragma("noescape")
	describe(name + " turns scores p into probabilities exp2(c·p - lse), and the gradients ds of those into p·(ds - delta)·scale, zeros in columns from seen[r] on; ds has a row stride in bytes.")
	p, ds, rows, seen, lse, delta, t, ones, n, stride := RDI, RSI, RCX, RDX, R8, R9, RAX, R10, RBX, R11
	exp2Consts()
	for i, c := range []string{"c", "scale"} {
		loadFloat(c, X0)
		VBROADCASTSS(X0, zs[4+i])
	}
	Load(Param("p"), p)
	Load(Param("ds"), ds)
	Load(Param("stride"), stride)
	Load(Param("rows"), rows)
	Load(Param("seen"), seen)
	Load(Param("lse"), lse)
	Load(Param("delta"), delta)
	MOVQ(I32(-1), ones)
	TESTQ(rows, rows)
	JZ(LabelRef(name + "_end"))
	Label(name + "_loop")
	MOVLQSX(Mem{Base: seen}, n)
	BZHIQ(n, ones, t)
	KMOVW(t.As32(), K1)
	SHRQ(Imm(16), t)
	KMOVW(t.As32(), K2)
	VBROADCASTSS(Mem{Base: lse}, Z6)
	VBROADCASTSS(Mem{Base: delta}, Z7)
	for i, k := range []Register{K1, K2} {
		x, y, n, d := zs[24+i], zs[26+i], zs[28+i], zs[8+i]
		VMOVUPS(Mem{Base: p, Disp: 64 * i}, x)
		VFMSUB213PS(Z6, Z4, x)
		exp2(x, y, n)
		VMOVAPS_Z(y, k, y)
		VMOVUPS_Z(Mem{Base: ds, Disp: 64 * i}, k, d)
		VMOVUPS(y, Mem{Base: p, Disp: 64 * i})
		VSUBPS(Z7, d, d)
		VMULPS(y, d, d)
		VMULPS_Z(Z5, d, k, d)
		VMOVUPS(d, Mem{Base: ds, Disp: 64 * i})
	}
	ADDQ(U32(128), p)
	ADDQ(stride, ds)
	ADDQ(Imm(4), seen)
	ADDQ(Imm(4), lse)
	ADDQ(Imm(4), delta)
	DECQ(rows)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_end")
	VZEROUPPER()
	RET()
}

// logSum512 ends the softmax of 32 columns: lse = c·top + ln(sum), and sum
// becomes 1/sum. ln is e·ln2 + 2·artanh((m−1)/(m+1)), whose series of five
// terms is exact to 1e-8 for m in [3/4, 3/2).
func logSum512() {
	name := "LogSum512"
	TEXT(name, NOSPLIT|NOFRAME, "func(lse, top, sum *float32, c float32)")
	Pragma("noescape")
	describe(name + " writes lse = c·top + ln(sum) of 32 columns, and sum becomes 1/sum.")
	lse, top, sum := RDI, RSI, RDX
	Load(Param("lse"), lse)
	Load(Param("top"), top)
	Load(Param("sum"), sum)
	loadFloat("c", X0)
	VBROADCASTSS(X0, Z8)
	for i, f := range []float32{1, 1.5, 0.5, 0.6931471805599453, 2. / 9, 2. / 7, 2. / 5, 2. / 3, 2} {
		float(zs[16+i], f)
	}
	one, limit, half, ln2 := Z16, Z17, Z18, Z19
	for i := 0; i < 2; i++ {
		x, m, e, t, y := Z0, Z1, Z2, Z3, Z4
		VMOVUPS(Mem{Base: sum, Disp: 64 * i}, x)
		VGETMANTPS(Imm(0), x, m)
		VGETEXPPS(x, e)
		VCMPPS(Imm(14), limit, m, K1) // m > 3/2
		VMULPS(half, m, K1, m)
		VADDPS(one, e, K1, e)
		VSUBPS(one, m, t)
		VADDPS(one, m, m)
		VDIVPS(m, t, t)
		VMULPS(t, t, m)
		VMOVAPS(zs[20], y)
		for j := 21; j <= 24; j++ {
			VFMADD213PS(zs[j], m, y)
		}
		VMULPS(t, y, y)
		VFMADD231PS(ln2, e, y)
		VMOVUPS(Mem{Base: top, Disp: 64 * i}, t)
		VFMADD231PS(Z8, t, y)
		VMOVUPS(y, Mem{Base: lse, Disp: 64 * i})
		VDIVPS(x, one, x)
		VMOVUPS(x, Mem{Base: sum, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

// scaleCols512: out[r][c] *= factor[c], for panels of 32 columns.
func scaleCols512() {
	name := "ScaleCols512"
	TEXT(name, NOSPLIT|NOFRAME, "func(out *float32, rows int, factor *float32)")
	Pragma("noescape")
	describe(name + " multiplies column j of a panel of 32 columns by factor[j].")
	out, rows, f := RDI, RCX, RSI
	Load(Param("out"), out)
	Load(Param("rows"), rows)
	Load(Param("factor"), f)
	VMOVUPS(Mem{Base: f}, Z0)
	VMOVUPS(Mem{Base: f, Disp: 64}, Z1)
	TESTQ(rows, rows)
	JZ(LabelRef(name + "_end"))
	Label(name + "_loop")
	VMULPS(Mem{Base: out}, Z0, Z2)
	VMULPS(Mem{Base: out, Disp: 64}, Z1, Z3)
	VMOVUPS(Z2, Mem{Base: out})
	VMOVUPS(Z3, Mem{Base: out, Disp: 64})
	ADDQ(U32(128), out)
	DECQ(rows)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_end")
	VZEROUPPER()
	RET()
}

// dots512: out[i] = Σ a[i·n+j]·b[i·n+j] over j < n, for i < count; lane by
// lane, then across. Later lines are prefetched.
func dots512() {
	name := "Dots512"
	TEXT(name, NOSPLIT|NOFRAME, "func(out, a, b *float32, n, count int)")
	Pragma("noescape")
	describe(name + " writes count dot products of n elements each: out[i] = Σ a[i·n+j]·b[i·n+j].")
	a, b, n, left, t, out, count := RDI, RSI, RDX, RCX, RAX, RBX, R8
	Load(Param("out"), out)
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("n"), n)
	Load(Param("count"), count)
	MOVQ(n, RCX) // the mask of what follows the whole registers
	ANDQ(Imm(15), RCX)
	MOVQ(U32(1), t)
	SHLQ(CL, t)
	SUBQ(Imm(1), t)
	KMOVW(t.As32(), K1)
	Label(name + "_loop")
	VPXORD(Z3, Z3, Z3)
	MOVQ(n, left)
	SHRQ(Imm(4), left)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_whole")
	VMOVUPS(Mem{Base: a}, Z0)
	PREFETCHT0(Mem{Base: a, Disp: 1536})
	PREFETCHT0(Mem{Base: b, Disp: 1536})
	VFMADD231PS(Mem{Base: b}, Z0, Z3)
	ADDQ(U32(64), a)
	ADDQ(U32(64), b)
	DECQ(left)
	JNZ(LabelRef(name + "_whole"))
	Label(name + "_rest")
	VMOVUPS_Z(Mem{Base: a}, K1, Z0)
	VMOVUPS_Z(Mem{Base: b}, K1, Z1)
	VFMADD231PS(Z0, Z1, Z3)
	MOVQ(n, left)
	ANDQ(Imm(15), left)
	LEAQ(Mem{Base: a, Index: left, Scale: 4}, a)
	LEAQ(Mem{Base: b, Index: left, Scale: 4}, b)
	sumLanes()
	VMOVSS(X3, Mem{Base: out})
	ADDQ(Imm(4), out)
	DECQ(count)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// copyRows512 writes rows of n floats, stride bytes apart, without gaps.
func copyRows512() {
	name := "CopyRows512"
	TEXT(name, NOSPLIT|NOFRAME, "func(dst, src *float32, stride, rows, n int)")
	Pragma("noescape")
	describe(name + " copies rows of n elements, stride bytes apart in src, to dst without gaps.")
	dst, src, stride, rows, n, p, q, left, t := RDI, RSI, RDX, RBX, R8, R9, R10, R11, RAX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("rows"), rows)
	Load(Param("n"), n)
	MOVQ(n, RCX) // the mask of what follows the whole registers
	ANDQ(Imm(15), RCX)
	MOVQ(U32(1), t)
	SHLQ(CL, t)
	SUBQ(Imm(1), t)
	KMOVW(t.As32(), K1)
	Label(name + "_row")
	MOVQ(src, p)
	LEAQ(Mem{Base: src, Index: stride, Scale: 8}, q)
	MOVQ(n, left)
	SHRQ(Imm(4), left)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_whole")
	VMOVUPS(Mem{Base: p}, Z0)
	PREFETCHT0(Mem{Base: q})
	VMOVUPS(Z0, Mem{Base: dst})
	ADDQ(U32(64), p)
	ADDQ(U32(64), q)
	ADDQ(U32(64), dst)
	DECQ(left)
	JNZ(LabelRef(name + "_whole"))
	Label(name + "_rest")
	VMOVUPS_Z(Mem{Base: p}, K1, Z0)
	VMOVUPS(Z0, K1, Mem{Base: dst})
	LEAQ(Mem{Base: dst, Index: RCX, Scale: 4}, dst)
	ADDQ(stride, src)
	DECQ(rows)
	JNZ(LabelRef(name + "_row"))
	VZEROUPPER()
	RET()
}

// sumLanes leaves the sum of Z3 in X3; Z1 is scratch.
func sumLanes() {
	VEXTRACTF64X4(Imm(1), Z3, Y1)
	VADDPS(Y1, Y3, Y3)
	VEXTRACTF128(Imm(1), Y3, X1)
	VADDPS(X1, X3, X3)
	VPSHUFD(Imm(0x4e), X3, X1)
	VADDPS(X1, X3, X3)
	VPSHUFD(Imm(0xb1), X3, X1)
	VADDPS(X1, X3, X3)
}
