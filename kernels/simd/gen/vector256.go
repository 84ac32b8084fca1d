package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// vector256 is a kernel over vectors of n elements, eight at a time; n is a multiple of
// eight. What is left is for the plain code, whose roundings are the same.
type vector256 struct {
	name, doc string
	result    string   // its type, or none
	pointers  []string // arguments in this order
	scalars   []string // after n, in Y8, Y9 and so on
	setup     func()
	body      func(p map[string]Mem) // the pointers move on by themselves
}

func (v vector256) write(finish func()) {
	signature := "func(" + strings.Join(v.pointers, ", ") + " *float32, n int"
	for _, s := range v.scalars {
		signature += ", " + s
	}
	if len(v.scalars) > 0 {
		signature += " float32"
	}
	signature += ")"
	if v.result != "" {
		signature += " " + v.result
	}
	TEXT(v.name, NOSPLIT|NOFRAME, signature)
	Pragma("noescape")
	describe(v.name + " " + v.doc + "; n is a multiple of 8.")
	free := []GPPhysical{RDI, RSI, RDX, RBX, R8}
	at := map[string]Mem{}
	for i, s := range v.pointers {
		Load(Param(s), free[i])
		at[s] = Mem{Base: free[i]}
	}
	for i, s := range v.scalars {
		loadFloat(s, ys[8+i].AsX())
		VBROADCASTSS(ys[8+i].AsX(), ys[8+i])
	}
	Load(Param("n"), RCX)
	if v.setup != nil {
		v.setup()
	}
	Label(v.name + "_loop")
	v.body(at)
	for i := range v.pointers {
		ADDQ(Imm(32), free[i])
	}
	SUBQ(Imm(8), RCX)
	JNZ(LabelRef(v.name + "_loop"))
	if finish != nil {
		finish()
	}
	VZEROUPPER()
	RET()
}

// clearSums256 begins a sum in Y3 and Y4.
func clearSums256() {
	VXORPS(Y3, Y3, Y3)
	VXORPS(Y4, Y4, Y4)
}

// widen256 puts the elements of Y0 into Y1 and Y2 as f64.
func widen256() {
	VCVTPS2PD(X0, Y1)
	VEXTRACTF128(Imm(1), Y0, X2)
	VCVTPS2PD(X2, Y2)
}

// returnSum64of256 returns the sum of Y3 and Y4 in f64.
func returnSum64of256() {
	VADDPD(Y4, Y3, Y3)
	VEXTRACTF128(Imm(1), Y3, X1)
	VADDPD(X1, X3, X3)
	VPERMILPD(Imm(1), X3, X1)
	VADDSD(X1, X3, X3)
	storeFloat(X3)
}

// arithmetic256 is kernels of one operation an element.
func arithmetic256() {
	vector256{name: "Add8", doc: "writes y = a + b", pointers: []string{"y", "a", "b"}, body: func(p map[string]Mem) {
		VMOVUPS(p["a"], Y0)
		VADDPS(p["b"], Y0, Y0)
		VMOVUPS(Y0, p["y"])
	}}.write(nil)
	vector256{name: "Mul8", doc: "writes y = a·b", pointers: []string{"y", "a", "b"}, body: func(p map[string]Mem) {
		VMOVUPS(p["a"], Y0)
		VMULPS(p["b"], Y0, Y0)
		VMOVUPS(Y0, p["y"])
	}}.write(nil)
	vector256{name: "Scale8", doc: "writes y = by·x", pointers: []string{"y", "x"}, scalars: []string{"by"}, body: func(p map[string]Mem) {
		VMULPS(p["x"], Y8, Y0)
		VMOVUPS(Y0, p["y"])
	}}.write(nil)
	vector256{name: "AddScaled8", doc: "writes y = y + by·x, both roundings as in plain code", pointers: []string{"y", "x"}, scalars: []string{"by"}, body: func(p map[string]Mem) {
		VMULPS(p["x"], Y8, Y0)
		VADDPS(p["y"], Y0, Y0)
		VMOVUPS(Y0, p["y"])
	}}.write(nil)
}

// norms256 is the root mean square norm and its gradient, as norms has them.
func norms256() {
	vector256{name: "SumSquares8", doc: "returns Σ x² in f64", result: "float64", pointers: []string{"x"}, setup: clearSums256, body: func(p map[string]Mem) {
		VCVTPS2PD(p["x"], Y1)
		VCVTPS2PD(p["x"].Offset(16), Y2)
		VFMADD231PD(Y1, Y1, Y3)
		VFMADD231PD(Y2, Y2, Y4)
	}}.write(returnSum64of256)
	vector256{name: "Norm8", doc: "writes y = (x·r)·w", pointers: []string{"y", "x", "w"}, scalars: []string{"r"}, body: func(p map[string]Mem) {
		VMULPS(p["x"], Y8, Y0)
		VMULPS(p["w"], Y0, Y0)
		VMOVUPS(Y0, p["y"])
	}}.write(nil)
	vector256{name: "Dot3x8", doc: "returns Σ (d·w)·x in f64", result: "float64", pointers: []string{"d", "w", "x"}, setup: clearSums256, body: func(p map[string]Mem) {
		VMOVUPS(p["d"], Y0)
		VMULPS(p["w"], Y0, Y0)
		VMULPS(p["x"], Y0, Y0)
		widen256()
		VADDPD(Y1, Y3, Y3)
		VADDPD(Y2, Y4, Y4)
	}}.write(returnSum64of256)
	grad := func(p map[string]Mem) { // r·(d∘w − x·s) in Y0
		VMOVUPS(p["d"], Y0)
		VMULPS(p["w"], Y0, Y0)
		VMULPS(p["x"], Y9, Y1)
		VSUBPS(Y1, Y0, Y0)
		VMULPS(Y8, Y0, Y0)
	}
	vector256{name: "NormGrad8", doc: "writes dx = r·(d·w - x·s)", pointers: []string{"dx", "d", "w", "x"}, scalars: []string{"r", "s"}, body: func(p map[string]Mem) {
		grad(p)
		VMOVUPS(Y0, p["dx"])
	}}.write(nil)
	vector256{name: "NormGradAdd8", doc: "writes dx = res + r·(d·w - x·s)", pointers: []string{"dx", "res", "d", "w", "x"}, scalars: []string{"r", "s"}, body: func(p map[string]Mem) {
		grad(p)
		VADDPS(p["res"], Y0, Y0)
		VMOVUPS(Y0, p["dx"])
	}}.write(nil)
}

// normGradW256 adds a row to the gradient of a norm's weight.
func normGradW256() {
	name := "NormGradW8"
	TEXT(name, NOSPLIT|NOFRAME, "func(sum *float64, d, x *float32, n int, r float64)")
	Pragma("noescape")
	describe(name + " adds d·x·r to sum in f64; n is a multiple of 8.")
	sum, d, x := RDI, RSI, RDX
	Load(Param("sum"), sum)
	Load(Param("d"), d)
	Load(Param("x"), x)
	Load(Param("n"), RCX)
	loadFloat("r", X8)
	VBROADCASTSD(X8, Y8)
	eights(name, RCX, func() {
		for half := 0; half < 2; half++ {
			VCVTPS2PD(Mem{Base: d, Disp: 16 * half}, Y0)
			VCVTPS2PD(Mem{Base: x, Disp: 16 * half}, Y1)
			VMULPD(Y1, Y0, Y0)
			VMOVUPD(Mem{Base: sum, Disp: 32 * half}, Y2)
			VFMADD231PD(Y8, Y0, Y2)
			VMOVUPD(Y2, Mem{Base: sum, Disp: 32 * half})
		}
		ADDQ(Imm(64), sum)
		ADDQ(Imm(32), d)
		ADDQ(Imm(32), x)
	})
}

// losses256 is what the cross entropy of a row needs beside ExpSum8.
func losses256(table func(i int) Mem) {
	vector256{name: "Max8", doc: "returns the greatest element, NaN passed over", result: "float32", pointers: []string{"x"}, setup: func() {
		constant256(Y3, 0xFF800000)
	}, body: func(p map[string]Mem) {
		VMOVUPS(p["x"], Y0)
		VMAXPS(Y3, Y0, Y3)
	}}.write(func() {
		VEXTRACTF128(Imm(1), Y3, X1)
		VMAXPS(X1, X3, X3)
		VPSHUFD(Imm(0x4e), X3, X1)
		VMAXPS(X1, X3, X3)
		VPSHUFD(Imm(0xb1), X3, X1)
		VMAXPS(X1, X3, X3)
		storeFloat(X3)
	})
	low, high := Y14, Y15
	vector256{name: "SumExp8", doc: "returns Σ exp(x - shift) in f64", result: "float64", pointers: []string{"x"}, scalars: []string{"shift"}, setup: func() {
		clearSums256()
		VMOVUPS(table(10), low)
		VMOVUPS(table(11), high)
	}, body: func(p map[string]Mem) {
		VMOVUPS(p["x"], Y5)
		VSUBPS(Y8, Y5, Y5)
		VMINPS(Y5, high, Y5)
		exp256(table, Y5, Y0, Y6, Y7, low)
		widen256()
		VADDPD(Y1, Y3, Y3)
		VADDPD(Y2, Y4, Y4)
	}}.write(returnSum64of256)
}

// rope256 turns the heads of a row, each two halves, by the angles of its position.
func rope256() {
	name := "Rope8"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x, cos, sin *float32, half, heads int, sign float32)")
	Pragma("noescape")
	describe(name + " rotates the pairs (j, j+half) of every head by the angles of cos and sin, in the direction sign; y may be x, and half is a multiple of 8.")
	y, x, cos, sin, half, heads, c, s, other, out := RDI, RSI, RDX, RBX, R8, R9, R10, R11, R12, R13
	for _, p := range []struct {
		name string
		to   Register
	}{{"y", y}, {"x", x}, {"cos", cos}, {"sin", sin}, {"half", half}, {"heads", heads}} {
		Load(Param(p.name), p.to)
	}
	loadFloat("sign", X8)
	VBROADCASTSS(X8, Y8)
	Label(name + "_head")
	MOVQ(cos, c)
	MOVQ(sin, s)
	LEAQ(Mem{Base: x, Index: half, Scale: 4}, other)
	LEAQ(Mem{Base: y, Index: half, Scale: 4}, out)
	MOVQ(half, RCX)
	Label(name + "_loop")
	VMOVUPS(Mem{Base: x}, Y0)
	VMOVUPS(Mem{Base: other}, Y1)
	VMOVUPS(Mem{Base: c}, Y2)
	VMULPS(Mem{Base: s}, Y8, Y3)
	VMULPS(Y2, Y0, Y4)
	VMULPS(Y3, Y1, Y5)
	VMULPS(Y2, Y1, Y6)
	VMULPS(Y3, Y0, Y7)
	VSUBPS(Y5, Y4, Y4)
	VADDPS(Y7, Y6, Y6)
	VMOVUPS(Y4, Mem{Base: y})
	VMOVUPS(Y6, Mem{Base: out})
	for _, r := range []GPPhysical{x, other, c, s, y, out} {
		ADDQ(Imm(32), r)
	}
	SUBQ(Imm(8), RCX)
	JNZ(LabelRef(name + "_loop"))
	MOVQ(other, x)
	MOVQ(out, y)
	DECQ(heads)
	JNZ(LabelRef(name + "_head"))
	VZEROUPPER()
	RET()
}

// constant256 fills a register with one number's bits.
func constant256(y VecPhysical, bits uint32) {
	MOVL(U32(bits), EAX)
	VMOVD(EAX, y.AsX())
	VPBROADCASTD(y.AsX(), y)
}

// mask256 is mask512 for sixteen columns at a time.
func mask256() {
	name := "Mask8"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x *float32, n int, offsets *[16]uint32, start, high, limit uint32, scale float32)")
	Pragma("noescape")
	describe(name + " writes y = 0 in the columns whose 16 random bits are below limit, x·scale in the others, with the bits of Mask512; n is a multiple of 16.")
	y, x, n := RDI, RSI, RCX
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("n"), n)
	Load(Param("offsets"), RAX)
	VMOVDQU(Mem{Base: RAX}, Y0)
	argument := func(name string, to VecPhysical) {
		Load(Param(name), EAX)
		VMOVD(EAX, to.AsX())
	}
	argument("start", Y5)
	VPBROADCASTD(X5, Y5)
	VPADDD(Y5, Y0, Y0)
	argument("high", Y5)
	VPBROADCASTD(X5, Y5)
	argument("limit", Y6)
	VPBROADCASTW(X6, Y6)
	loadFloat("scale", X7)
	VBROADCASTSS(X7, Y7)
	const golden = 0x9E3779B9
	constant256(Y8, golden*8&0xFFFFFFFF)
	constant256(Y9, 0x7FEB352D)
	constant256(Y10, 0x846CA68B)
	Label(name + "_loop")
	VPSRLD(Imm(16), Y0, Y1)
	VPXOR(Y0, Y1, Y1)
	VPADDD(Y8, Y0, Y0)
	VPMULLD(Y9, Y1, Y1)
	VPSRLD(Imm(15), Y1, Y2)
	VPXOR(Y2, Y1, Y1)
	VPMULLD(Y10, Y1, Y1)
	VPSRLD(Imm(16), Y1, Y2)
	VPXOR(Y2, Y1, Y1)
	VPXOR(Y5, Y1, Y1)
	VPMAXUW(Y6, Y1, Y2)
	VPCMPEQW(Y1, Y2, Y2) // bits ≥ limit
	VEXTRACTI128(Imm(1), Y2, X3)
	VPMOVSXWD(X2, Y2)
	VPMOVSXWD(X3, Y3)
	VMULPS(Mem{Base: x}, Y7, Y4)
	VANDPS(Y4, Y2, Y2)
	VMULPS(Mem{Base: x, Disp: 32}, Y7, Y4)
	VANDPS(Y4, Y3, Y3)
	VMOVUPS(Y2, Mem{Base: y})
	VMOVUPS(Y3, Mem{Base: y, Disp: 32})
	ADDQ(Imm(64), x)
	ADDQ(Imm(64), y)
	SUBQ(Imm(16), n)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// adamw256 is adamw512 for eight elements at a time: the same bits.
func adamw256() {
	name := "AdamW8"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, grad, m, v *float32, n int, o *[9]float32)")
	Pragma("noescape")
	describe(name + " does what AdamW512 does; n is a multiple of 8.")
	p, g, m, v := RDI, RSI, RDX, RBX
	Load(Param("o"), RAX)
	c := map[string]VecPhysical{}
	for i, s := range []string{"scale", "b1", "c1", "b2", "c2", "root", "eps", "rate", "decay"} {
		c[s] = ys[7+i]
		VBROADCASTSS(Mem{Base: RAX, Disp: 4 * i}, c[s])
	}
	Load(Param("p"), p)
	Load(Param("grad"), g)
	Load(Param("m"), m)
	Load(Param("v"), v)
	Load(Param("n"), RCX)
	eights(name, RCX, func() {
		VMULPS(Mem{Base: g}, c["scale"], Y0)
		VMULPS(Mem{Base: m}, c["b1"], Y1)
		VMULPS(c["c1"], Y0, Y2)
		VADDPS(Y2, Y1, Y1) // m
		VMOVUPS(Y1, Mem{Base: m})
		VMULPS(Mem{Base: v}, c["b2"], Y3)
		VMULPS(c["c2"], Y0, Y2)
		VMULPS(Y0, Y2, Y2)
		VADDPS(Y2, Y3, Y3) // v
		VMOVUPS(Y3, Mem{Base: v})
		VSQRTPS(Y3, Y3)
		VMULPS(c["root"], Y3, Y3)
		VADDPS(c["eps"], Y3, Y3)
		VMULPS(c["rate"], Y1, Y1)
		VDIVPS(Y3, Y1, Y1)
		VMOVUPS(Mem{Base: p}, Y4)
		VMULPS(c["decay"], Y4, Y5)
		VADDPS(Y1, Y5, Y5)
		VSUBPS(Y5, Y4, Y4)
		VMOVUPS(Y4, Mem{Base: p})
		for _, r := range []GPPhysical{p, g, m, v} {
			ADDQ(Imm(32), r)
		}
	})
}

// half256 is half512 for eight elements at a time.
func half256(dtype string, narrow bool) {
	name, signature := "Round8"+dtype, "func(dst, src *float32, n int)"
	if narrow {
		name, signature = "Narrow8"+dtype, "func(dst *byte, src *float32, n int)"
	}
	TEXT(name, NOSPLIT|NOFRAME, signature)
	Pragma("noescape")
	if narrow {
		describe(name + " rounds n numbers to half precision, ties to even; beyond the largest finite number they become that. n is a multiple of 8.")
	} else {
		describe(name + " rounds n numbers as Narrow8" + dtype + " does and widens them again; n is a multiple of 8.")
	}
	dst, src := RDI, RSI
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), RCX)
	most := uint32(0x477FE000) // 65504
	if dtype == "BF16" {
		most = 0x7F7F0000
		constant256(Y5, 0x7FFF)
		constant256(Y6, 1)
		constant256(Y7, 0x7FC0)
	}
	constant256(Y3, most)
	constant256(Y4, most|1<<31)
	eights(name, RCX, func() {
		VMOVUPS(Mem{Base: src}, Y0)
		VMINPS(Y0, Y3, Y0)
		VMAXPS(Y0, Y4, Y0)
		if dtype == "F16" {
			VCVTPS2PH(Imm(0), Y0, X1)
			if narrow {
				VMOVUPS(X1, Mem{Base: dst})
			} else {
				VCVTPH2PS(X1, Y0)
			}
		} else {
			// bits + 0x7FFF + the last bit that stays, cut off.
			VCMPPS(Imm(3), Y0, Y0, Y2)
			VPSRLD(Imm(16), Y0, Y1)
			VPAND(Y6, Y1, Y1)
			VPADDD(Y5, Y1, Y1)
			VPADDD(Y1, Y0, Y0)
			VPSRLD(Imm(16), Y0, Y0)
			VBLENDVPS(Y2, Y7, Y0, Y0)
			if narrow {
				VEXTRACTI128(Imm(1), Y0, X1)
				VPACKUSDW(X1, X0, X0)
				VMOVUPS(X0, Mem{Base: dst})
			} else {
				VPSLLD(Imm(16), Y0, Y0)
			}
		}
		ADDQ(Imm(32), src)
		if narrow {
			ADDQ(Imm(16), dst)
			return
		}
		VMOVUPS(Y0, Mem{Base: dst})
		ADDQ(Imm(32), dst)
	})
}
