package main

import (
	"slices"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// vector is a kernel over vectors of n elements, 16 at a time, masked by K1.
type vector struct {
	name, doc string
	result    string   // its type, or none
	pointers  []string // arguments in this order
	fetch     []string // after them: prefetched, as long as the vectors
	scalars   []string // after n, in Z8, Z9 and so on
	setup     func()
	body      func(p map[string]Mem) // the pointers move on by themselves
}

func (v vector) write(finish func()) {
	v.pointers = slices.Concat(v.pointers, v.fetch)
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
	describe(v.name + " " + v.doc)
	free := []GPPhysical{RDI, RSI, RDX, RBX, R8, R9, R10}
	at := map[string]Mem{}
	for i, s := range v.pointers {
		Load(Param(s), free[i])
		at[s] = Mem{Base: free[i]}
	}
	for i, s := range v.scalars {
		loadFloat(s, zs[8+i].AsX())
		VBROADCASTSS(zs[8+i].AsX(), zs[8+i])
	}
	Load(Param("n"), RCX)
	if v.setup != nil {
		v.setup()
	}
	tail(v.name, RCX, RAX, func() {
		v.body(at)
		for _, s := range v.fetch {
			PREFETCHT0(at[s])
		}
		for i := range v.pointers {
			ADDQ(U32(64), free[i])
		}
	})
	if finish != nil {
		finish()
	}
	VZEROUPPER()
	RET()
}

// load brings 16 elements into a register, zeros after the last.
func load(m Mem, z VecPhysical) { VMOVUPS_Z(m, K1, z) }

// store writes those there are.
func store(z VecPhysical, m Mem) { VMOVUPS(z, K1, m) }

// clearSums begins a sum in Z3 and Z4.
func clearSums() {
	VPXORD(Z3, Z3, Z3)
	VPXORD(Z4, Z4, Z4)
}

// widen puts the elements of Z0 into Z1 and Z2 as f64.
func widen() {
	VCVTPS2PD(Y0, Z1)
	VEXTRACTF64X4(Imm(1), Z0, Y2)
	VCVTPS2PD(Y2, Z2)
}

// returnSum64 returns the sum of Z3 and Z4 in f64.
func returnSum64() {
	VADDPD(Z4, Z3, Z3)
	VEXTRACTF64X4(Imm(1), Z3, Y1)
	VADDPD(Y1, Y3, Y3)
	VEXTRACTF128(Imm(1), Y3, X1)
	VADDPD(X1, X3, X3)
	VPERMILPD(Imm(1), X3, X1)
	VADDSD(X1, X3, X3)
	storeFloat(X3)
}

// arithmetic is kernels of one operation an element.
func arithmetic() {
	vector{name: "Add512", doc: "writes y = a + b.", pointers: []string{"y", "a", "b"}, body: func(p map[string]Mem) {
		load(p["a"], Z0)
		fetch(RDI, RSI, RDX)
		VADDPS_Z(p["b"], Z0, K1, Z0)
		store(Z0, p["y"])
	}}.write(nil)
	vector{name: "Mul512", doc: "writes y = a·b.", pointers: []string{"y", "a", "b"}, body: func(p map[string]Mem) {
		load(p["a"], Z0)
		fetch(RDI, RSI, RDX)
		VMULPS_Z(p["b"], Z0, K1, Z0)
		store(Z0, p["y"])
	}}.write(nil)
	vector{name: "Scale512", doc: "writes y = by·x.", pointers: []string{"y", "x"}, scalars: []string{"by"}, body: func(p map[string]Mem) {
		VMULPS_Z(p["x"], Z8, K1, Z0)
		store(Z0, p["y"])
	}}.write(nil)
}

// norms is the root mean square norm and its gradient, a row at a time; sums
// are f64, and what is summed rounds as in the plain code.
func norms() {
	vector{name: "SumSquares512", doc: "returns Σ x² in f64; next is prefetched.", result: "float64", pointers: []string{"x"}, fetch: []string{"next"}, setup: clearSums, body: func(p map[string]Mem) {
		load(p["x"], Z0)
		widen()
		VFMADD231PD(Z1, Z1, Z3)
		VFMADD231PD(Z2, Z2, Z4)
	}}.write(returnSum64)
	vector{name: "Norm512", doc: "writes y = (x·r)·w; next is prefetched.", pointers: []string{"y", "x", "w"}, fetch: []string{"next"}, scalars: []string{"r"}, body: func(p map[string]Mem) {
		VMULPS_Z(p["x"], Z8, K1, Z0)
		VMULPS_Z(p["w"], Z0, K1, Z0)
		store(Z0, p["y"])
	}}.write(nil)
	vector{name: "Dot3x512", doc: "returns Σ (d·w)·x in f64; next is prefetched.", result: "float64", pointers: []string{"d", "w", "x"}, fetch: []string{"next"}, setup: clearSums, body: func(p map[string]Mem) {
		load(p["d"], Z0)
		VMULPS_Z(p["w"], Z0, K1, Z0)
		VMULPS_Z(p["x"], Z0, K1, Z0)
		widen()
		VADDPD(Z1, Z3, Z3)
		VADDPD(Z2, Z4, Z4)
	}}.write(returnSum64)
	grad := func(p map[string]Mem) { // r·(d∘w − x·s) in Z0
		load(p["d"], Z0)
		VMULPS_Z(p["w"], Z0, K1, Z0)
		VMULPS_Z(p["x"], Z9, K1, Z1)
		VSUBPS(Z1, Z0, Z0)
		VMULPS(Z8, Z0, Z0)
	}
	vector{name: "NormGrad512", doc: "writes dx = r·(d·w - x·s); nextD and nextX are prefetched.", pointers: []string{"dx", "d", "w", "x"}, fetch: []string{"nextD", "nextX"}, scalars: []string{"r", "s"}, body: func(p map[string]Mem) {
		grad(p)
		store(Z0, p["dx"])
	}}.write(nil)
	vector{name: "NormGradAdd512", doc: "writes dx = res + r·(d·w - x·s); nextD and nextX are prefetched.", pointers: []string{"dx", "res", "d", "w", "x"}, fetch: []string{"nextD", "nextX"}, scalars: []string{"r", "s"}, body: func(p map[string]Mem) {
		grad(p)
		fetch(RSI) // res
		VADDPS_Z(p["res"], Z0, K1, Z0)
		store(Z0, p["dx"])
	}}.write(nil)
}

// normGradW512 adds a row to the gradient of a norm's weight.
func normGradW512() {
	name := "NormGradW512"
	TEXT(name, NOSPLIT|NOFRAME, "func(sum *float64, d, x, nextD, nextX *float32, n int, r float64)")
	Pragma("noescape")
	describe(name + " adds d·x·r to sum in f64; nextD and nextX are prefetched.")
	sum, d, x, nextD, nextX := RDI, RSI, RDX, RBX, R8
	Load(Param("sum"), sum)
	Load(Param("d"), d)
	Load(Param("x"), x)
	Load(Param("nextD"), nextD)
	Load(Param("nextX"), nextX)
	Load(Param("n"), RCX)
	loadFloat("r", X8)
	VBROADCASTSD(X8, Z8)
	tail(name, RCX, RAX, func() {
		load(Mem{Base: d}, Z0)
		widen()
		VMOVAPS(Z1, Z3)
		VMOVAPS(Z2, Z4)
		load(Mem{Base: x}, Z0)
		widen()
		VMULPD(Z1, Z3, Z3)
		VMULPD(Z2, Z4, Z4)
		KSHIFTRW(Imm(8), K1, K2)
		VMOVUPD_Z(Mem{Base: sum}, K1, Z1)
		VMOVUPD_Z(Mem{Base: sum, Disp: 64}, K2, Z2)
		VFMADD231PD(Z8, Z3, Z1)
		VFMADD231PD(Z8, Z4, Z2)
		VMOVUPD(Z1, K1, Mem{Base: sum})
		VMOVUPD(Z2, K2, Mem{Base: sum, Disp: 64})
		PREFETCHT0(Mem{Base: nextD})
		PREFETCHT0(Mem{Base: nextX})
		ADDQ(U32(128), sum)
		for _, p := range []GPPhysical{d, x, nextD, nextX} {
			ADDQ(U32(64), p)
		}
	})
	VZEROUPPER()
	RET()
}

// losses is what the cross entropy of a row needs beside expSum512.
func losses() {
	vector{name: "Max512", doc: "returns the greatest element, NaN passed over.", result: "float32", pointers: []string{"x"}, setup: func() {
		constant(Z3, 0xFF800000)
	}, body: func(p map[string]Mem) {
		load(p["x"], Z0)
		fetch(RDI)
		VMAXPS(Z3, Z0, K1, Z3)
	}}.write(func() {
		VEXTRACTF64X4(Imm(1), Z3, Y1)
		VMAXPS(Y1, Y3, Y3)
		VEXTRACTF128(Imm(1), Y3, X1)
		VMAXPS(X1, X3, X3)
		VPSHUFD(Imm(0x4e), X3, X1)
		VMAXPS(X1, X3, X3)
		VPSHUFD(Imm(0xb1), X3, X1)
		VMAXPS(X1, X3, X3)
		storeFloat(X3)
	})
	vector{name: "SumExp512", doc: "returns Σ exp(x - shift) in f64.", result: "float64", pointers: []string{"x"}, scalars: []string{"shift"}, setup: func() {
		expConsts()
		clearSums()
	}, body: func(p map[string]Mem) {
		load(p["x"], Z5)
		VSUBPS(Z8, Z5, Z5)
		exp(Z5, Z6, Z7)
		VMOVAPS_Z(Z6, K1, Z0)
		widen()
		VADDPD(Z1, Z3, Z3)
		VADDPD(Z2, Z4, Z4)
	}}.write(returnSum64)
}

// rope512 turns the heads of a row, each two halves, by the angles of its
// position.
func rope512() {
	name := "Rope512"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x, cos, sin *float32, half, heads int, sign float32)")
	Pragma("noescape")
	describe(name + " rotates the pairs (j, j+half) of every head by the angles of cos and sin, in the direction sign; y may be x.")
	y, x, cos, sin, half, heads, c, s, t, other, out := RDI, RSI, RDX, RBX, R8, R9, R10, R11, RAX, R12, R13
	for _, p := range []struct {
		name string
		to   Register
	}{{"y", y}, {"x", x}, {"cos", cos}, {"sin", sin}, {"half", half}, {"heads", heads}} {
		Load(Param(p.name), p.to)
	}
	loadFloat("sign", X8)
	VBROADCASTSS(X8, Z8)
	Label(name + "_head")
	MOVQ(cos, c)
	MOVQ(sin, s)
	LEAQ(Mem{Base: x, Index: half, Scale: 4}, other)
	LEAQ(Mem{Base: y, Index: half, Scale: 4}, out)
	MOVQ(half, RCX)
	tail(name, RCX, t, func() {
		load(Mem{Base: x}, Z0)
		load(Mem{Base: other}, Z1)
		load(Mem{Base: c}, Z2)
		fetch(x, other, y, out)
		VMULPS_Z(Mem{Base: s}, Z8, K1, Z3)
		VMULPS(Z2, Z0, Z4)
		VMULPS(Z3, Z1, Z5)
		VMULPS(Z2, Z1, Z6)
		VMULPS(Z3, Z0, Z7)
		VSUBPS(Z5, Z4, Z4)
		VADDPS(Z7, Z6, Z6)
		store(Z4, Mem{Base: y})
		store(Z6, Mem{Base: out})
		for _, r := range []GPPhysical{x, other, c, s, y, out} {
			ADDQ(U32(64), r)
		}
	})
	// RCX is 0 or what the last masked turn went beyond: back to the end.
	LEAQ(Mem{Base: other, Index: RCX, Scale: 4}, x)
	LEAQ(Mem{Base: out, Index: RCX, Scale: 4}, y)
	DECQ(heads)
	JNZ(LabelRef(name + "_head"))
	VZEROUPPER()
	RET()
}
