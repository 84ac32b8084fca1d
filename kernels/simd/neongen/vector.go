package main

import "fmt"

// vector is a kernel over vectors of n elements, eight at a time; n is a multiple of
// eight. Pointer i is in x of that number, its elements in v[2i] and v[2i+1]; v10 to
// v17 are scratch.
type vector struct {
	name    string
	result  string
	in      string   // pointers that are read, by their initials …
	out     string   // … and written
	args    []string // pointers in this order
	scalars []string // after n
	first   int      // where the scalars are; 0: from v28 on
	setup   func()
	body    func(at func(pointer int) int) // for each half: at gives its register
	finish  func()
}

func (k vector) write() {
	signature := ""
	for i, s := range k.args {
		if i > 0 {
			signature += ", "
		}
		signature += s
	}
	signature += " *float32, n int"
	for i, s := range k.scalars {
		signature += ", " + s
		if i == len(k.scalars)-1 {
			signature += " float32"
		}
	}
	begin(k.name, signature, k.result)
	loads(k.args...)
	load("n", len(k.args))
	first := k.first
	if first == 0 {
		first = 28
	}
	for i, s := range k.scalars {
		broadcast(s, first+i)
	}
	if k.setup != nil {
		k.setup()
	}
	loop("loop", len(k.args), 8, func() {
		for i := range k.args {
			switch {
			case !k.has(k.in, i):
			case k.has(k.out, i):
				v("ldp q%d, q%d, [x%d]", 2*i, 2*i+1, i)
			default:
				loadPair(2*i, i)
			}
		}
		for h := range 2 {
			k.body(func(p int) int { return 2*p + h })
		}
		for i := range k.args {
			if k.has(k.out, i) {
				storePair(2*i, i)
			}
		}
	})
	if k.finish != nil {
		k.finish()
		return
	}
	ret()
}

// has reports whether pointer i is named in a list of digits.
func (k vector) has(list string, i int) bool {
	for _, r := range list {
		if r == rune('0'+i) {
			return true
		}
	}
	return false
}

// arithmetic is kernels of one operation an element.
func arithmetic() {
	y, a, b := 0, 1, 2
	vector{name: "Add8", args: []string{"y", "a", "b"}, in: "12", out: "0", body: func(at func(int) int) {
		op("fadd", at(y), at(a), at(b))
	}}.write()
	vector{name: "Mul8", args: []string{"y", "a", "b"}, in: "12", out: "0", body: func(at func(int) int) {
		op("fmul", at(y), at(a), at(b))
	}}.write()
	vector{name: "Scale8", args: []string{"y", "x"}, in: "1", out: "0", scalars: []string{"by"}, body: func(at func(int) int) {
		op("fmul", at(y), at(a), 28)
	}}.write()
	vector{name: "AddScaled8", args: []string{"y", "x"}, in: "01", out: "0", scalars: []string{"by"}, body: func(at func(int) int) {
		op("fmul", 10, at(a), 28)
		op("fadd", at(y), at(y), 10)
	}}.write()
}

// norms is the root mean square norm and its gradient.
func norms() {
	half := 0
	vector{name: "SumSquares8", result: "float64", args: []string{"x"}, in: "0", setup: func() { zero(16, 17, 18, 19); half = 0 }, body: func(at func(int) int) {
		widen(at(0), 10)
		lanes("fmla", "2d", 16+half, 10, 10)
		lanes("fmla", "2d", 17+half, 11, 11)
		half += 2
	}, finish: func() {
		sum64(16)
		ret(16)
	}}.write()
	vector{name: "Norm8", args: []string{"y", "x", "w"}, in: "12", out: "0", scalars: []string{"r"}, body: func(at func(int) int) {
		op("fmul", 10, at(1), 28)
		op("fmul", at(0), 10, at(2))
	}}.write()
	vector{name: "Dot3x8", result: "float64", args: []string{"d", "w", "x"}, in: "012", setup: func() { zero(16, 17, 18, 19); half = 0 }, body: func(at func(int) int) {
		op("fmul", 12, at(0), at(1))
		op("fmul", 12, 12, at(2))
		widen(12, 10)
		lanes("fadd", "2d", 16+half, 16+half, 10)
		lanes("fadd", "2d", 17+half, 17+half, 11)
		half += 2
	}, finish: func() {
		sum64(16)
		ret(16)
	}}.write()
	grad := func(to, d, w, x int) { // r·(d∘w − x·s)
		op("fmul", 10, d, w)
		op("fmul", 11, x, 29)
		op("fsub", 10, 10, 11)
		op("fmul", to, 10, 28)
	}
	vector{name: "NormGrad8", args: []string{"dx", "d", "w", "x"}, in: "123", out: "0", scalars: []string{"r", "s"}, body: func(at func(int) int) {
		grad(at(0), at(1), at(2), at(3))
	}}.write()
	vector{name: "NormGradAdd8", args: []string{"dx", "res", "d", "w", "x"}, in: "1234", out: "0", scalars: []string{"r", "s"}, body: func(at func(int) int) {
		grad(12, at(2), at(3), at(4))
		op("fadd", at(0), at(1), 12)
	}}.write()
	begin("NormGradW8", "sum *float64, d, x *float32, n int, r float64", "")
	loads("sum", "d", "x", "n")
	load("r", 28)
	v("dup v28.2d, v28.d[0]")
	loop("loop", 3, 8, func() {
		loadPair(0, 1)
		loadPair(2, 2)
		for h := range 2 {
			widen(h, 4)
			widen(2+h, 6)
			v("ldp q16, q17, [x0]")
			for i := range 2 {
				lanes("fmul", "2d", 4+i, 4+i, 6+i)
				lanes("fmla", "2d", 16+i, 4+i, 28)
			}
			storePair(16, 0)
		}
	})
	ret()
}

// rope rotates the heads of a row, each two halves, by the angles of its position.
func rope() {
	begin("Rope8", "y, x, cos, sin *float32, half, heads int, sign float32", "")
	loads("y", "x", "cos", "sin", "half", "heads")
	broadcast("sign", 31)
	loop("head", 5, 1, func() {
		g("MOVD R2, R6")
		g("MOVD R3, R7")
		g("ADD R4<<2, R1, R8")
		g("ADD R4<<2, R0, R9")
		g("MOVD R4, R10")
		loop("loop", 10, 8, func() {
			loadPair(0, 1)
			loadPair(2, 8)
			loadPair(4, 6)
			loadPair(6, 7)
			for h := range 2 {
				a, b, c, s := h, 2+h, 4+h, 6+h
				op("fmul", s, s, 31)
				op("fmul", 16+h, a, c)
				op("fmul", 18+h, b, s)
				op("fmul", 20+h, b, c)
				op("fmul", 22+h, a, s)
				op("fsub", 16+h, 16+h, 18+h)
				op("fadd", 20+h, 20+h, 22+h)
			}
			storePair(16, 0)
			storePair(20, 9)
		})
		g("MOVD R8, R1")
		g("MOVD R9, R0")
	})
	ret()
}

// mask is dropout of sixteen columns at a time: a hash has the bits of two.
func mask() {
	begin("Mask8", "y, x *float32, n int, offsets *[16]uint32, start, high, limit uint32, scale float32", "")
	loads("y", "x", "n", "offsets", "start", "high", "limit")
	broadcast("scale", 28)
	v("ldp q0, q1, [x3]")
	v("dup v29.4s, w4")
	for h := range 2 {
		op("add", h, h, 29)
	}
	v("dup v29.4s, w5")
	v("dup v30.8h, w6")
	const golden = 0x9E3779B9
	constant(31, golden*8&0xFFFFFFFF)
	constant(27, 0x7FEB352D)
	constant(26, 0x846CA68B)
	loop("loop", 2, 16, func() {
		loadPair(16, 1)
		loadPair(18, 1)
		for h := range 2 {
			bits, t := 2+h, 4
			shift("ushr", bits, h, 16)
			bitwise("eor", bits, bits, h)
			op("add", h, h, 31)
			op("mul", bits, bits, 27)
			shift("ushr", t, bits, 15)
			bitwise("eor", bits, bits, t)
			op("mul", bits, bits, 26)
			shift("ushr", t, bits, 16)
			bitwise("eor", bits, bits, t)
			bitwise("eor", bits, bits, 29)
			v("cmhs v%d.8h, v%d.8h, v30.8h", bits, bits) // bits ≥ limit
			v("sxtl v6.4s, v%d.4h", bits)
			v("sxtl2 v7.4s, v%d.8h", bits)
			for i := range 2 {
				op("fmul", 16+2*h+i, 16+2*h+i, 28)
				bitwise("and", 16+2*h+i, 16+2*h+i, 6+i)
			}
		}
		storePair(16, 0)
		storePair(18, 0)
	})
	ret()
}

// adamw rounds as plain code does, one operation at a time.
func adamw() {
	begin("AdamW8", "p, grad, m, v *float32, n int, o *[9]float32", "")
	loads("p", "grad", "m", "v", "n", "o")
	c := map[string]int{}
	for i, s := range []string{"scale", "b1", "c1", "b2", "c2", "root", "eps", "rate", "decay"} {
		c[s] = 20 + i
		v("ld1r {v%d.4s}, [x5]", c[s])
		g("ADD $4, R5")
	}
	loop("loop", 4, 8, func() {
		v("ldp q0, q1, [x0]")
		loadPair(2, 1)
		v("ldp q4, q5, [x2]")
		v("ldp q6, q7, [x3]")
		for h := range 2 {
			p, g, m, u := h, 2+h, 4+h, 6+h
			op("fmul", g, g, c["scale"])
			op("fmul", m, m, c["b1"])
			op("fmul", 10, g, c["c1"])
			op("fadd", m, m, 10)
			op("fmul", u, u, c["b2"])
			op("fmul", 10, g, c["c2"])
			op("fmul", 10, 10, g)
			op("fadd", u, u, 10)
			op("fsqrt", 11, u)
			op("fmul", 11, 11, c["root"])
			op("fadd", 11, 11, c["eps"])
			op("fmul", 10, m, c["rate"])
			op("fdiv", 10, 10, 11)
			op("fmul", 11, p, c["decay"])
			op("fadd", 11, 11, 10)
			op("fsub", p, p, 11)
		}
		storePair(0, 0)
		storePair(4, 2)
		storePair(6, 3)
	})
	ret()
}

// halves rounds to half precision (Narrow8) and widens again (Round8).
func halves(dtype string, narrow bool) {
	if narrow {
		begin("Narrow8"+dtype, "dst *byte, src *float32, n int", "")
	} else {
		begin("Round8"+dtype, "dst, src *float32, n int", "")
	}
	loads("dst", "src", "n")
	most := uint32(0x477FE000) // 65504
	if dtype == "BF16" {
		most = 0x7F7F0000
		constant(26, 0x7FFF)
		constant(27, 1)
		constant(28, 0x7FC0)
	}
	constant(30, most)
	constant(31, most|1<<31)
	loop("loop", 2, 8, func() {
		loadPair(0, 1)
		for h := range 2 {
			op("fmin", h, h, 30)
			op("fmax", h, h, 31)
		}
		if dtype == "F16" {
			v("fcvtn v2.4h, v0.4s")
			v("fcvtn2 v2.8h, v1.4s")
			if narrow {
				v("str q2, [x0], #16")
				return
			}
			v("fcvtl v0.4s, v2.4h")
			v("fcvtl2 v1.4s, v2.8h")
			storePair(0, 0)
			return
		}
		for h := range 2 { // bits + 0x7FFF + the last bit that stays, cut off
			op("fcmeq", 3, h, h)
			shift("ushr", 2, h, 16)
			bitwise("and", 2, 2, 27)
			op("add", 2, 2, 26)
			op("add", h, h, 2)
			shift("ushr", h, h, 16)
			bitwise("bif", h, 28, 3)
		}
		if narrow {
			v("xtn v2.4h, v0.4s")
			v("xtn2 v2.8h, v1.4s")
			v("str q2, [x0], #16")
			return
		}
		for h := range 2 {
			shift("shl", h, h, 16)
		}
		storePair(0, 0)
	})
	ret()
}

// eight brings eight elements at an address into two registers as f32, and advances
// it by step bytes; t is scratch.
func eight(dtype string, to, t, at, step int) {
	post := ""
	if step > 0 {
		post = fmt.Sprintf(", #%d", step)
	}
	switch dtype {
	case "F32":
		v("ldp q%d, q%d, [x%d]%s", to, to+1, at, post)
	case "F16":
		v("ldr q%d, [x%d]%s", t, at, post)
		v("fcvtl v%d.4s, v%d.4h", to, t)
		v("fcvtl2 v%d.4s, v%d.8h", to+1, t)
	case "BF16":
		v("ldr q%d, [x%d]%s", t, at, post)
		v("shll v%d.4s, v%d.4h, #16", to, t)
		v("shll2 v%d.4s, v%d.8h, #16", to+1, t)
	}
}

// convert converts n elements to f32, n a multiple of 8.
func convert(dtype string) {
	begin("Widen8"+dtype, "dst *float32, src *byte, n int", "")
	loads("dst", "src", "n")
	loop("loop", 2, 8, func() {
		eight(dtype, 0, 2, 1, 16)
		storePair(0, 0)
	})
	ret()
}
