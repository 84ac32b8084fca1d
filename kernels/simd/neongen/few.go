package main

import "fmt"

// The products of a few rows of x with all rows of a weight, straight from the stored
// type, in the order of AVX2's sums. Row i of x has its sums in v[4i] to v[4i+3]: two
// of eight lanes each.

// fewRows is the most rows of x of one function.
const fewRows = 4

// Registers of the addresses: in the weight and in rows of x.
const (
	fewW     = 8
	fewX     = 9
	fewCount = 13
)

// few writes the function of a stored type and r rows of x. Its body multiplies one
// step of a row of the weight, and adds to the first sum or, where steps take turns, to
// the second; the address of the weight advances by wstep bytes and those of x by xstep.
func few(name string, r, wstep, xstep int, turns bool, once func(), body func(turn int)) {
	begin(fmt.Sprintf("%sx%d", name, r), "rows, n int, w *byte, ldw int, x *byte, ldx int, y *float32, ldy int", "")
	loads("rows", "n", "w", "ldw", "x", "ldx", "y", "ldy")
	if once != nil {
		once()
	}
	loop("row", 0, 1, func() {
		g("MOVD R2, R%d", fewW)
		g("MOVD R4, R%d", fewX)
		for i := 1; i < r; i++ {
			g("ADD R5, R%d, R%d", fewX+i-1, fewX+i)
		}
		g("MOVD R1, R%d", fewCount)
		for i := range 4 * r {
			zero(i)
		}
		step := func(turn int) {
			g("PRFM 2048(R%d), PLDL1KEEP", fewW)
			body(turn)
			g("ADD $%d, R%d", wstep, fewW)
			for i := range r {
				g("ADD $%d, R%d", xstep, fewX+i)
			}
		}
		if turns {
			loop("loop", fewCount, 1, func() {
				step(0)
				g("SUBS $1, R%d, R%d", fewCount, fewCount)
				g("BEQ sum")
				step(1)
			})
			label("sum")
		} else {
			loop("loop", fewCount, 1, func() { step(0) })
		}
		g("MOVD R6, R14")
		for i := range r {
			op("fadd", 4*i, 4*i, 4*i+2)
			op("fadd", 4*i+1, 4*i+1, 4*i+3)
			sum32(4*i, 4*i+1)
			v("str s%d, [x14]", 4*i)
			if i+1 < r {
				g("ADD R7, R14")
			}
		}
		g("ADD R3, R2")
		g("ADD $4, R6")
	})
	ret()
}

// fewFloats is that of elements stored one by one, 16 a step. Steps add to the two sums
// in turn.
func fewFloats(dtype string, r int) {
	size := sizeOf(dtype)
	few("Few8"+dtype, r, 16*size, 64, true, nil, func(turn int) {
		if dtype == "F32" {
			v("ldp q16, q17, [x%d]", fewW)
			v("ldp q18, q19, [x%d, #32]", fewW)
		} else {
			widen, from := "fcvtl", ""
			if dtype == "BF16" {
				widen, from = "shll", ", #16"
			}
			v("ldp q20, q21, [x%d]", fewW)
			for h := range 2 {
				v("%s v%d.4s, v%d.4h%s", widen, 16+2*h, 20+h, from)
				v("%s2 v%d.4s, v%d.8h%s", widen, 17+2*h, 20+h, from)
			}
		}
		for i := range r {
			v("ldp q20, q21, [x%d]", fewX+i)
			v("ldp q22, q23, [x%d, #32]", fewX+i)
			for h := range 2 { // lanes of AVX2's register
				op("fmul", 20+h, 20+h, 16+h)
				op("fmla", 20+h, 22+h, 18+h)
				at := 4*i + 2*turn + h
				op("fadd", at, at, 20+h)
			}
		}
	})
}

// fewBytes is that of Q8_0, a block a step: d times the sum of the products with q.
func fewBytes(r int) {
	few("Few8Q8_0", r, 34, 128, true, nil, func(turn int) {
		half(31, fewW, 0)
		v("ldur q28, [x%d, #2]", fewW)
		v("ldur q29, [x%d, #18]", fewW)
		for b := range 2 {
			floats(16+4*b, 28+b, 30)
		}
		for i := range r {
			for c := 0; c < 8; c += 2 {
				v("ldp q24, q25, [x%d, #%d]", fewX+i, 16*c)
				for h := range 2 {
					if c == 0 {
						op("fmul", 26+h, 24+h, 16+h)
					} else {
						op("fmla", 26+h, 24+h, 16+c+h)
					}
				}
			}
			for h := range 2 {
				op("fmla", 4*i+2*turn+h, 26+h, 31)
			}
		}
	})
}

// Blocks of fewer than eight bits are multiplied as integers with x of 16 bits, which
// Halves8 writes: 32 upper and 32 lower bytes, eight sums of four numbers, eight times
// the scale.
const (
	xHigh, xLow, xSums, xScale = 0, 32, 64, 96
	xBlock                     = 128
)

// Registers of the functions of blocks: 32 unsigned numbers of the weight in two,
// the mask of four bits, scales and minima by element.
const (
	fewQ      = 16
	fewNibble = 19
	fewScale  = 28
	fewMin    = 30
)

// integers is a function of blocks: with the dot product of bytes or without.
type integers struct{ dot bool }

func (k integers) name(dtype string) string {
	if k.dot {
		return "FewDot" + dtype
	}
	return "Few8" + dtype
}

// quads adds the sums of four products of bytes each, of two registers of the weight
// with two of x, to v[to] and v[to+1]; first overwrites them. v26 and v27 are scratch.
func (k integers) quads(to, x int, first bool) {
	if k.dot {
		for h := range 2 {
			if first {
				zero(to + h)
			}
			v("sdot v%d.4s, v%d.16b, v%d.16b", to+h, fewQ+h, x+h)
		}
		return
	}
	// Four products are within 4·63·128, of 16 bits.
	for h := range 2 {
		v("smull v26.8h, v%d.8b, v%d.8b", fewQ+h, x+h)
		v("smull2 v27.8h, v%d.16b, v%d.16b", fewQ+h, x+h)
		v("addp v26.8h, v26.8h, v27.8h")
		if first {
			v("saddlp v%d.4s, v26.8h", to+h)
			continue
		}
		v("saddlp v26.4s, v26.8h")
		op("add", to+h, to+h, 26)
	}
}

// multiply adds d·s·Σ (q - offset)·x to the sums, q of 32 unsigned bytes, d at the
// elements scale of v28 and v29, one for each half, and with a minimum at element least
// of v30 and v31 (below 0: none) m·s·Σ x. x is part p of the step.
func (k integers) multiply(r, p, shiftBy int, scale [2]int, least int) {
	at := p * xBlock
	for i := range r {
		v("ldp q20, q21, [x%d, #%d]", fewX+i, at+xHigh)
		v("ldp q22, q23, [x%d, #%d]", fewX+i, at+xLow)
		k.quads(24, 20, true)
		for h := range 2 {
			shift("shl", 24+h, 24+h, 8)
		}
		k.quads(24, 22, false)
		if shiftBy > 0 || least >= 0 {
			v("ldp q20, q21, [x%d, #%d]", fewX+i, at+xSums)
		}
		v("ldr q22, [x%d, #%d]", fewX+i, at+xScale)
		for h := range 2 {
			if shiftBy > 0 {
				shift("shl", 23, 20+h, shiftBy)
				op("sub", 24+h, 24+h, 23)
			}
			op("scvtf", 24+h, 24+h)
			if h == 0 || scale[0] != scale[1] {
				v("fmul v26.4s, v22.4s, v%d.s[%d]", fewScale+scale[h]/4, scale[h]%4)
			}
			op("fmla", 4*i+h, 24+h, 26)
		}
		if least >= 0 {
			v("fmul v26.4s, v22.4s, v%d.s[%d]", fewMin+least/4, least%4)
			for h := range 2 {
				op("scvtf", 20+h, 20+h)
				op("fmla", 4*i+2+h, 20+h, 26)
			}
		}
	}
}

// nibbles is that of Q4_0 and Q4_1, a block a step.
func (k integers) nibbles(dtype string, r int) {
	at, shiftBy, least := 2, 3, -1
	if dtype == "Q4_1" {
		at, shiftBy, least = 4, 0, 0
	}
	few(k.name(dtype), r, at+16, xBlock, false, func() { constant(fewNibble, 0x0F0F0F0F) }, func(int) {
		half(fewScale, fewW, 0)
		if least >= 0 {
			half(fewMin, fewW, 2)
		}
		v("ldur q%d, [x%d, #%d]", fewQ, fewW, at)
		v("ushr v%d.16b, v%d.16b, #4", fewQ+1, fewQ)
		bitwise("and", fewQ, fewQ, fewNibble)
		k.multiply(r, 0, shiftBy, [2]int{}, least)
	})
}

// q4k is that of Q4_K: eight parts with scales and minima of six bits a step.
func (k integers) q4k(r int) {
	few(k.name("Q4_K"), r, 144, 8*xBlock, false, func() { constant(fewNibble, 0x0F0F0F0F) }, func(int) {
		// six joins four numbers of six bits and four more of which the upper two are
		// the first ones' unused bits (GGML's get_scale_min_k4), times v18.
		six := func(from, down, to int) {
			g("MOVWU %d(R%d), R14", from, fewW)
			g("LSR $2, R14, R15")
			g("ANDW $0x3F3F3F3F, R14")
			g("ANDW $0x30303030, R15")
			g("MOVWU 12(R%d), R16", fewW)
			if down > 0 {
				g("LSR $%d, R16", down)
			}
			g("ANDW $0x0F0F0F0F, R16")
			g("ORR R15, R16")
			g("ORR R16<<32, R14")
			v("fmov d20, x14")
			v("uxtl v20.8h, v20.8b")
			v("uxtl v%d.4s, v20.4h", to)
			v("uxtl2 v%d.4s, v20.8h", to+1)
			for h := range 2 {
				op("scvtf", to+h, to+h)
				op("fmul", to+h, to+h, 18)
			}
		}
		half(18, fewW, 0)
		six(4, 0, fewScale)
		half(18, fewW, 2)
		six(8, 4, fewMin)
		for h := range 2 {
			op("fneg", fewMin+h, fewMin+h)
		}
		for p := range 8 {
			v("ldp q%d, q%d, [x%d, #%d]", fewQ, fewQ+1, fewW, 16+p/2*32)
			for h := range 2 {
				if p%2 > 0 {
					v("ushr v%d.16b, v%d.16b, #4", fewQ+h, fewQ+h)
				} else {
					bitwise("and", fewQ+h, fewQ+h, fewNibble)
				}
			}
			k.multiply(r, p, 0, [2]int{p, p}, p)
		}
	})
}

// q6k is that of Q6_K: eight parts with two scales each a step.
func (k integers) q6k(r int) {
	few(k.name("Q6_K"), r, 210, 8*xBlock, false, func() {
		constant(fewNibble, 0x0F0F0F0F)
		constant(18, 0x30303030)
	}, func(int) {
		for h := range 2 {
			half(20, fewW, 208)
			v("ldr d21, [x%d, #%d]", fewW, 192+8*h)
			v("sxtl v21.8h, v21.8b")
			v("sxtl v%d.4s, v21.4h", fewScale)
			v("sxtl2 v%d.4s, v21.8h", fewScale+1)
			for i := range 2 {
				op("scvtf", fewScale+i, fewScale+i)
				op("fmul", fewScale+i, fewScale+i, 20)
			}
			for s := range 4 {
				v("ldp q20, q21, [x%d, #%d]", fewW, 128+32*h)
				v("ldp q%d, q%d, [x%d, #%d]", fewQ, fewQ+1, fewW, 64*h+32*(s%2))
				for i := range 2 {
					if s == 3 {
						v("ushr v%d.16b, v%d.16b, #2", 20+i, 20+i)
					} else if s < 2 {
						v("shl v%d.16b, v%d.16b, #%d", 20+i, 20+i, 4-2*s)
					}
					bitwise("and", 20+i, 20+i, 18)
					if s >= 2 {
						v("ushr v%d.16b, v%d.16b, #4", fewQ+i, fewQ+i)
					} else {
						bitwise("and", fewQ+i, fewQ+i, fewNibble)
					}
					bitwise("orr", fewQ+i, fewQ+i, 20+i)
				}
				k.multiply(r, 4*h+s, 5, [2]int{2 * s, 2*s + 1}, -1)
			}
		}
	})
}

// halves16 rounds x to 16 bits, as the functions of blocks read it.
func halves16() {
	begin("Halves8", "n int, x *float32, dst *byte", "")
	loads("n", "x", "dst")
	const abs, most, least, middle = 31, 30, 29, 28
	constant(abs, 0x7FFFFFFF)
	constantFloat(most, 32639)
	constantFloat(least, 1.1754943508222875e-38)
	constant(middle, 0x00800080) // 128, as words
	loop("loop", 0, 1, func() {
		for c := 0; c < 8; c += 2 {
			loadPair(c, 1)
		}
		// The largest as integers, so that NaN is larger than all numbers.
		for c := range 8 {
			bitwise("and", 16+c, c, abs)
		}
		for _, step := range []int{4, 2, 1} {
			for c := range step {
				op("umax", 16+c, 16+c, 16+c+step)
			}
		}
		v("umaxv s16, v16.4s")
		v("dup v16.4s, v16.s[0]")
		op("fdiv", 17, 16, most) // the scale
		v("stp q17, q17, [x2, #%d]", xScale)
		// Of what is zero or nearly, all is zero.
		op("fcmgt", 18, 16, least)
		op("fdiv", 17, most, 16)
		bitwise("and", 17, 17, 18)
		for c := range 8 {
			op("fmul", c, c, 17)
			op("fcvtns", c, c)
		}
		for c := range 4 { // words in v20 to v23
			v("xtn v%d.4h, v%d.4s", 20+c, 2*c)
			v("xtn2 v%d.8h, v%d.4s", 20+c, 2*c+1)
		}
		for c := range 4 {
			v("saddlp v%d.4s, v%d.8h", 16+c, 20+c)
		}
		op("addp", 16, 16, 17)
		op("addp", 18, 18, 19)
		v("stp q16, q18, [x2, #%d]", xSums)
		for c := range 4 {
			lanes("add", "8h", c, 20+c, middle)
			v("sshr v%d.8h, v%d.8h, #8", c, c)
			v("shl v%d.8h, v%d.8h, #8", 4+c, c)
			lanes("sub", "8h", 4+c, 20+c, 4+c)
		}
		for c := range 4 {
			v("xtn v%d.8b, v%d.8h", 16+c, 2*c)
			v("xtn2 v%d.16b, v%d.8h", 16+c, 2*c+1)
		}
		v("stp q16, q17, [x2, #%d]", xHigh)
		v("stp q18, q19, [x2, #%d]", xLow)
		g("ADD $%d, R2", xBlock)
	})
	ret()
}
