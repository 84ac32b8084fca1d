package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// expTable256 is the constants of exp256, eight of each in memory: AVX2 has
// registers for few of them.
func expTable256() func(i int) Mem {
	table := GLOBL("expTable256", RODATA|NOPTR)
	for i, f := range []float32{1.44269504088896341, 0.693359375, -2.12194440e-4,
		1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, -104, 104, floorOfProbability} {
		for lane := 0; lane < 8; lane++ {
			DATA(32*i+4*lane, F32(f))
		}
	}
	return func(i int) Mem { return table.Offset(32 * i) }
}

// exp256 puts exp(x) into y as exp does; x is destroyed, n and t are scratch
// and low holds -104. x is not above 104.
func exp256(table func(i int) Mem, x, y, n, t, low VecPhysical) {
	VMAXPS(x, low, x)
	VMULPS(table(0), x, n)
	VROUNDPS(Imm(0), n, n)
	VFNMADD231PS(table(1), n, x)
	VFNMADD231PS(table(2), n, x)
	VMOVUPS(table(3), y)
	for i := 4; i <= 8; i++ {
		VFMADD213PS(table(i), x, y)
	}
	VMULPS(x, x, t)
	VFMADD213PS(x, t, y)
	VADDPS(table(9), y, y)
	VCVTPS2DQ(n, n) // 2^n in two halves
	VPSRAD(Imm(1), n, x)
	VPSUBD(x, n, n)
	VPSLLD(Imm(23), x, x)
	VPSLLD(Imm(23), n, n)
	VPADDD(x, y, y)
	VPADDD(table(9), n, n)
	VMULPS(n, y, y)
}

// eights runs body for eight elements at a time; n is a multiple.
func eights(name string, n GPPhysical, body func()) {
	Label(name + "_loop")
	body()
	SUBQ(Imm(8), n)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// exps256 is the kernels that take an exponential of every element, for
// lengths that are multiples of eight.
func exps256(table func(i int) Mem) {
	low, high := Y14, Y15
	begin := func(name, signature, doc string, pointers ...string) (p []GPPhysical) {
		TEXT(name, NOSPLIT|NOFRAME, signature)
		Pragma("noescape")
		describe(name + " " + doc)
		for i, s := range pointers {
			p = append(p, []GPPhysical{RDI, RSI, RDX, RBX, R8}[i])
			Load(Param(s), p[i])
		}
		Load(Param("n"), RCX)
		VMOVUPS(table(10), low)
		VMOVUPS(table(11), high)
		return p
	}
	forward := func(p []GPPhysical) {
		for _, r := range p {
			ADDQ(Imm(32), r)
		}
	}
	sigmoid := func(g, s, n, x, t VecPhysical) {
		VXORPS(x, x, x)
		VSUBPS(g, x, x)
		VMINPS(x, high, x)
		exp256(table, x, s, n, t, low)
		VMOVUPS(table(9), t)
		VADDPS(t, s, s)
		VDIVPS(s, t, s)
	}
	p := begin("SwiGLU8", "func(h, gate, up *float32, n int)", "writes h = silu(gate)·up; n is a multiple of 8.", "h", "gate", "up")
	eights("SwiGLU8", RCX, func() {
		VMOVUPS(Mem{Base: p[1]}, Y0)
		sigmoid(Y0, Y2, Y3, Y4, Y5)
		VMULPS(Y0, Y2, Y2)
		VMULPS(Mem{Base: p[2]}, Y2, Y2)
		VMOVUPS(Y2, Mem{Base: p[0]})
		forward(p)
	})
	q := begin("SwiGLUGrad8", "func(dgate, dup, dh, gate, up *float32, n int)", "writes dgate = dh·up·silu'(gate) and dup = dh·silu(gate); n is a multiple of 8.", "dgate", "dup", "dh", "gate", "up")
	eights("SwiGLUGrad8", RCX, func() {
		VMOVUPS(Mem{Base: q[3]}, Y0)
		VMOVUPS(Mem{Base: q[4]}, Y1)
		VMOVUPS(Mem{Base: q[2]}, Y6)
		sigmoid(Y0, Y2, Y3, Y4, Y5) // s; Y5 is 1
		VMULPS(Y0, Y2, Y7)          // g·s = silu
		VSUBPS(Y2, Y5, Y8)
		VMULPS(Y0, Y8, Y8)
		VADDPS(Y5, Y8, Y8)
		VMULPS(Y2, Y8, Y8) // silu'
		VMULPS(Y6, Y7, Y7)
		VMULPS(Y6, Y1, Y1)
		VMULPS(Y1, Y8, Y8)
		VMOVUPS(Y8, Mem{Base: q[0]})
		VMOVUPS(Y7, Mem{Base: q[1]})
		forward(q)
	})
	e := begin("ExpSum8", "func(dst, src *float32, n int, shift float32) float32", "writes exp(src-shift), zero below 2^-125, and returns the sum.", "dst", "src")
	loadFloat("shift", X6)
	VBROADCASTSS(X6, Y6)
	VXORPS(Y7, Y7, Y7)
	Label("ExpSum8_loop")
	VMOVUPS(Mem{Base: e[1]}, Y0)
	VSUBPS(Y6, Y0, Y0)
	VCMPPS(notLess, table(12), Y0, Y4)
	VMINPS(Y0, high, Y0)
	exp256(table, Y0, Y1, Y2, Y3, low)
	VANDPS(Y4, Y1, Y1)
	VADDPS(Y1, Y7, Y7)
	VMOVUPS(Y1, Mem{Base: e[0]})
	forward(e)
	SUBQ(Imm(8), RCX)
	JNZ(LabelRef("ExpSum8_loop"))
	VEXTRACTF128(Imm(1), Y7, X1)
	VADDPS(X1, X7, X7)
	VPSHUFD(Imm(0x4e), X7, X1)
	VADDPS(X1, X7, X7)
	VPSHUFD(Imm(0xb1), X7, X1)
	VADDPS(X1, X7, X7)
	storeFloat(X7)
	VZEROUPPER()
	RET()
}
