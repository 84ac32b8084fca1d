package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// fetch prefetches lines of each vector 2 KiB ahead, a few hundred operations.
func fetch(vectors ...GPPhysical) {
	for _, p := range vectors {
		PREFETCHT0(Mem{Base: p, Disp: 2048})
	}
}

// swiglu512: h = silu(g)·u.
func swiglu512() {
	name := "SwiGLU512"
	TEXT(name, NOSPLIT|NOFRAME, "func(h, gate, up *float32, n int)")
	Pragma("noescape")
	describe("SwiGLU512 writes h = silu(gate)·up.")
	h, g, u, n, t := RDI, RSI, RDX, RCX, RAX
	expConsts()
	float(Z27, 104) // beyond, exp is infinite and the sigmoid 0
	Load(Param("h"), h)
	Load(Param("gate"), g)
	Load(Param("up"), u)
	Load(Param("n"), n)
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: g}, K1, Z0)
		VMOVUPS_Z(Mem{Base: u}, K1, Z1)
		fetch(g, u, h)
		sigmoid(Z0, Z2, Z3, Z5)
		VMULPS(Z0, Z2, Z2)
		VMULPS(Z1, Z2, Z2)
		VMOVUPS(Z2, K1, Mem{Base: h})
		ADDQ(U32(64), h)
		ADDQ(U32(64), g)
		ADDQ(U32(64), u)
	})
	VZEROUPPER()
	RET()
}

// swigluGrad512: dg = dh·u·silu'(g), du = dh·silu(g).
func swigluGrad512() {
	name := "SwiGLUGrad512"
	TEXT(name, NOSPLIT|NOFRAME, "func(dgate, dup, dh, gate, up *float32, n int)")
	Pragma("noescape")
	describe("SwiGLUGrad512 writes dgate = dh·up·silu'(gate) and dup = dh·silu(gate).")
	dg, du, dh, g, u, n, t := RDI, RBX, R8, RSI, RDX, RCX, RAX
	expConsts()
	float(Z27, 104) // beyond, exp is infinite and the sigmoid 0
	Load(Param("dgate"), dg)
	Load(Param("dup"), du)
	Load(Param("dh"), dh)
	Load(Param("gate"), g)
	Load(Param("up"), u)
	Load(Param("n"), n)
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: g}, K1, Z0)
		VMOVUPS_Z(Mem{Base: u}, K1, Z1)
		VMOVUPS_Z(Mem{Base: dh}, K1, Z4)
		fetch(g, u, dh, dg, du)
		sigmoid(Z0, Z2, Z3, Z5) // s
		VMULPS(Z0, Z2, Z6)      // g·s = silu
		VSUBPS(Z2, Z25, Z7)     // 1−s
		VMULPS(Z0, Z7, Z7)      // g·(1−s)
		VADDPS(Z25, Z7, Z7)
		VMULPS(Z2, Z7, Z7) // silu'
		VMULPS(Z4, Z6, Z6)
		VMULPS(Z4, Z1, Z1)
		VMULPS(Z1, Z7, Z7)
		VMOVUPS(Z7, K1, Mem{Base: dg})
		VMOVUPS(Z6, K1, Mem{Base: du})
		for _, r := range []GPPhysical{dg, du, dh, g, u} {
			ADDQ(U32(64), r)
		}
	})
	VZEROUPPER()
	RET()
}

// mask512: the hash of the first pair of columns starts from start, those of
// the next fifteen are offsets further; a word of a hash is two columns in
// the order of memory.
func mask512() {
	name := "Mask512"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x *float32, n int, offsets *[16]uint32, start, high, limit uint32, scale float32)")
	Pragma("noescape")
	describe(name + " writes y = 0 in the columns whose 16 random bits are below limit, x·scale in the others: the bits are lowbias32(start + offsets) xor high, two columns a word.")
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

// adamw512 rounds after every operation, as its plain twin does: the same bits.
func adamw512() {
	name := "AdamW512"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, grad, m, v *float32, n int, o *[9]float32)")
	Pragma("noescape")
	describe("AdamW512 updates parameters p and moments m and v from gradients; o holds scale, β1, 1-β1, β2, 1-β2, root, eps, rate and decay.")
	p, g, m, v, n, t := RDI, RSI, RDX, RBX, RCX, RAX
	Load(Param("o"), t)
	names := []string{"scale", "b1", "c1", "b2", "c2", "root", "eps", "rate", "decay"}
	c := map[string]VecPhysical{}
	for i, s := range names {
		c[s] = zs[16+i]
		VBROADCASTSS(Mem{Base: t, Disp: 4 * i}, c[s])
	}
	Load(Param("p"), p)
	Load(Param("grad"), g)
	Load(Param("m"), m)
	Load(Param("v"), v)
	Load(Param("n"), n)
	tail(name, n, t, func() {
		fetch(p, g, m, v)
		VMULPS_Z(Mem{Base: g}, c["scale"], K1, Z0)
		VMULPS_Z(Mem{Base: m}, c["b1"], K1, Z1)
		VMULPS(c["c1"], Z0, Z2)
		VADDPS(Z2, Z1, Z1) // m
		VMOVUPS(Z1, K1, Mem{Base: m})
		VMULPS_Z(Mem{Base: v}, c["b2"], K1, Z3)
		VMULPS(c["c2"], Z0, Z2)
		VMULPS(Z0, Z2, Z2)
		VADDPS(Z2, Z3, Z3) // v
		VMOVUPS(Z3, K1, Mem{Base: v})
		VSQRTPS(Z3, Z3)
		VMULPS(c["root"], Z3, Z3)
		VADDPS(c["eps"], Z3, Z3)
		VMULPS(c["rate"], Z1, Z1)
		VDIVPS(Z3, Z1, Z1)
		VMOVUPS_Z(Mem{Base: p}, K1, Z4)
		VMULPS(c["decay"], Z4, Z5)
		VADDPS(Z1, Z5, Z5)
		VSUBPS(Z5, Z4, Z4)
		VMOVUPS(Z4, K1, Mem{Base: p})
		for _, r := range []GPPhysical{p, g, m, v} {
			ADDQ(U32(64), r)
		}
	})
	VZEROUPPER()
	RET()
}
