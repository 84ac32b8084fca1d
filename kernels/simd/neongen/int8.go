package main

// maxAbs is the largest absolute value of n elements, a multiple of 8, as integers: NaN
// is above all numbers.
func maxAbs() {
	half := 0
	vector{name: "MaxAbs8", result: "float32", args: []string{"x"}, in: "0", setup: func() {
		constant(28, 0x7FFFFFFF)
		zero(16, 17)
		half = 0
	}, body: func(at func(int) int) {
		bitwise("and", 10, at(0), 28)
		op("umax", 16+half, 16+half, 10)
		half++
	}, finish: func() {
		op("umax", 16, 16, 17)
		v("umaxv s16, v16.4s")
		ret(16)
	}}.write()
}

// roundBytes rounds n elements, a multiple of 8, to bytes within ±127.
func roundBytes() {
	begin("RoundBytes8", "q *byte, x *float32, n int, by float32, flip uint64", "")
	loads("q", "x", "n")
	load("flip", 3)
	broadcast("by", 28)
	v("dup v29.16b, w3")
	constant(30, 127)
	constant(31, 0xFFFFFF81) // -127
	loop("loop", 2, 8, func() {
		loadPair(0, 1)
		for h := range 2 {
			op("fmul", h, h, 28)
			op("fcvtns", h, h)
			op("smin", h, h, 30)
			op("smax", h, h, 31)
		}
		v("xtn v2.4h, v0.4s")
		v("xtn2 v2.8h, v1.4s")
		v("xtn v2.8b, v2.8h")
		bitwise("eor", 2, 2, 29)
		v("str d2, [x0], #8")
	})
	ret()
}

// interleaveBytes writes 32 columns of four rows, k times: the four bytes of a column
// side by side.
func interleaveBytes() {
	begin("InterleaveBytes8", "k int, src *byte, stride int, dst *byte", "")
	loads("k", "src", "stride", "dst")
	loop("loop", 0, 1, func() {
		for r := range 4 {
			v("ldp q%d, q%d, [x1]", 2*r, 2*r+1)
			g("ADD R2, R1")
		}
		for h := range 2 {
			bitwise("zip1", 16, h, 2+h)
			bitwise("zip2", 17, h, 2+h)
			bitwise("zip1", 18, 4+h, 6+h)
			bitwise("zip2", 19, 4+h, 6+h)
			for i := range 2 {
				lanes("zip1", "8h", 20+2*i, 16+i, 18+i)
				lanes("zip2", "8h", 21+2*i, 16+i, 18+i)
			}
			storePair(20, 3)
			storePair(22, 3)
		}
	})
	ret()
}
