package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The products of a few rows of x with all rows of a weight, straight from the
// stored type: each row of the weight is read once and multiplied with every row
// of x. A sum's order depends on the stored type alone, never on how many rows x
// has.

// fewRows is the most rows of x of one function.
const fewRows = 4

// few is the state that the generators share.
type few struct {
	name          string
	r             int
	wp, xp, count GPPhysical
	x3            GPPhysical // three strides of x
	acc           [fewRows][2]VecPhysical
	t0, t1, t2    GPPhysical // scratch
	stack         Mem
	lanes         VecPhysical
	turn          int // which of the sums a step adds to, where they take turns
}

// row is a place in row i of x, from its current position.
func (f *few) row(i, at int) Mem {
	m := Mem{Base: f.xp, Disp: at}
	switch i {
	case 1:
		m.Index, m.Scale = R11, 1
	case 2:
		m.Index, m.Scale = R11, 2
	case 3:
		m.Index, m.Scale = f.x3, 1
	}
	return m
}

// step is how the function of a stored type advances: bytes of the weight a step, and
// how many steps there are between two rounds of prefetching.
type step struct{ bytes, unroll int }

// ahead is how far beyond the current position a weight is prefetched.
const ahead = 2048

// few256 writes the function of a stored type and r rows of x. Its body multiplies
// one step of a row of the weight and advances wp and xp. The result is the first sum of
// a row less so many times the second.
func few256(dtype string, r, locals int, by step, once, body func(f *few), times float32) {
	name := fmt.Sprintf("Few8%sx%d", dtype, r)
	attributes := NOSPLIT
	if locals == 0 {
		attributes |= NOFRAME
	}
	TEXT(name, attributes, "func(rows, n int, w *byte, ldw int, x *byte, ldx int, y *float32, ldy int)")
	Pragma("noescape")
	describe(fmt.Sprintf("%s writes y[i, j] = Σ x[i, q]·w[j, q] for %d rows of x and all rows of w, of n steps each; y has a row for each of x.", name, r))
	rows, n, w, ldw, x, ldx, y, ldy := RCX, R9, RSI, R10, RDX, R11, RDI, R12
	f := &few{name: name, r: r, wp: RAX, xp: RBX, count: R8, x3: R13, t0: R12, t1: R14, t2: R15}
	if locals > 0 {
		f.stack = AllocLocal(locals)
	}
	for i := range f.acc {
		f.acc[i] = [2]VecPhysical{ys[2*i], ys[2*i+1]}
	}
	Load(Param("rows"), rows)
	Load(Param("n"), n)
	Load(Param("w"), w)
	Load(Param("ldw"), ldw)
	Load(Param("x"), x)
	Load(Param("ldx"), ldx)
	Load(Param("y"), y)
	LEAQ(Mem{Base: ldx, Index: ldx, Scale: 2}, f.x3)
	if once != nil {
		once(f)
	}
	Label(name + "_row")
	MOVQ(w, f.wp)
	MOVQ(x, f.xp)
	MOVQ(n, f.count)
	for i := range r {
		for _, a := range f.acc[i] {
			VXORPS(a, a, a)
		}
	}
	if by.unroll > 1 {
		SUBQ(Imm(uint64(by.unroll)), f.count)
		JL(LabelRef(name + "_rest"))
	}
	Label(name + "_loop")
	for at := 0; at < by.bytes*by.unroll; at += 64 {
		PREFETCHT0(Mem{Base: f.wp, Disp: ahead + at})
	}
	for i := range by.unroll {
		f.turn = i % 2
		body(f)
	}
	f.turn = 0
	SUBQ(Imm(uint64(by.unroll)), f.count)
	if by.unroll > 1 {
		JGE(LabelRef(name + "_loop"))
		Label(name + "_rest")
		ADDQ(Imm(uint64(by.unroll)), f.count)
		JZ(LabelRef(name + "_sum"))
		Label(name + "_one")
		body(f)
		DECQ(f.count)
		JNZ(LabelRef(name + "_one"))
		Label(name + "_sum")
	} else {
		JNZ(LabelRef(name + "_loop"))
	}
	Load(Param("ldy"), ldy)
	float256(Y8, times)
	MOVQ(y, f.wp)
	for i := range r {
		a, b := f.acc[i][0], f.acc[i][1]
		VFNMADD231PS(b, Y8, a)
		VEXTRACTF128(Imm(1), a, b.AsX())
		VADDPS(b.AsX(), a.AsX(), a.AsX())
		VMOVHLPS(a.AsX(), a.AsX(), b.AsX())
		VADDPS(b.AsX(), a.AsX(), a.AsX())
		VMOVSHDUP(a.AsX(), b.AsX())
		VADDSS(b.AsX(), a.AsX(), a.AsX())
		VMOVSS(a.AsX(), Mem{Base: f.wp})
		if i+1 < r {
			ADDQ(ldy, f.wp)
		}
	}
	ADDQ(ldw, w)
	ADDQ(Imm(4), y)
	DECQ(rows)
	JNZ(LabelRef(name + "_row"))
	VZEROUPPER()
	RET()
}

// fewFloats256 is that of elements stored one by one, 16 a step. Steps add to the two
// sums in turn, so that one need not wait for the other.
func fewFloats256(dtype string, r int) {
	size := 2
	if dtype == "F32" {
		size = 4
	}
	few256(dtype, r, 0, step{16 * size, 2}, nil, func(f *few) {
		for h := range 2 {
			z, m := []VecPhysical{Y8, Y9}[h], Mem{Base: f.wp, Disp: 8 * size * h}
			switch dtype {
			case "F32":
				VMOVUPS(m, z)
			case "F16":
				VCVTPH2PS(m, z)
			default:
				VPMOVZXWD(m, z)
				VPSLLD(Imm(16), z, z)
			}
		}
		for i := range f.r {
			z := []VecPhysical{Y10, Y11}[i%2]
			VMULPS(f.row(i, 0), Y8, z)
			VFMADD231PS(f.row(i, 32), Y9, z)
			VADDPS(z, f.acc[i][f.turn], f.acc[i][f.turn])
		}
		ADDQ(Imm(uint64(16*size)), f.wp)
		ADDQ(Imm(64), f.xp)
	}, -1)
}

// fewBytes256 is that of Q8_0, a block a step: d times the sum of the products with q.
func fewBytes256(r int) {
	few256("Q8_0", r, 0, step{34, 2}, nil, func(f *few) {
		d := Y14
		VPBROADCASTW(Mem{Base: f.wp}, d.AsX())
		VCVTPH2PS(d.AsX(), d)
		w := []VecPhysical{Y8, Y9, Y10, Y11}
		for c, z := range w {
			VPMOVSXBD(Mem{Base: f.wp, Disp: 2 + 8*c}, z)
			VCVTDQ2PS(z, z)
		}
		for i := range f.r {
			z := []VecPhysical{Y12, Y13}[i%2]
			VMULPS(f.row(i, 0), w[0], z)
			for c := 1; c < 4; c++ {
				VFMADD231PS(f.row(i, 32*c), w[c], z)
			}
			VFMADD231PS(z, d, f.acc[i][f.turn])
		}
		ADDQ(Imm(34), f.wp)
		ADDQ(U32(128), f.xp)
	}, -1)
}

// The blocks of fewer than eight bits are multiplied as integers with x of 16 bits.
// Halves8 writes 32 numbers of x in 128 bytes: those with even and with odd places,
// in words; the sums of four numbers each, as f32; the scale, eight times.
const (
	xEven, xOdd, xSums, xScale = 0, 32, 64, 96
	xBlock                     = 128
)

// fill256 fills a register of AVX2.
func fill256(y VecPhysical, bits uint32) {
	MOVL(U32(bits), EAX)
	VMOVD(EAX, y.AsX())
	VPBROADCASTD(y.AsX(), y)
}

// nibbles loads the constant of unpacking: low four bits of each word.
func nibbles(f *few) {
	f.lanes = Y15
	fill256(f.lanes, 0x000F000F)
}

// half broadcasts a number of half precision.
func half(m Mem, y VecPhysical) {
	VPBROADCASTW(m, y.AsX())
	VCVTPH2PS(y.AsX(), y)
}

// Pairs8 lays 64 numbers that Halves8 wrote out for pairs of blocks of nibbles, in
// 256 bytes: words of four kinds, of the first block in the lower half of a register
// and of the second in the upper: even and odd ones of the first 16, then of the last
// 16; the sums of what shares a lane; and the scales.
const (
	pSums, pScale = 128, 160
	pBlock        = 2 * xBlock
)

// fewNibbles256 is that of Q4_0 and Q4_1, two blocks a step, one in each half of the
// registers.
func fewNibbles256(dtype string, r int) {
	minimum, at, times := dtype == "Q4_1", 2, float32(8)
	if minimum {
		at, times = 4, -1
	}
	bytes := 16 + at
	// pair loads a number of half precision of each block.
	pair := func(from int, y VecPhysical) {
		VPBROADCASTW(Mem{Base: RAX, Disp: from}, y.AsX())
		VPBROADCASTW(Mem{Base: RAX, Disp: from + bytes}, X14)
		VPUNPCKLQDQ(X14, y.AsX(), y.AsX())
		VCVTPH2PS(y.AsX(), y)
	}
	low := Op(Y15)
	var once func(f *few)
	if minimum { // Y15 is taken
		low = lowNibbles256(dtype, r)
	} else {
		once = func(*few) { fill256(Y15, 0x000F000F) }
	}
	few256(dtype, r, 0, step{2 * bytes, 2}, once, func(f *few) {
		d, m := Y12, Y15
		pair(0, d)
		if minimum {
			pair(2, m)
		}
		w := []VecPhysical{Y8, Y9, Y10, Y11}
		VMOVDQU(Mem{Base: f.wp, Disp: at}, X8)
		VINSERTI128(Imm(1), Mem{Base: f.wp, Disp: at + bytes}, Y8, Y8)
		for i, down := range []uint64{0, 8, 4, 12} {
			if down > 0 {
				VPSRLW(Imm(down), Y8, w[i])
			}
		}
		for _, z := range w[:3] {
			VPAND(low, z, z)
		}
		for i := range f.r {
			VPMADDWD(f.row(i, 0), w[0], Y13)
			for c := 1; c < 4; c++ {
				VPMADDWD(f.row(i, 32*c), w[c], Y14)
				VPADDD(Y14, Y13, Y13)
			}
			VCVTDQ2PS(Y13, Y13)
			VMULPS(f.row(i, pScale), d, Y14)
			VFMADD231PS(Y14, Y13, f.acc[i][0])
			if minimum {
				VMULPS(f.row(i, pScale), m, Y14)
			}
			VFMADD231PS(f.row(i, pSums), Y14, f.acc[i][1])
		}
		ADDQ(Imm(uint64(2*bytes)), f.wp)
		ADDQ(U32(pBlock), f.xp)
	}, times)
}

// lowNibbles256 is the low four bits of each word, in memory.
func lowNibbles256(dtype string, r int) Mem {
	table := GLOBL(fmt.Sprintf("lowNibbles%sx%d", dtype, r), RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(0x000F000F))
	}
	return table
}

// pairs256 turns blocks of Halves8 into pairs.
func pairs256() {
	name := "Pairs8"
	TEXT(name, NOSPLIT|NOFRAME, "func(n int, x *byte)")
	Pragma("noescape")
	describe(name + " lays n pairs of blocks that Halves8 wrote out as the functions of nibbles read them.")
	n, x := RCX, RSI
	Load(Param("n"), n)
	Load(Param("x"), x)
	Label(name + "_loop")
	for i := range 8 {
		VMOVDQU(Mem{Base: x, Disp: 32 * i}, ys[i]) // even, odd, sums, scale of each
	}
	for i, half := range []uint64{0x20, 0x20, 0x31, 0x31} {
		VPERM2I128(Imm(half), ys[4+i%2], ys[i%2], Y8)
		VMOVDQU(Y8, Mem{Base: x, Disp: 32 * i})
	}
	VPERM2I128(Imm(0x20), Y6, Y2, Y8)
	VPERM2I128(Imm(0x31), Y6, Y2, Y9)
	VADDPS(Y9, Y8, Y8)
	VMOVUPS(Y8, Mem{Base: x, Disp: pSums})
	VPERM2I128(Imm(0x20), Y7, Y3, Y8)
	VMOVUPS(Y8, Mem{Base: x, Disp: pScale})
	ADDQ(U32(pBlock), x)
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// Supers8 lays 256 numbers that Halves8 wrote out for blocks with scales of their parts:
// the words stay where they are, in place of sums and scales there are, each eight
// numbers: scales of the eight parts; sums of the parts times scale; scales of the 16
// halves of parts; sums of those times scale.
const (
	sScale, sSum           = 0*xBlock + xSums, 1*xBlock + xSums
	sScaleHalf, sSumHalf   = 2*xBlock + xSums, 4*xBlock + xSums // and the next block
	superBlock, superParts = 8 * xBlock, 8
)

// part adds s·Σ q·x of part p to the first sum of each row: q in words, 16 of even places
// in Y8 and 16 of odd ones in Y9; scale leaves s for a row in Y13. Sums of integers are
// exact in f32.
func (f *few) part(p int, scale func(i int)) {
	at := p * xBlock
	for i := range f.r {
		VPMADDWD(f.row(i, at+xEven), Y8, Y10)
		VPMADDWD(f.row(i, at+xOdd), Y9, Y13)
		VPADDD(Y13, Y10, Y10)
		VCVTDQ2PS(Y10, Y10)
		scale(i)
		VFMADD231PS(Y13, Y10, f.acc[i][0])
	}
}

// fewQ4K256 is that of Q4_K: eight parts with scales and minima of six bits a step.
func fewQ4K256(r int) {
	few256("Q4_K", r, 32*fewRows, step{144, 1}, nibbles, func(f *few) {
		a, b, t := f.t0.As32(), f.t1.As32(), f.t2.As32()
		// six joins four numbers of six bits and four more of which the upper two are
		// the first ones' unused bits (GGML's get_scale_min_k4).
		six := func(from, down int, m VecPhysical) {
			MOVL(Mem{Base: f.wp, Disp: from}, a)
			MOVL(a, b)
			ANDL(U32(0x3F3F3F3F), a)
			SHRL(Imm(2), b)
			ANDL(U32(0x30303030), b)
			MOVL(Mem{Base: f.wp, Disp: 12}, t)
			if down > 0 {
				SHRL(Imm(uint64(down)), t)
			}
			ANDL(U32(0x0F0F0F0F), t)
			ORL(b, t)
			SHLQ(Imm(32), f.t2)
			ORQ(f.t0, f.t2)
			VMOVQ(f.t2, X8)
			VPMOVZXBD(X8, Y8)
			VCVTDQ2PS(Y8, Y8)
			VMULPS(m, Y8, m)
		}
		half(Mem{Base: f.wp}, Y12)
		half(Mem{Base: f.wp, Disp: 2}, Y11)
		six(4, 0, Y12)
		six(8, 4, Y11)
		for i := range f.r {
			VMULPS(f.row(i, sScale), Y12, Y13)
			VMOVUPS(Y13, f.stack.Offset(32*i))
			VFMADD231PS(f.row(i, sSum), Y11, f.acc[i][1])
		}
		for p := range superParts {
			VMOVDQU(Mem{Base: f.wp, Disp: 16 + p/2*32}, Y8)
			if p%2 == 0 {
				VPSRLW(Imm(8), Y8, Y9)
				VPAND(f.lanes, Y9, Y9)
			} else {
				VPSRLW(Imm(12), Y8, Y9)
				VPSRLW(Imm(4), Y8, Y8)
			}
			VPAND(f.lanes, Y8, Y8)
			f.part(p, func(i int) { VBROADCASTSS(f.stack.Offset(32*i+4*p), Y13) })
		}
		ADDQ(U32(144), f.wp)
		ADDQ(U32(superBlock), f.xp)
	}, 1)
}

// fewQ6K256 is that of Q6_K: eight parts with two scales each a step.
func fewQ6K256(r int) {
	few256("Q6_K", r, 64*fewRows, step{210, 1}, func(f *few) {
		f.lanes = Y15
		fill256(f.lanes, 0x0F0F0F0F)
		fill256(Y14, 0x00FF00FF)
		fill256(Y11, 0x30303030)
		// In the lower half the first of two scales, in the upper the second.
		fill256(Y8, 1)
		VXORPS(Y9, Y9, Y9)
		VPERM2I128(Imm(0x20), Y8, Y9, Y12)
	}, func(f *few) {
		half(Mem{Base: f.wp, Disp: 208}, Y10)
		for h := range 2 {
			VPMOVSXBD(Mem{Base: f.wp, Disp: 192 + 8*h}, Y8)
			VCVTDQ2PS(Y8, Y8)
			VMULPS(Y10, Y8, Y8)
			for i := range f.r {
				VMULPS(f.row(i, sScaleHalf+h*xBlock), Y8, Y13)
				VMOVUPS(Y13, f.stack.Offset(64*i+32*h))
				VFMADD231PS(f.row(i, sSumHalf+h*xBlock), Y8, f.acc[i][1])
			}
		}
		for p := range superParts {
			h, s := p/4, p%4
			VMOVDQU(Mem{Base: f.wp, Disp: 128 + 32*h}, Y9)
			switch s {
			case 0:
				VPSLLW(Imm(4), Y9, Y9)
			case 1:
				VPSLLW(Imm(2), Y9, Y9)
			case 3:
				VPSRLW(Imm(2), Y9, Y9)
			}
			VPAND(Y11, Y9, Y9)
			VMOVDQU(Mem{Base: f.wp, Disp: 64*h + 32*(s%2)}, Y8)
			if s >= 2 {
				VPSRLW(Imm(4), Y8, Y8)
			}
			VPAND(f.lanes, Y8, Y8)
			VPOR(Y9, Y8, Y8)
			VPSRLW(Imm(8), Y8, Y9)
			VPAND(Y14, Y8, Y8)
			f.part(p, func(i int) {
				VBROADCASTSD(f.stack.Offset(64*i+8*p), Y13)
				VPERMILPS(Y12, Y13, Y13)
			})
		}
		ADDQ(U32(210), f.wp)
		ADDQ(U32(superBlock), f.xp)
	}, 32)
}

// supers256 turns blocks of Halves8 into those with scales of parts.
func supers256() {
	name := "Supers8"
	TEXT(name, NOSPLIT|NOFRAME, "func(n int, x *byte)")
	Pragma("noescape")
	describe(name + " lays n times eight blocks that Halves8 wrote out as the functions of Q4_K and Q6_K read them.")
	n, x := RCX, RSI
	Load(Param("n"), n)
	Load(Param("x"), x)
	sums := func(p int) Mem { return Mem{Base: x, Disp: p*xBlock + xSums} }
	scale := func(p int) Mem { return Mem{Base: x, Disp: p*xBlock + xScale} }
	Label(name + "_loop")
	// The sums of the first halves of four parts in the lower half, of the second ones
	// in the upper.
	for half, to := range []VecPhysical{Y0, Y1} {
		for i, y := range []VecPhysical{Y4, Y5} {
			VMOVUPS(sums(4*half+2*i), y)
			VHADDPS(sums(4*half+2*i+1), y, y)
		}
		VHADDPS(Y5, Y4, to)
	}
	VMOVUPS(scale(0), Y2)
	for p := 1; p < 8; p++ {
		VBLENDPS(Imm(1<<p), scale(p), Y2, Y2)
	}
	VMOVUPS(Y2, Mem{Base: x, Disp: sScale})
	VPERM2F128(Imm(0x20), Y1, Y0, Y3)
	VPERM2F128(Imm(0x31), Y1, Y0, Y4)
	VADDPS(Y4, Y3, Y3)
	VMULPS(Y2, Y3, Y3)
	VMOVUPS(Y3, Mem{Base: x, Disp: sSum})
	// twice interleaves the halves of four parts, a and b.
	twice := func(a, b, to VecPhysical) {
		VUNPCKLPS(b.AsX(), a.AsX(), X6)
		VUNPCKHPS(b.AsX(), a.AsX(), X7)
		VINSERTF128(Imm(1), X7, Y6, to)
	}
	for half, y := range []VecPhysical{Y0, Y1} {
		VEXTRACTF128(Imm(uint64(half)), Y2, X3)
		twice(Y3, Y3, Y5)
		VMOVUPS(Y5, Mem{Base: x, Disp: sScaleHalf + half*xBlock})
		VEXTRACTF128(Imm(1), y, X4)
		twice(y, Y4, Y4)
		VMULPS(Y5, Y4, Y4)
		VMOVUPS(Y4, Mem{Base: x, Disp: sSumHalf + half*xBlock})
	}
	ADDQ(U32(superBlock), x)
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// halves256 writes x as the functions of blocks read it.
func halves256() {
	name := "Halves8"
	TEXT(name, NOSPLIT|NOFRAME, "func(n int, x *float32, dst *byte)")
	Pragma("noescape")
	describe(name + " rounds n blocks of 32 numbers to 16 bits: a block is 16 words of even places, 16 of odd ones, eight sums of four numbers each as f32, and eight times the scale, the largest number by 32767.")
	n, x, dst := RCX, RSI, RDI
	Load(Param("n"), n)
	Load(Param("x"), x)
	Load(Param("dst"), dst)
	abs, most, least, one := Y15, Y14, Y13, Y12
	fill256(abs, 0x7FFFFFFF)
	float256(most, 32767)
	float256(least, 1.1754943508222875e-38)
	fill256(one, 0x00010001)
	Label(name + "_loop")
	for c := range 4 {
		VMOVUPS(Mem{Base: x, Disp: 32 * c}, ys[c])
		VPAND(abs, ys[c], ys[4+c])
	}
	// The largest as integers, so that NaN is larger than all numbers.
	VPMAXUD(Y5, Y4, Y4)
	VPMAXUD(Y7, Y6, Y6)
	VPMAXUD(Y6, Y4, Y4)
	VEXTRACTI128(Imm(1), Y4, X5)
	VPMAXUD(X5, X4, X4)
	VPSHUFD(Imm(0x4E), X4, X5)
	VPMAXUD(X5, X4, X4)
	VPSHUFD(Imm(0xB1), X4, X5)
	VPMAXUD(X5, X4, X4)
	VPBROADCASTD(X4, Y4)
	VDIVPS(most, Y4, Y5) // the scale
	VMOVUPS(Y5, Mem{Base: dst, Disp: xScale})
	// Of what is zero or nearly, all is zero.
	VCMPPS(Imm(1), Y4, least, Y6)
	VDIVPS(Y4, most, Y5)
	VANDPS(Y6, Y5, Y5)
	for c := range 4 {
		VMULPS(Y5, ys[c], ys[c])
		VCVTPS2DQ(ys[c], ys[c])
	}
	// Words in order; sums of two of them; even and odd ones as double words.
	for h := range 2 {
		VPACKSSDW(ys[2*h+1], ys[2*h], ys[h])
		VPERMQ(Imm(0xD8), ys[h], ys[h])
		VPMADDWD(one, ys[h], ys[4+h])
		VPSLLD(Imm(16), ys[h], ys[6+h])
		VPSRAD(Imm(16), ys[6+h], ys[6+h])
		VPSRAD(Imm(16), ys[h], ys[8+h])
	}
	VPHADDD(Y5, Y4, Y4)
	VPERMQ(Imm(0xD8), Y4, Y4)
	VCVTDQ2PS(Y4, Y4)
	VMOVUPS(Y4, Mem{Base: dst, Disp: xSums})
	VPACKSSDW(Y7, Y6, Y6)
	VPERMQ(Imm(0xD8), Y6, Y6)
	VMOVDQU(Y6, Mem{Base: dst, Disp: xEven})
	VPACKSSDW(Y9, Y8, Y8)
	VPERMQ(Imm(0xD8), Y8, Y8)
	VMOVDQU(Y8, Mem{Base: dst, Disp: xOdd})
	ADDQ(U32(128), x)
	ADDQ(U32(xBlock), dst)
	DECQ(n)
	JNZ(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}
