package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// float256 fills a register of AVX2.
func float256(y VecPhysical, f float32) { fill256(y, math.Float32bits(f)) }

// exp2Consts256 loads the constants of exp2x256 into Y3..Y9; the polynomial is
// that of exp2Consts.
func exp2Consts256() {
	for i, f := range []float32{0.0013264727065362275, 0.009671512648915422, 0.055507337436909276, 0.24022242085173157, 0.6931469775988577, 1, -125} {
		float256(ys[3+i], f)
	}
}

// exp2x256 puts 2^x into Y1 for the x below 256 in Y0, zero where exp2 does;
// Y0, Y2 and Y15 are scratch. NaN stays NaN. 2^n is multiplied
// in two halves, since one alone has no exponent beyond 127.
func exp2x256() {
	x, y, n := Y0, Y1, Y2
	VCMPPS(Imm(5), Y9, x, Y15) // not less
	VROUNDPS(Imm(0), x, n)
	VSUBPS(n, x, x)
	VMOVAPS(Y3, y)
	for i := 4; i <= 8; i++ {
		VFMADD213PS(ys[i], x, y)
	}
	VCVTPS2DQ(n, n)
	VPSRAD(Imm(1), n, x)
	VPSUBD(x, n, n)
	VPSLLD(Imm(23), x, x)
	VPSLLD(Imm(23), n, n)
	VPADDD(x, y, y)
	VPADDD(Y8, n, n)
	VMULPS(n, y, y)
	VANDPS(Y15, y, y)
}

// softmaxCols256 is softmaxCols512 for 16 columns.
func softmaxCols256() {
	name := "SoftmaxCols8"
	TEXT(name, NOSPLIT|NOFRAME, "func(s *float32, full, seen int, lanes *int32, c float32, top, sum, rescale *float32)")
	Pragma("noescape")
	describe(name + " updates the online softmax of 16 columns by the scores s of seen more keys, a row each; column i sees the first lanes[i] keys, all of them the first full. s becomes exp2(c·(s - top)); top and sum are updated, rescale is what the sums so far were multiplied by.")
	s, full, seen, t, p, lanes := RDI, RCX, RDX, RAX, RSI, R8
	Load(Param("lanes"), lanes)
	Load(Param("full"), full)
	Load(Param("seen"), seen)
	// rows runs over both kinds of rows; in the masked ones Y15 holds the key.
	rows := func(pass string, row func(masked bool)) {
		Load(Param("s"), s)
		XORQ(t, t)
		Label(name + pass + "_loop")
		CMPQ(t, full)
		JGE(LabelRef(name + pass + "_masked"))
		row(false)
		ADDQ(Imm(64), s)
		INCQ(t)
		JMP(LabelRef(name + pass + "_loop"))
		Label(name + pass + "_masked")
		CMPQ(t, seen)
		JGE(LabelRef(name + pass + "_end"))
		row(true)
		ADDQ(Imm(64), s)
		INCQ(t)
		JMP(LabelRef(name + pass + "_masked"))
		Label(name + pass + "_end")
	}
	// sees makes a mask of the columns of a half that see key t.
	sees := func(i int, mask VecPhysical) {
		VMOVD(t.As32(), X15)
		VPBROADCASTD(X15, Y15)
		VMOVDQU(Mem{Base: lanes, Disp: 32 * i}, mask)
		VPCMPGTD(Y15, mask, mask)
	}
	tops := []VecPhysical{Y11, Y12}
	sums := []VecPhysical{Y13, Y14}
	Load(Param("top"), p)
	for i, top := range tops {
		VMOVUPS(Mem{Base: p, Disp: 32 * i}, top)
	}
	rows("_max", func(masked bool) {
		for i, top := range tops {
			VMOVUPS(Mem{Base: s, Disp: 32 * i}, Y0)
			if masked {
				sees(i, Y1)
				VBLENDVPS(Y1, Y0, top, Y0)
			}
			VMAXPS(top, Y0, top)
		}
	})
	exp2Consts256()
	loadFloat("c", X10)
	VBROADCASTSS(X10, Y10)
	Load(Param("rescale"), p)
	Load(Param("sum"), t)
	Load(Param("top"), R9)
	for i, top := range tops {
		VMOVUPS(Mem{Base: R9, Disp: 32 * i}, Y0)
		VMOVUPS(top, Mem{Base: R9, Disp: 32 * i})
		VSUBPS(top, Y0, Y0)
		VMULPS(Y10, Y0, Y0)
		exp2x256()
		VMOVUPS(Y1, Mem{Base: p, Disp: 32 * i})
		VMULPS(Mem{Base: t, Disp: 32 * i}, Y1, sums[i])
	}
	rows("_exp", func(masked bool) {
		for i, top := range tops {
			VMOVUPS(Mem{Base: s, Disp: 32 * i}, Y0)
			VSUBPS(top, Y0, Y0)
			VMULPS(Y10, Y0, Y0)
			exp2x256()
			if masked {
				sees(i, Y2)
				VANDPS(Y2, Y1, Y1)
			}
			VADDPS(Y1, sums[i], sums[i])
			VMOVUPS(Y1, Mem{Base: s, Disp: 32 * i})
		}
	})
	Load(Param("sum"), p)
	for i, sum := range sums {
		VMOVUPS(sum, Mem{Base: p, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

// softmaxGrad256 is softmaxGrad512 for 16 columns, whose numbers are at index.
func softmaxGrad256() {
	name := "SoftmaxGrad8"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32, index *int32)")
	Pragma("noescape")
	describe(name + " turns scores p into probabilities exp2(c·p - lse), and the gradients ds of those into p·(ds - delta)·scale, zeros in columns from seen[r] on; ds has a row stride in bytes.")
	p, ds, rows, seen, lse, delta, stride, index := RDI, RSI, RCX, RDX, R8, R9, R11, R12
	exp2Consts256()
	for i, c := range []string{"c", "scale"} {
		loadFloat(c, X0)
		VBROADCASTSS(X0, ys[10+i])
	}
	float256(Y14, 255) // beyond, exp2 is infinite, as it is there
	for _, a := range []struct {
		name string
		to   Register
	}{{"p", p}, {"ds", ds}, {"stride", stride}, {"rows", rows}, {"seen", seen}, {"lse", lse}, {"delta", delta}, {"index", index}} {
		Load(Param(a.name), a.to)
	}
	Label(name + "_loop")
	VBROADCASTSS(Mem{Base: lse}, Y12)
	VBROADCASTSS(Mem{Base: delta}, Y13)
	for i := 0; i < 2; i++ {
		VMOVUPS(Mem{Base: p, Disp: 32 * i}, Y0)
		VFMSUB213PS(Y12, Y10, Y0)
		VMINPS(Y0, Y14, Y0)
		exp2x256()
		VPBROADCASTD(Mem{Base: seen}, Y15)
		VPCMPGTD(Mem{Base: index, Disp: 32 * i}, Y15, Y15)
		VANDPS(Y15, Y1, Y1)
		VMOVUPS(Y1, Mem{Base: p, Disp: 32 * i})
		VMOVUPS(Mem{Base: ds, Disp: 32 * i}, Y0)
		VSUBPS(Y13, Y0, Y0)
		VMULPS(Y1, Y0, Y0)
		VMULPS(Y11, Y0, Y0)
		VANDPS(Y15, Y0, Y0)
		VMOVUPS(Y0, Mem{Base: ds, Disp: 32 * i})
	}
	ADDQ(Imm(64), p)
	ADDQ(stride, ds)
	ADDQ(Imm(4), seen)
	ADDQ(Imm(4), lse)
	ADDQ(Imm(4), delta)
	DECQ(rows)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// scaleCols256 is scaleCols512 for panels of 16 columns.
func scaleCols256() {
	name := "ScaleCols8"
	TEXT(name, NOSPLIT|NOFRAME, "func(out *float32, rows int, factor *float32)")
	Pragma("noescape")
	describe(name + " multiplies column j of a panel of 16 columns by factor[j].")
	out, rows, f := RDI, RCX, RSI
	Load(Param("out"), out)
	Load(Param("rows"), rows)
	Load(Param("factor"), f)
	VMOVUPS(Mem{Base: f}, Y0)
	VMOVUPS(Mem{Base: f, Disp: 32}, Y1)
	Label(name + "_loop")
	VMULPS(Mem{Base: out}, Y0, Y2)
	VMULPS(Mem{Base: out, Disp: 32}, Y1, Y3)
	VMOVUPS(Y2, Mem{Base: out})
	VMOVUPS(Y3, Mem{Base: out, Disp: 32})
	ADDQ(Imm(64), out)
	DECQ(rows)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// dots256 is dots512 eight lanes at a time.
func dots256() {
	name := "Dots8"
	TEXT(name, NOSPLIT|NOFRAME, "func(out, a, b *float32, n, count int)")
	Pragma("noescape")
	describe(name + " writes count dot products of n elements each: out[i] = Σ a[i·n+j]·b[i·n+j].")
	a, b, n, left, out, count := RDI, RSI, RDX, RCX, RBX, R8
	for _, p := range []struct {
		name string
		to   Register
	}{{"out", out}, {"a", a}, {"b", b}, {"n", n}, {"count", count}} {
		Load(Param(p.name), p.to)
	}
	Label(name + "_loop")
	VXORPS(Y3, Y3, Y3)
	VXORPS(Y2, Y2, Y2)
	MOVQ(n, left)
	SHRQ(Imm(3), left)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_whole")
	VMOVUPS(Mem{Base: a}, Y0)
	VFMADD231PS(Mem{Base: b}, Y0, Y3)
	ADDQ(U32(32), a)
	ADDQ(U32(32), b)
	DECQ(left)
	JNZ(LabelRef(name + "_whole"))
	Label(name + "_rest")
	MOVQ(n, left)
	ANDQ(Imm(7), left)
	JZ(LabelRef(name + "_sum"))
	Label(name + "_one")
	VMOVSS(Mem{Base: a}, X0)
	VFMADD231SS(Mem{Base: b}, X0, X2)
	ADDQ(Imm(4), a)
	ADDQ(Imm(4), b)
	DECQ(left)
	JNZ(LabelRef(name + "_one"))
	Label(name + "_sum")
	VEXTRACTF128(Imm(1), Y3, X1)
	VADDPS(X1, X3, X3)
	VPSHUFD(Imm(0x4e), X3, X1)
	VADDPS(X1, X3, X3)
	VPSHUFD(Imm(0xb1), X3, X1)
	VADDPS(X1, X3, X3)
	VADDSS(X2, X3, X3)
	VMOVSS(X3, Mem{Base: out})
	ADDQ(Imm(4), out)
	DECQ(count)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}
