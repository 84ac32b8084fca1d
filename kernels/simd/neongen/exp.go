package main

// The constants of exp, in v19 to v31.
const (
	kLog2e = 19 + iota
	kC1
	kC2
	kP // six of the polynomial
	_
	_
	_
	_
	_
	kOne
	kLow
	kHigh
	kFloor
)

func expConstants() {
	for i, f := range []float32{1.44269504088896341, 0.693359375, -2.12194440e-4,
		1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, -104, 104, floorOfProbability} {
		constantFloat(kLog2e+i, f)
	}
}

// floorOfProbability is -125·ln 2: the exponential of what is below is zero in a softmax.
const floorOfProbability = -125 * 0.69314718055994530942

// polynomial puts p0·x⁵ + … + p5 into y, the six constants from register p on; t is
// scratch.
func polynomial(y, t, x, p int) {
	from := p
	for i := 1; i <= 5; i++ {
		to := t
		if i%2 == 1 {
			to = y
		}
		mov(to, p+i)
		op("fmla", to, from, x)
		from = to
	}
}

// power multiplies y by 2^n in two halves: one alone has no exponent below -126 nor
// above 127. n and t are scratch, one holds 1.
func power(y, n, t, one int) {
	op("fcvtns", n, n)
	shift("sshr", t, n, 1)
	op("sub", n, n, t)
	shift("shl", t, t, 23)
	shift("shl", n, n, 23)
	op("add", y, y, t)
	op("add", n, n, one)
	op("fmul", y, y, n)
}

// exp puts exp(x) into y, as plain code does; x is destroyed, n and t are scratch. x
// is not above 104.
func exp(y, x, n, t int) {
	op("fmax", x, x, kLow)
	op("fmul", n, x, kLog2e)
	op("frintn", n, n)
	op("fmls", x, n, kC1)
	op("fmls", x, n, kC2)
	polynomial(t, y, x, kP)
	op("fmul", y, x, x)
	op("fmla", x, y, t)
	op("fadd", y, x, kOne)
	power(y, n, t, kOne)
}

// exps is the kernels that take an exponential of every element.
func exps() {
	sigmoid := func(s, gate int) { // v11 to v13 are scratch
		op("fneg", 11, gate)
		op("fmin", 11, 11, kHigh)
		exp(s, 11, 12, 13)
		op("fadd", s, s, kOne)
		op("fdiv", s, kOne, s)
	}
	vector{name: "SwiGLU8", args: []string{"h", "gate", "up"}, in: "12", out: "0", setup: expConstants, body: func(at func(int) int) {
		sigmoid(10, at(1))
		op("fmul", 10, 10, at(1))
		op("fmul", at(0), 10, at(2))
	}}.write()
	vector{name: "SwiGLUGrad8", args: []string{"dgate", "dup", "dh", "gate", "up"}, in: "234", out: "01", setup: expConstants, body: func(at func(int) int) {
		dgate, dup, dh, gate, up := at(0), at(1), at(2), at(3), at(4)
		sigmoid(10, gate)
		op("fmul", 11, 10, gate) // silu
		op("fsub", 12, kOne, 10)
		op("fmul", 12, 12, gate)
		op("fadd", 12, 12, kOne)
		op("fmul", 12, 12, 10) // its slope
		op("fmul", dup, 11, dh)
		op("fmul", 13, up, dh)
		op("fmul", dgate, 12, 13)
	}}.write()
	half := 0
	vector{name: "ExpSum8", result: "float32", args: []string{"dst", "src"}, in: "1", out: "0", scalars: []string{"shift"}, first: 18, setup: func() {
		expConstants()
		zero(16, 17)
		half = 0
	}, body: func(at func(int) int) {
		op("fsub", 10, at(1), 18)
		op("fcmgt", 14, kFloor, 10)
		op("fmin", 10, 10, kHigh)
		exp(11, 10, 12, 13)
		bitwise("bic", at(0), 11, 14)
		op("fadd", 16+half, 16+half, at(0))
		half++
	}, finish: func() {
		sum32(16, 17)
		ret(16)
	}}.write()
	vector{name: "SumExp8", result: "float64", args: []string{"x"}, in: "0", scalars: []string{"shift"}, first: 18, setup: func() {
		expConstants()
		zero(14, 15, 16, 17)
		half = 0
	}, body: func(at func(int) int) {
		op("fsub", 10, at(0), 18)
		op("fmin", 10, 10, kHigh)
		exp(11, 10, 12, 13)
		widen(11, 12)
		lanes("fadd", "2d", 14+half, 14+half, 12)
		lanes("fadd", "2d", 15+half, 15+half, 13)
		half += 2
	}, finish: func() {
		sum64(14)
		ret(14)
	}}.write()
	vector{name: "Max8", result: "float32", args: []string{"x"}, in: "0", setup: func() {
		constant(16, 0xFF800000)
		mov(17, 16)
		half = 0
	}, body: func(at func(int) int) {
		op("fmaxnm", 16+half, 16+half, at(0)) // of a number and NaN, the number
		half++
	}, finish: func() {
		op("fmaxnm", 16, 16, 17)
		v("fmaxnmv s16, v16.4s")
		ret(16)
	}}.write()
}
