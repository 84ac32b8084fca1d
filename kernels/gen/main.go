// Command gen writes the assembly of package kernels with avo:
//
//	cd kernels/gen && go run . -out ../asm_amd64.s -stubs ../asm_amd64.go -pkg kernels
package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

var zs = []VecPhysical{Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}
var ys = []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}

func main() {
	ConstraintExpr("amd64")
	cpuid()
	for mr := 1; mr <= 14; mr++ {
		gemm512(mr, 2)
		gemm512(mr, 1)
	}
	for mr := 1; mr <= 6; mr++ {
		gemm256(mr)
	}
	for _, d := range []string{"F32", "F16", "BF16"} {
		packT512(d)
		packN512(d)
	}
	cvt512("F16")
	cvt512("BF16")
	cvt256("F16")
	cvt256("BF16")
	expSum512()
	swiglu512()
	swigluGrad512()
	scaleMax512()
	softmaxGrad512()
	dropout512()
	adamw512()
	pause()
	Generate()
}

func itoa(n int) string {
	if n >= 10 {
		return string(rune('0'+n/10)) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}

// gemm512: C[mr, 16·nv] (+)= A panel [k][mr] · the first 16·nv columns of B
// panel [k][32]; mask selects the columns of C that exist; acc adds to C.
func gemm512(mr, nv int) {
	name := "gemm512x" + itoa(mr)
	if nv == 1 {
		name += "half"
	}
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a, b, c *float32, ldc int, mask, acc uint64)")
	Pragma("noescape")
	Doc(name + " multiplies a packed panel of " + itoa(mr) + " rows with " + itoa(16*nv) + " columns of one.")
	k, a, b, c, ldc, t, k4 := RCX, RSI, RDI, RDX, R8, RAX, R9
	Load(Param("k"), k)
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
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
	for i := 0; i < na; i++ {
		VPXORD(zs[i], zs[i], zs[i])
	}
	step := func(u int) {
		for v := 0; v < nv; v++ {
			VMOVUPS(Mem{Base: b, Disp: (2*u + v) * 64}, B(v))
		}
		for r := 0; r < mr; r++ {
			z := bc[(u*mr+r)%len(bc)]
			VBROADCASTSS(Mem{Base: a, Disp: (u*mr + r) * 4}, z)
			for v := 0; v < nv; v++ {
				VFMADD231PS(z, B(v), acc(r, v))
			}
		}
	}
	MOVQ(k, k4)
	SHRQ(Imm(2), k4)
	JZ(LabelRef(name + "_rest"))
	Label(name + "_loop")
	for u := 0; u < 4; u++ {
		step(u)
	}
	ADDQ(U32(4*mr*4), a)
	ADDQ(U32(4*128), b)
	DECQ(k4)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_rest")
	ANDQ(Imm(3), k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_one")
	step(0)
	ADDQ(U32(mr*4), a)
	ADDQ(U32(128), b)
	DECQ(k)
	JNZ(LabelRef(name + "_one"))
	Label(name + "_done")
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
	for r := 0; r < mr; r++ {
		for v := 0; v < nv; v++ {
			VADDPS(Mem{Base: c, Disp: 64 * v}, acc(r, v), masks[v], acc(r, v))
		}
		for v := 0; v < nv; v++ {
			VMOVUPS(acc(r, v), masks[v], Mem{Base: c, Disp: 64 * v})
		}
		ADDQ(ldc, c)
	}
	VZEROUPPER()
	RET()
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

// gemm256: C[mr, 16] (+)= A panel [k][mr] · B panel [k][16], all columns.
func gemm256(mr int) {
	name := "gemm256x" + itoa(mr)
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, a, b, c *float32, ldc int, acc uint64)")
	Pragma("noescape")
	Doc(name + " multiplies a packed panel of " + itoa(mr) + " rows with one of 16 columns.")
	k, a, b, c, ldc, t := RCX, RSI, RDI, RDX, R8, RAX
	Load(Param("k"), k)
	Load(Param("a"), a)
	Load(Param("b"), b)
	Load(Param("c"), c)
	Load(Param("ldc"), ldc)
	acc := func(r, v int) VecPhysical { return ys[2*r+v] }
	for i := 0; i < 2*mr; i++ {
		VXORPS(ys[i], ys[i], ys[i])
	}
	TESTQ(k, k)
	JZ(LabelRef(name + "_done"))
	Label(name + "_loop")
	VMOVUPS(Mem{Base: b}, Y12)
	VMOVUPS(Mem{Base: b, Disp: 32}, Y13)
	for r := 0; r < mr; r++ {
		z := []VecPhysical{Y14, Y15}[r%2]
		VBROADCASTSS(Mem{Base: a, Disp: r * 4}, z)
		VFMADD231PS(z, Y12, acc(r, 0))
		VFMADD231PS(z, Y13, acc(r, 1))
	}
	ADDQ(U32(mr*4), a)
	ADDQ(U32(64), b)
	DECQ(k)
	JNZ(LabelRef(name + "_loop"))
	Label(name + "_done")
	Load(Param("acc"), t)
	TESTQ(t, t)
	JZ(LabelRef(name + "_store"))
	MOVQ(c, t)
	for r := 0; r < mr; r++ {
		VADDPS(Mem{Base: t}, acc(r, 0), acc(r, 0))
		VADDPS(Mem{Base: t, Disp: 32}, acc(r, 1), acc(r, 1))
		ADDQ(ldc, t)
	}
	Label(name + "_store")
	for r := 0; r < mr; r++ {
		VMOVUPS(acc(r, 0), Mem{Base: c})
		VMOVUPS(acc(r, 1), Mem{Base: c, Disp: 32})
		ADDQ(ldc, c)
	}
	VZEROUPPER()
	RET()
}

// packT512 transposes up to 16 rows of a matrix, converting to f32:
// dst[j][r] = src[r][j] for j < cols, r < rows; lanes beyond rows get zeros,
// and only the lanes of the mask are written.
func packT512(dtype string) {
	name := "packT512" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64)")
	Pragma("noescape")
	Doc(name + " writes up to 16 rows as columns of a panel.")
	cols, rows, src, stride, dst, ldd, t, p := RCX, RBX, RSI, R8, RDI, R9, RAX, RDX
	Load(Param("cols"), cols)
	Load(Param("rows"), rows)
	Load(Param("src"), src)
	Load(Param("stride"), stride)
	Load(Param("dst"), dst)
	Load(Param("ldd"), ldd)
	Load(Param("lanes"), t)
	KMOVW(t.As32(), K2)
	size := 4
	if dtype != "F32" {
		size = 2
	}
	Label(name + "_block")
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
	for j := 0; j < 16; j++ {
		CMPQ(cols, U32(uint32(j)))
		JLE(LabelRef(name + "_done"))
		VMOVUPS(zs[j], K2, Mem{Base: dst})
		ADDQ(ldd, dst)
	}
	ADDQ(U32(uint32(16*size)), src)
	SUBQ(Imm(16), cols)
	JG(LabelRef(name + "_block"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// packN512 copies 32 columns of k rows into a panel, converting to f32. The
// rows lie far apart, so those to come are fetched ahead.
func packN512(dtype string) {
	name := "packN512" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(k int, src *byte, stride int, dst *float32)")
	Pragma("noescape")
	Doc(name + " copies 32 columns of k rows into a panel.")
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
	PREFETCHT0(Mem{Base: ahead})
	switch dtype {
	case "F32":
		PREFETCHT0(Mem{Base: ahead, Disp: 64})
		VMOVUPS(Mem{Base: src}, Z0)
		VMOVUPS(Mem{Base: src, Disp: 64}, Z1)
	case "F16":
		VCVTPH2PS(Mem{Base: src}, Z0)
		VCVTPH2PS(Mem{Base: src, Disp: 32}, Z1)
	case "BF16":
		VPMOVZXWD(Mem{Base: src}, Z0)
		VPMOVZXWD(Mem{Base: src, Disp: 32}, Z1)
		VPSLLD(Imm(16), Z0, Z0)
		VPSLLD(Imm(16), Z1, Z1)
	}
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

// cvt512 converts n elements to f32.
func cvt512(dtype string) {
	name := "cvt512" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(dst *float32, src *byte, n int)")
	Pragma("noescape")
	Doc(name + " converts n elements to f32.")
	dst, src, n, t := RDI, RSI, RCX, RAX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	tail(name, n, t, func() {
		if dtype == "F16" {
			VMOVDQU16_Z(Mem{Base: src}, K1, Y0)
			VCVTPH2PS(Y0, Z0)
		} else {
			VPMOVZXWD_Z(Mem{Base: src}, K1, Z0)
			VPSLLD(Imm(16), Z0, Z0)
		}
		VMOVUPS(Z0, K1, Mem{Base: dst})
		ADDQ(U32(32), src)
		ADDQ(U32(64), dst)
	})
	VZEROUPPER()
	RET()
}

// cvt256 converts n elements to f32, n a multiple of 8.
func cvt256(dtype string) {
	name := "cvt256" + dtype
	TEXT(name, NOSPLIT|NOFRAME, "func(dst *float32, src *byte, n int)")
	Pragma("noescape")
	Doc(name + " converts n elements to f32, n a multiple of 8.")
	dst, src, n := RDI, RSI, RCX
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	Label(name + "_loop")
	CMPQ(n, Imm(0))
	JLE(LabelRef(name + "_end"))
	if dtype == "F16" {
		VCVTPH2PS(Mem{Base: src}, Y0)
	} else {
		VPMOVZXWD(Mem{Base: src}, Y0)
		VPSLLD(Imm(16), Y0, Y0)
	}
	VMOVUPS(Y0, Mem{Base: dst})
	ADDQ(U32(16), src)
	ADDQ(U32(32), dst)
	SUBQ(Imm(8), n)
	JMP(LabelRef(name + "_loop"))
	Label(name + "_end")
	VZEROUPPER()
	RET()
}

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
// the first operand written here when one is no number, so x must be that.
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

// expSum512: dst = exp(src − shift), returns the sum.
func expSum512() {
	name := "expSum512"
	TEXT(name, NOSPLIT|NOFRAME, "func(dst, src *float32, n int, shift float32) float32")
	Pragma("noescape")
	Doc("expSum512 writes exp(src-shift) and returns the sum.")
	dst, src, n, t := RDI, RSI, RCX, RAX
	expConsts()
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), n)
	Load(Param("shift"), X4)
	VBROADCASTSS(X4, Z4)
	VPXORD(Z3, Z3, Z3)
	tail(name, n, t, func() {
		VMOVUPS_Z(Mem{Base: src}, K1, Z0)
		VSUBPS(Z4, Z0, Z0)
		exp(Z0, Z1, Z2)
		VADDPS(Z1, Z3, K1, Z3)
		VMOVUPS(Z1, K1, Mem{Base: dst})
		ADDQ(U32(64), src)
		ADDQ(U32(64), dst)
	})
	VEXTRACTF64X4(Imm(1), Z3, Y1)
	VADDPS(Y1, Y3, Y3)
	VEXTRACTF128(Imm(1), Y3, X1)
	VADDPS(X1, X3, X3)
	VPSHUFD(Imm(0x4e), X3, X1)
	VADDPS(X1, X3, X3)
	VPSHUFD(Imm(0xb1), X3, X1)
	VADDPS(X1, X3, X3)
	Store(X3, ReturnIndex(0))
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

// swiglu512: h = silu(g)·u.
func swiglu512() {
	name := "swiglu512"
	TEXT(name, NOSPLIT|NOFRAME, "func(h, gate, up *float32, n int)")
	Pragma("noescape")
	Doc("swiglu512 writes silu(g)*u.")
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
	name := "swigluGrad512"
	TEXT(name, NOSPLIT|NOFRAME, "func(dgate, dup, dh, gate, up *float32, n int)")
	Pragma("noescape")
	Doc("swigluGrad512 writes the gradients of silu(g)*u.")
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

// scaleMax512 works in place on a row and passes over what is no number, as
// the comparison of its twin does.
func scaleMax512() {
	name := "scaleMax512"
	TEXT(name, NOSPLIT|NOFRAME, "func(row *float32, n int, scale, low float32) float32")
	Pragma("noescape")
	Doc("scaleMax512 scales the row and returns its greatest element, at least low.")
	row, n, t := RDI, RCX, RAX
	Load(Param("row"), row)
	Load(Param("n"), n)
	Load(Param("scale"), X1)
	VBROADCASTSS(X1, Z1)
	Load(Param("low"), X2)
	VBROADCASTSS(X2, Z2)
	tail(name, n, t, func() {
		VMULPS_Z(Mem{Base: row}, Z1, K1, Z0)
		VMOVUPS(Z0, K1, Mem{Base: row})
		VMAXPS(Z2, Z0, K1, Z2)
		ADDQ(U32(64), row)
	})
	VEXTRACTF64X4(Imm(1), Z2, Y1)
	VMAXPS(Y1, Y2, Y2)
	VEXTRACTF128(Imm(1), Y2, X1)
	VMAXPS(X1, X2, X2)
	VPSHUFD(Imm(0x4e), X2, X1)
	VMAXPS(X1, X2, X2)
	VPSHUFD(Imm(0xb1), X2, X1)
	VMAXPS(X1, X2, X2)
	Store(X2, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// softmaxGrad512: p = exp(scale·p − lse), ds = p·(ds − delta)·scale.
func softmaxGrad512() {
	name := "softmaxGrad512"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, ds *float32, n int, scale, lse, delta float32)")
	Pragma("noescape")
	Doc("softmaxGrad512 turns scores into probabilities and the gradients of those into the gradients of the scores.")
	p, ds, n, t := RDI, RSI, RCX, RAX
	expConsts()
	Load(Param("p"), p)
	Load(Param("ds"), ds)
	Load(Param("n"), n)
	for i, c := range []string{"scale", "lse", "delta"} {
		Load(Param(c), X0)
		VBROADCASTSS(X0, zs[4+i])
	}
	tail(name, n, t, func() {
		VMULPS_Z(Mem{Base: p}, Z4, K1, Z0)
		VSUBPS(Z5, Z0, Z0)
		exp(Z0, Z1, Z2)
		VMOVUPS(Z1, K1, Mem{Base: p})
		VMOVUPS_Z(Mem{Base: ds}, K1, Z0)
		VSUBPS(Z6, Z0, Z0)
		VMULPS(Z1, Z0, Z0)
		VMULPS(Z4, Z0, Z0)
		VMOVUPS(Z0, K1, Mem{Base: ds})
		ADDQ(U32(64), p)
		ADDQ(U32(64), ds)
	})
	VZEROUPPER()
	RET()
}

// dropout512: pairs[i] is what the hash of pair i of columns starts from, for
// the first 16; a word of the hash is two columns in the order of memory.
func dropout512() {
	name := "dropout512"
	TEXT(name, NOSPLIT|NOFRAME, "func(y, x *float32, n int, pairs *[16]uint32, high, limit uint32, scale float32)")
	Pragma("noescape")
	Doc("dropout512 drops the columns of which 16 bits are below limit and scales the others.")
	y, x, n, t := RDI, RSI, RCX, RAX
	Load(Param("y"), y)
	Load(Param("x"), x)
	Load(Param("n"), n)
	Load(Param("pairs"), t)
	VMOVDQU32(Mem{Base: t}, Z0)
	Load(Param("high"), EAX)
	VPBROADCASTD(EAX, Z16)
	Load(Param("limit"), EAX)
	VPBROADCASTW(EAX, Z17)
	Load(Param("scale"), X1)
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

// adamw512: o holds scale, β1, 1−β1, β2, 1−β2, root, eps, rate and decay. It rounds after every operation, as its twin does: the same bits.
func adamw512() {
	name := "adamw512"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, grad, m, v *float32, n int, o *[9]float32)")
	Pragma("noescape")
	Doc("adamw512 updates parameters and moments from gradients.")
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

func cpuid() {
	TEXT("cpuid", NOSPLIT|NOFRAME, "func(leaf, sub uint32) (a, b, c, d uint32)")
	Doc("cpuid runs the instruction of that name.")
	Load(Param("leaf"), EAX)
	Load(Param("sub"), ECX)
	CPUID()
	Store(EAX, Return("a"))
	Store(EBX, Return("b"))
	Store(ECX, Return("c"))
	Store(EDX, Return("d"))
	RET()
	TEXT("xgetbv", NOSPLIT|NOFRAME, "func() uint32")
	Doc("xgetbv returns which register states the system saves.")
	XORL(ECX, ECX)
	XGETBV()
	Store(EAX, ReturnIndex(0))
	RET()
}

func pause() {
	TEXT("pause", NOSPLIT|NOFRAME, "func()")
	Doc("pause waits a moment without leaving the processor.")
	for i := 0; i < 8; i++ {
		PAUSE()
	}
	RET()
}
