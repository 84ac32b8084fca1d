package main

// half fills a register with a number of half precision at an address.
func half(to, base, offset int) {
	v("ldr h%d, [x%d, #%d]", to, base, offset)
	v("fcvt s%d, h%d", to, to)
	v("dup v%d.4s, v%d.s[0]", to, to)
}

// floats puts sixteen signed bytes into four registers as f32; t is scratch.
func floats(to, from, t int) {
	for i, widen := range []string{"sxtl v%d.8h, v%d.8b", "sxtl2 v%d.8h, v%d.16b"} {
		v(widen, t, from)
		v("sxtl v%d.4s, v%d.4h", to+2*i, t)
		v("sxtl2 v%d.4s, v%d.8h", to+2*i+1, t)
	}
	for i := range 4 {
		op("scvtf", to+i, to+i)
	}
}

// decode converts n blocks of 32 elements to f32.
func decode(format string) {
	begin("Decode8"+format, "n int, src *byte, stride int, dst *float32", "")
	loads("n", "src", "stride", "dst")
	constant(31, 0x0F0F0F0F)
	constant(30, 0x08080808)
	g("CBZ R0, done")
	loop("loop", 0, 1, func() {
		half(0, 1, 0)
		switch format {
		case "Q8_0":
			v("ldur q2, [x1, #2]")
			v("ldur q3, [x1, #18]")
		default:
			at := 2
			if format == "Q4_1" {
				half(1, 1, 2)
				at = 4
			}
			v("ldur q2, [x1, #%d]", at)
			v("ushr v3.16b, v2.16b, #4")
			bitwise("and", 2, 2, 31)
			if format == "Q4_0" {
				bitwise("sub", 2, 2, 30)
				bitwise("sub", 3, 3, 30)
			}
		}
		for i := range 2 {
			floats(4, 2+i, 16)
			for c := range 4 {
				op("fmul", 4+c, 4+c, 0)
				if format == "Q4_1" {
					op("fadd", 4+c, 4+c, 1)
				}
			}
			storePair(4, 3)
			storePair(6, 3)
		}
		g("ADD R2, R1")
	})
	label("done")
	ret()
}

// nibbles decodes a part of Q4_K.
func nibbles() {
	begin("Decode8Nibbles", "src *byte, shift uint64, d, m float32, dst *float32", "")
	loads("src", "shift")
	load("dst", 2)
	broadcast("d", 0)
	broadcast("m", 1)
	constant(31, 0x0F0F0F0F)
	v("ldp q2, q3, [x0]")
	shiftRight(1, 30)
	for i := range 2 {
		bitwise("ushl", 2+i, 2+i, 30)
		bitwise("and", 2+i, 2+i, 31)
		floats(4, 2+i, 16)
		for c := range 4 {
			op("fmul", 4+c, 4+c, 0)
			op("fsub", 4+c, 4+c, 1)
		}
		storePair(4, 2)
		storePair(6, 2)
	}
	ret()
}

// shiftRight makes the shift of ushl that is one to the right by the number in x.
func shiftRight(x, to int) {
	g("NEG R%d, R%d", x, x)
	v("dup v%d.16b, w%d", to, x)
}

// sixes decodes a part of Q6_K.
func sixes() {
	begin("Decode8Sixes", "lo, hi *byte, down, over uint64, d0, d1 float32, dst *float32", "")
	loads("lo", "hi", "down", "over")
	load("dst", 4)
	broadcast("d0", 0)
	broadcast("d1", 1)
	constant(31, 0x0F0F0F0F)
	constant(30, 0x03030303)
	constant(29, 0x20202020)
	shiftRight(2, 28)
	shiftRight(3, 27)
	v("ldp q2, q3, [x0]")
	v("ldp q18, q19, [x1]")
	for i := range 2 {
		bitwise("ushl", 2+i, 2+i, 28)
		bitwise("and", 2+i, 2+i, 31)
		bitwise("ushl", 18+i, 18+i, 27)
		bitwise("and", 18+i, 18+i, 30)
		v("shl v%d.16b, v%d.16b, #4", 18+i, 18+i)
		bitwise("orr", 2+i, 2+i, 18+i)
		bitwise("sub", 2+i, 2+i, 29)
		floats(4, 2+i, 16)
		for c := range 4 {
			op("fmul", 4+c, 4+c, i)
		}
		storePair(4, 4)
		storePair(6, 4)
	}
	ret()
}
