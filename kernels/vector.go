package kernels

import "lorac/kernels/simd"

// Vectors of one length, element by element; y may be any of the inputs.

func addRow(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	if has512 && len(y) > 0 {
		simd.Add512(&y[0], &a[0], &b[0], len(y))
		return
	}
	done := eights(len(y))
	if done > 0 {
		simd.Add8(&y[0], &a[0], &b[0], done)
	}
	for j := done; j < len(y); j++ {
		y[j] = a[j] + b[j]
	}
}

func mulRow(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	if has512 && len(y) > 0 {
		simd.Mul512(&y[0], &a[0], &b[0], len(y))
		return
	}
	done := eights(len(y))
	if done > 0 {
		simd.Mul8(&y[0], &a[0], &b[0], done)
	}
	for j := done; j < len(y); j++ {
		y[j] = a[j] * b[j]
	}
}

func scaleRow(y, x []float32, by float32) {
	x = x[:len(y)]
	if has512 && len(y) > 0 {
		simd.Scale512(&y[0], &x[0], len(y), by)
		return
	}
	done := eights(len(y))
	if done > 0 {
		simd.Scale8(&y[0], &x[0], done, by)
	}
	for j := done; j < len(y); j++ {
		y[j] = by * x[j]
	}
}

// addScaled: y += by·x, the product rounded first.
func addScaled(y, x []float32, by float32) {
	x = x[:len(y)]
	done := eights(len(y))
	if done > 0 {
		simd.AddScaled8(&y[0], &x[0], done, by)
	}
	for j := done; j < len(y); j++ {
		y[j] += float32(by * x[j])
	}
}

// sumSquares adds in f64, always in the same order; next, as long, is
// prefetched.
func sumSquares(x, next []float32) float64 {
	if has512 && len(x) > 0 {
		return simd.SumSquares512(&x[0], &next[0], len(x))
	}
	if has8 && len(x) >= 8 {
		done := len(x) &^ 7
		return simd.SumSquares8(&x[0], done) + sumSquaresPlain(x[done:])
	}
	return sumSquaresPlain(x)
}

func sumSquaresPlain(x []float32) float64 {
	var a, b, c, d float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		v := x[i : i+4 : i+4]
		a += float64(v[0]) * float64(v[0])
		b += float64(v[1]) * float64(v[1])
		c += float64(v[2]) * float64(v[2])
		d += float64(v[3]) * float64(v[3])
	}
	for ; i < len(x); i++ {
		a += float64(x[i]) * float64(x[i])
	}
	return a + b + c + d
}

// maxOf is the greatest element; NaN is passed over.
func maxOf(x []float32) float32 {
	m := negInf
	if has512 && len(x) > 0 {
		return simd.Max512(&x[0], len(x))
	}
	done := eights(len(x))
	if done > 0 {
		m = simd.Max8(&x[0], done)
	}
	for _, v := range x[done:] {
		if v > m {
			m = v
		}
	}
	return m
}
