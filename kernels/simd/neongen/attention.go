package main

// The constants of exp2: six of the polynomial, the last of them 1, and what it is
// zero below.
const (
	kExp2      = 12
	kExp2One   = 17
	kExp2Floor = 18
)

func exp2Constants() {
	for i, f := range []float32{0.0013264727065362275, 0.009671512648915422, 0.055507337436909276, 0.24022242085173157, 0.6931469775988577, 1, -125} {
		constantFloat(kExp2+i, f)
	}
}

// exp2 puts 2^x into x for x below 256, zero below -125; NaN stays NaN. v25 to v28
// are scratch.
func exp2(x int) {
	y, n, t, low := 25, 26, 27, 28
	op("fcmgt", low, kExp2Floor, x)
	op("frintn", n, x)
	op("fsub", x, x, n)
	polynomial(y, t, x, kExp2)
	power(y, n, t, kExp2One)
	bitwise("bic", x, y, low)
}

// softmaxCols updates the online softmax of 16 columns by a row of scores for each
// key.
func softmaxCols() {
	begin("SoftmaxCols8", "s *float32, full, seen int, lanes *int32, c float32, top, sum, rescale *float32", "")
	const top, sum, sees, c, key, x = 0, 4, 8, 19, 20, 21
	s, full, seen, t, p := 0, 1, 2, 3, 4
	load("full", full)
	load("seen", seen)
	load("lanes", p)
	four := func(to, at int) {
		v("ldp q%d, q%d, [x%d]", to, to+1, at)
		v("ldp q%d, q%d, [x%d, #32]", to+2, to+3, at)
	}
	put := func(from, at int) {
		v("stp q%d, q%d, [x%d]", from, from+1, at)
		v("stp q%d, q%d, [x%d, #32]", from+2, from+3, at)
	}
	four(sees, p)
	rows := func(pass string, row func(masked bool)) {
		load("s", s)
		g("MOVD $0, R%d", t)
		for _, kind := range []struct {
			name, next string
			masked     bool
			end        int
		}{{pass + "full", pass + "masked", false, full}, {pass + "masked", pass + "end", true, seen}} {
			label("%s", kind.name)
			g("CMP R%d, R%d", kind.end, t)
			g("BGE %s", kind.next)
			if kind.masked {
				v("dup v%d.4s, w%d", key, t)
			}
			row(kind.masked)
			g("ADD $64, R%d", s)
			g("ADD $1, R%d", t)
			g("B %s", kind.name)
		}
		label("%s", pass+"end")
	}
	load("top", p)
	four(top, p)
	rows("max", func(masked bool) {
		four(x, s)
		for i := range 4 {
			if masked {
				op("cmgt", 25+i, sees+i, key)
				bitwise("bif", x+i, top+i, 25+i)
			}
			op("fmaxnm", top+i, top+i, x+i)
		}
	})
	exp2Constants()
	broadcast("c", c)
	load("rescale", 5)
	load("sum", 6)
	four(x, p)
	put(top, p)
	four(sum, 6)
	for i := range 4 {
		op("fsub", x+i, x+i, top+i)
		op("fmul", x+i, x+i, c)
		exp2(x + i)
		op("fmul", sum+i, sum+i, x+i)
	}
	put(x, 5)
	rows("exp", func(masked bool) {
		four(x, s)
		for i := range 4 {
			op("fsub", x+i, x+i, top+i)
			op("fmul", x+i, x+i, c)
			exp2(x + i)
			if masked {
				op("cmgt", 25, sees+i, key)
				bitwise("and", x+i, x+i, 25)
			}
			op("fadd", sum+i, sum+i, x+i)
		}
		put(x, s)
	})
	put(sum, 6)
	ret()
}

// softmaxGrad turns scores into probabilities, and gradients of those into gradients
// of the scores, 16 columns a row.
func softmaxGrad() {
	begin("SoftmaxGrad8", "p, ds *float32, stride, rows int, seen *int32, lse, delta *float32, c, scale float32, index *int32", "")
	loads("p", "ds", "stride", "rows", "seen", "lse", "delta", "index")
	const sees, index, c, lse, x, scale, most, delta = 7, 8, 19, 20, 21, 29, 30, 31
	exp2Constants()
	broadcast("c", c)
	broadcast("scale", scale)
	constantFloat(most, 255) // beyond, exp2 is infinite, as it is there
	v("ldp q%d, q%d, [x7]", index, index+1)
	v("ldp q%d, q%d, [x7, #32]", index+2, index+3)
	loop("loop", 3, 1, func() {
		v("ld1r {v%d.4s}, [x4]", sees)
		v("ld1r {v%d.4s}, [x5]", lse)
		v("ld1r {v%d.4s}, [x6]", delta)
		op("fneg", lse, lse)
		for i := range 4 {
			v("ldr q22, [x0, #%d]", 16*i)
			v("ldr q23, [x1, #%d]", 16*i)
			mov(x, lse)
			op("fmla", x, 22, c)
			op("fmin", x, x, most)
			exp2(x)
			op("cmgt", 24, sees, index+i)
			bitwise("and", x, x, 24)
			v("str q%d, [x0, #%d]", x, 16*i)
			op("fsub", 23, 23, delta)
			op("fmul", 23, 23, x)
			op("fmul", 23, 23, scale)
			bitwise("and", 23, 23, 24)
			v("str q23, [x1, #%d]", 16*i)
		}
		g("ADD $64, R0")
		g("ADD R2, R1")
		for _, r := range []int{4, 5, 6} {
			g("ADD $4, R%d", r)
		}
	})
	ret()
}

// scaleCols multiplies the columns of a panel of 16.
func scaleCols() {
	begin("ScaleCols8", "out *float32, rows int, factor *float32", "")
	loads("out", "rows", "factor")
	v("ldp q4, q5, [x2]")
	v("ldp q6, q7, [x2, #32]")
	loop("loop", 1, 1, func() {
		v("ldp q0, q1, [x0]")
		v("ldp q2, q3, [x0, #32]")
		for i := range 4 {
			op("fmul", i, i, 4+i)
		}
		storePair(0, 0)
		storePair(2, 0)
	})
	ret()
}

// dots is dot products of contiguous vectors, eight lanes at a time.
func dots() {
	begin("Dots8", "out, a, b *float32, n, count int", "")
	loads("out", "a", "b", "n", "count")
	loop("product", 4, 1, func() {
		zero(16, 17, 18)
		g("LSR $3, R3, R5")
		g("CBZ R5, rest")
		loop("loop", 5, 1, func() {
			loadPair(0, 1)
			loadPair(2, 2)
			op("fmla", 16, 0, 2)
			op("fmla", 17, 1, 3)
		})
		label("rest")
		g("AND $7, R3, R5")
		g("CBZ R5, sum")
		loop("one", 5, 1, func() {
			v("ldr s0, [x1], #4")
			v("ldr s2, [x2], #4")
			v("fmadd s18, s0, s2, s18")
		})
		label("sum")
		sum32(16, 17)
		v("fadd s16, s16, s18")
		v("str s16, [x0], #4")
	})
	ret()
}
