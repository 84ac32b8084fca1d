package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// tail runs body for 16 elements at a time with K1 masking the last ones.
func tail(name string, n, t GPPhysical, body func()) {
	Label(name + "_loop")
	CMPQ(n, Imm(0))
	JLE(LabelRef(name + "_end"))
	MOVQ(U32(0xFFFF), t)
	CMPQ(n, Imm(16))
	JGE(LabelRef(name + "_whole"))
	MOVQ(U32(1), t)
	SHLQ(CL, t)
	SUBQ(Imm(1), t)
	Label(name + "_whole")
	KMOVW(t.As32(), K1)
	body()
	SUBQ(Imm(16), n)
	JMP(LabelRef(name + "_loop"))
	Label(name + "_end")
}

func constant(z VecPhysical, bits uint32) {
	MOVL(U32(bits), EAX)
	VPBROADCASTD(EAX, z)
}

func float(z VecPhysical, f float32) { constant(z, math.Float32bits(f)) }

// expConsts loads the constants of exp into Z16..Z26.
func expConsts() {
	for i, f := range []float32{1.44269504088896341, 0.693359375, -2.12194440e-4,
		1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, -104} {
		float(zs[16+i], f)
	}
}

// exp puts exp(x) into y (Cephes expf: n = round(x/ln2), polynomial in the
// rest, scaled by 2^n); x is destroyed, n and Z31 are scratch. The maximum is
// the first operand written here when one is NaN, so that must be x.
func exp(x, y, n VecPhysical) {
	VMAXPS(x, Z26, x)
	VMULPS(Z16, x, n)
	VRNDSCALEPS(Imm(0), n, n)
	VFNMADD231PS(Z17, n, x)
	VFNMADD231PS(Z18, n, x)
	VMOVAPS(Z19, y)
	for i := 20; i <= 24; i++ {
		VFMADD213PS(zs[i], x, y)
	}
	VMULPS(x, x, Z31)
	VFMADD213PS(x, Z31, y)
	VADDPS(Z25, y, y)
	VSCALEFPS(n, y, y)
}

// floorOfProbability is where an exponential that becomes a probability is
// zero: below are the denormal numbers, with which products are slow.
const floorOfProbability = -125 * math.Ln2

// notLess is VCMPPS's a >= b that holds for NaN, too.
var notLess = Imm(5)

// expSum512: dst = exp(src − shift), returns the sum.
func expSum512() {
	name := "ExpSum512"
	TEXT(name, NOSPLIT|NOFRAME, "func(dst, src *float32, n int, shift float32) float32")
	Pragma("noescape")
	describe("ExpSum512 writes exp(src-shift), zero below 2^-125, and returns the sum.")
	dst, src, n, t := RDI, RSI, RCX, RAX
	expConsts()
	float(Z27, floorOfProbability)
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	loadFloat("shift", X4)
	VBROADCASTSS(X4, Z4)
	VPXORD(Z3, Z3, Z3)
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: src}, K1, Z0)
		VSUBPS(Z4, Z0, Z0)
		VCMPPS(notLess, Z27, Z0, K2)
		exp(Z0, Z1, Z2)
		VMOVAPS_Z(Z1, K2, Z1)
		VADDPS(Z1, Z3, K1, Z3)
		VMOVUPS(Z1, K1, Mem{Base: dst})
		ADDQ(U32(64), src)
		ADDQ(U32(64), dst)
	})
	sumLanes()
	storeFloat(X3)
	VZEROUPPER()
	RET()
}

// sigmoid puts 1/(1+exp(−g)) into s.
func sigmoid(g, s, n, x VecPhysical) {
	VPXORD(x, x, x)
	VSUBPS(g, x, x)
	VMINPS(x, Z27, x)
	exp(x, s, n)
	VADDPS(Z25, s, s)
	VDIVPS(s, Z25, s)
}
