package kernels

import (
	"math"

	"lorac/kernels/simd"
)

// rowBlock is how many rows a task of an element-wise kernel takes.
const rowBlock = 16

func (c *Context) eachRow(op string, y Mat, fn func(i int), shapes ...Mat) {
	for _, m := range shapes {
		check(m.Rows == y.Rows && m.Cols == y.Cols, op, y, m)
	}
	c.rowTasks(y.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			fn(i)
		}
	})
}

// Add: y = a + b; y may be a or b.
func (c *Context) Add(y, a, b Mat) {
	c.eachRow("a + b", y, func(i int) {
		addRow(y.Row(i), a.Row(i), b.Row(i))
	}, a, b)
}

// Mul: y = a ∘ b; y may be a or b.
func (c *Context) Mul(y, a, b Mat) {
	c.eachRow("a * b", y, func(i int) {
		mulRow(y.Row(i), a.Row(i), b.Row(i))
	}, a, b)
}

// Scale: y = by·x; y may be x.
func (c *Context) Scale(y, x Mat, by float32) {
	c.eachRow("scale", y, func(i int) {
		scaleRow(y.Row(i), x.Row(i), by)
	}, x)
}

// Accumulate: y += x.
func (c *Context) Accumulate(y, x Mat) { c.Add(y, y, x) }

// SiLU: y = x·σ(x); y may be x.
func (c *Context) SiLU(y, x Mat) {
	c.eachRow("silu", y, func(i int) {
		out, p := y.Row(i), x.Row(i)
		for j := range out {
			out[j] = p[j] * sigmoid(p[j])
		}
	}, x)
}

// SiLUGrad: dx = d·silu'(x); dx may be d or x.
func (c *Context) SiLUGrad(dx, d, x Mat) {
	c.eachRow("silu gradient", dx, func(i int) {
		out, g, p := dx.Row(i), d.Row(i), x.Row(i)
		for j := range out {
			s := sigmoid(p[j])
			out[j] = g[j] * s * (1 + p[j]*(1-s))
		}
	}, d, x)
}

// SwiGLU: h = silu(g)·u; h may be g or u.
func (c *Context) SwiGLU(h, g, u Mat) {
	c.eachRow("swiglu", h, func(i int) {
		out, p, q := h.Row(i), g.Row(i), u.Row(i)
		if has512 && len(out) > 0 {
			simd.SwiGLU512(&out[0], &p[0], &q[0], len(out))
			return
		}
		done := eights(len(out))
		if done > 0 {
			simd.SwiGLU8(&out[0], &p[0], &q[0], done)
		}
		for j := done; j < len(out); j++ {
			out[j] = p[j] * sigmoid(p[j]) * q[j]
		}
	}, g, u)
}

// SwiGLUGrad: dg = dh·u·silu'(g), du = dh·silu(g). dg and du may each take the
// place of one of dh, g and u.
func (c *Context) SwiGLUGrad(dg, du, dh, g, u Mat) {
	c.eachRow("swiglu gradient", dg, func(i int) {
		a, b, d, p, q := dg.Row(i), du.Row(i), dh.Row(i), g.Row(i), u.Row(i)
		if has512 && len(a) > 0 {
			simd.SwiGLUGrad512(&a[0], &b[0], &d[0], &p[0], &q[0], len(a))
			return
		}
		done := eights(len(a))
		if done > 0 {
			simd.SwiGLUGrad8(&a[0], &b[0], &d[0], &p[0], &q[0], done)
		}
		for j := done; j < len(a); j++ {
			s := sigmoid(p[j])
			x, y, z := p[j], q[j], d[j]
			a[j], b[j] = z*y*s*(1+x*(1-s)), z*x*s
		}
	}, du, dh, g, u)
}

func sigmoid(x float32) float32 { return 1 / (1 + exp32(-x)) }

// exp32 is exp in f32: 2ⁿ times a polynomial (Cephes expf), as the assembly has it.
func exp32(x float32) float32 {
	if x > 88.7 {
		return float32(math.Inf(1))
	}
	if x < -104 {
		return 0
	}
	if x != x {
		return x
	}
	n := float32(math.RoundToEven(float64(x * 1.44269504088896341)))
	r := x - n*0.693359375
	r -= n * -2.12194440e-4
	p := float32(1.9875691500e-4)
	for _, c := range [...]float32{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		p = p*r + c
	}
	half := int32(n) >> 1 // 2ⁿ in two halves: one alone has no exponent below -126
	return (p*r*r + r + 1) * power(half) * power(int32(n)-half)
}

// probability is exp, or zero where that is near the denormal numbers: those
// arise in a softmax by themselves, and products with them are slow on some processors.
func probability(x float32) float32 {
	if x < -125*ln2 {
		return 0
	}
	return exp32(x)
}

// power is 2ⁿ for n from -126 to 127.
func power(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// eights is how many of some elements the kernels of eight at a time take.
func eights(n int) int {
	if has8 {
		return n &^ 7
	}
	return 0
}

// expSum writes exp(src−shift), as probability has it, and returns the sum; dst
// may be src.
func expSum(dst, src []float32, shift float32) float32 {
	if len(src) == 0 {
		return 0
	}
	if has512 {
		return simd.ExpSum512(&dst[0], &src[0], len(src), shift)
	}
	sum, done := float32(0), eights(len(src))
	if done > 0 {
		sum = simd.ExpSum8(&dst[0], &src[0], done, shift)
	}
	for i := done; i < len(src); i++ {
		e := probability(src[i] - shift)
		dst[i] = e
		sum += e
	}
	return sum
}
