package kernels

import "math"

// RMSNorm: y = x·rstd·w with rstd = 1/√(mean(x²)+eps) (Zhang & Sennrich
// 2019); y may be x. Sums are f64.
func RMSNorm(y Mat, rstd []float32, x Mat, w []float32, eps float32) {
	check(len(rstd) == x.Rows && len(w) == x.Cols, "rmsnorm", y, x, len(rstd), len(w))
	eachRow("rmsnorm", y, func(i int) { rstd[i] = normRow(y.Row(i), x.Row(i), w, eps) }, x)
}

// AddRMSNorm: sum = a + b, y its norm; sum may be a or b.
func AddRMSNorm(sum, y Mat, rstd []float32, a, b Mat, w []float32, eps float32) {
	check(len(rstd) == a.Rows && len(w) == a.Cols, "add+rmsnorm", sum, a, len(rstd), len(w))
	eachRow("add+rmsnorm", sum, func(i int) {
		s, p, q := sum.Row(i), a.Row(i), b.Row(i)
		for j := range s {
			s[j] = p[j] + q[j]
		}
		rstd[i] = normRow(y.Row(i), s, w, eps)
	}, y, a, b)
}

func normRow(y, x, w []float32, eps float32) float32 {
	r := float32(1 / math.Sqrt(sumSquares(x)/float64(len(x))+float64(eps)))
	for j, v := range x {
		y[j] = v * r * w[j]
	}
	return r
}

// sumSquares adds in four lanes, always the same way.
func sumSquares(x []float32) float64 {
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

// RMSNormGrad: dx = rstd·(d∘w − x·rstd²·mean(d∘w∘x)); dx may be d.
func RMSNormGrad(dx, d, x Mat, rstd, w []float32) { normGrad(dx, Mat{}, d, x, rstd, w) }

// RMSNormGradAdd: dx = res + the gradient above; dx may be res or d.
func RMSNormGradAdd(dx, res, d, x Mat, rstd, w []float32) {
	check(res.Rows == dx.Rows && res.Cols == dx.Cols, "rmsnorm gradient", dx, res)
	normGrad(dx, res, d, x, rstd, w)
}

func normGrad(dx, res, d, x Mat, rstd, w []float32) {
	check(len(rstd) == x.Rows && len(w) == x.Cols, "rmsnorm gradient", dx, x, len(rstd), len(w))
	eachRow("rmsnorm gradient", dx, func(i int) {
		out, g, v, r := dx.Row(i), d.Row(i), x.Row(i), rstd[i]
		var a, b float64
		j := 0
		for ; j+2 <= len(v); j += 2 {
			a += float64(g[j] * w[j] * v[j])
			b += float64(g[j+1] * w[j+1] * v[j+1])
		}
		if j < len(v) {
			a += float64(g[j] * w[j] * v[j])
		}
		s := float32((a + b) * float64(r) * float64(r) / float64(len(v)))
		if res.Empty() {
			for j := range out {
				out[j] = r * (g[j]*w[j] - v[j]*s)
			}
			return
		}
		rs := res.Row(i)
		for j := range out {
			out[j] = rs[j] + r*(g[j]*w[j]-v[j]*s)
		}
	}, d, x)
}

// RMSNormGradW: dw += Σ over rows of d∘x·rstd.
func RMSNormGradW(dw []float32, d, x Mat, rstd []float32) {
	check(len(dw) == x.Cols && len(rstd) == x.Rows && d.Rows == x.Rows && d.Cols == x.Cols, "rmsnorm weight gradient", len(dw), d, x)
	rowTasks(x.Cols, 64, func(from, to int) {
		var sum [64]float64
		for i := range x.Rows {
			g, v, r := d.Row(i), x.Row(i), float64(rstd[i])
			for j := from; j < to; j++ {
				sum[j-from] += float64(g[j]) * float64(v[j]) * r
			}
		}
		for j := from; j < to; j++ {
			dw[j] += float32(sum[j-from])
		}
	})
}
