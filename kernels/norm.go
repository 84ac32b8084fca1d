package kernels

import (
	"math"

	"lorac/kernels/simd"
)

// RMSNorm: y = x·rstd·w with rstd = 1/√(mean(x²)+eps) (Zhang & Sennrich
// 2019); y may be x. Sums are f64.
func (c *Context) RMSNorm(y Mat, rstd Vec, x Mat, w Vec, eps float32) {
	check(len(rstd) == x.Rows && len(w) == x.Cols, "rmsnorm", y, x, len(rstd), len(w))
	c.eachRow("rmsnorm", y, func(i int) { rstd[i] = normRow(y.Row(i), x.Row(i), w, nextRow(x, i), eps) }, x)
}

// AddRMSNorm: sum = a + b, y its norm; sum may be a or b.
func (c *Context) AddRMSNorm(sum, y Mat, rstd Vec, a, b Mat, w Vec, eps float32) {
	check(len(rstd) == a.Rows && len(w) == a.Cols, "add+rmsnorm", sum, a, len(rstd), len(w))
	c.eachRow("add+rmsnorm", sum, func(i int) {
		s := sum.Row(i)
		addRow(s, a.Row(i), b.Row(i))
		rstd[i] = normRow(y.Row(i), s, w, nextRow(a, i), eps)
	}, y, a, b)
}

// nextRow is the row after row i, or row i if it is the last: a row is read twice,
// and the next one is prefetched meanwhile.
func nextRow(x Mat, i int) []float32 { return x.Row(min(i+1, x.Rows-1)) }

func normRow(y, x, w, next []float32, eps float32) float32 {
	r := float32(1 / math.Sqrt(sumSquares(x, y)/float64(len(x))+float64(eps)))
	if has512 && len(x) > 0 {
		simd.Norm512(&y[0], &x[0], &w[0], &next[0], len(x), r)
		return r
	}
	done := eights(len(x))
	if done > 0 {
		simd.Norm8(&y[0], &x[0], &w[0], done, r)
	}
	for j := done; j < len(x); j++ {
		y[j] = x[j] * r * w[j]
	}
	return r
}

// RMSNormGrad: dx = rstd·(d∘w − x·rstd²·mean(d∘w∘x)); dx may be d.
func (c *Context) RMSNormGrad(dx, d, x Mat, rstd, w Vec) { c.normGrad(dx, Mat{}, d, x, rstd, w) }

// RMSNormGradAdd: dx = res + the gradient above; dx may be res or d.
func (c *Context) RMSNormGradAdd(dx, res, d, x Mat, rstd, w Vec) {
	check(res.Rows == dx.Rows && res.Cols == dx.Cols, "rmsnorm gradient", dx, res)
	c.normGrad(dx, res, d, x, rstd, w)
}

func (c *Context) normGrad(dx, res, d, x Mat, rstd, w []float32) {
	check(len(rstd) == x.Rows && len(w) == x.Cols, "rmsnorm gradient", dx, x, len(rstd), len(w))
	c.eachRow("rmsnorm gradient", dx, func(i int) {
		var add []float32
		if !res.Empty() {
			add = res.Row(i)
		}
		normGradRow(dx.Row(i), add, d.Row(i), x.Row(i), w, nextRow(d, i), nextRow(x, i), rstd[i])
	}, d, x)
}

// normGradRow is the gradient of a row, added to res if there is one; nextD and
// nextX are prefetched.
func normGradRow(out, res, g, v, w, nextD, nextX []float32, r float32) {
	if len(out) == 0 {
		return
	}
	s := float32(dot3(g, w, v, out) * float64(r) * float64(r) / float64(len(v)))
	done := eights(len(out))
	switch {
	case has512 && res != nil:
		simd.NormGradAdd512(&out[0], &res[0], &g[0], &w[0], &v[0], &nextD[0], &nextX[0], len(out), r, s)
	case has512:
		simd.NormGrad512(&out[0], &g[0], &w[0], &v[0], &nextD[0], &nextX[0], len(out), r, s)
	case res != nil:
		if done > 0 {
			simd.NormGradAdd8(&out[0], &res[0], &g[0], &w[0], &v[0], done, r, s)
		}
		for j := done; j < len(out); j++ {
			out[j] = res[j] + float32(r*(float32(g[j]*w[j])-float32(v[j]*s)))
		}
	default:
		if done > 0 {
			simd.NormGrad8(&out[0], &g[0], &w[0], &v[0], done, r, s)
		}
		for j := done; j < len(out); j++ {
			out[j] = r * (float32(g[j]*w[j]) - float32(v[j]*s))
		}
	}
}

// dot3 = Σ g∘w∘v, in f64; next is prefetched.
func dot3(g, w, v, next []float32) float64 {
	if has512 {
		return simd.Dot3x512(&g[0], &w[0], &v[0], &next[0], len(v))
	}
	var a, b float64
	j := eights(len(v))
	if j > 0 {
		a = simd.Dot3x8(&g[0], &w[0], &v[0], j)
	}
	for ; j+2 <= len(v); j += 2 {
		a += float64(g[j] * w[j] * v[j])
		b += float64(g[j+1] * w[j+1] * v[j+1])
	}
	if j < len(v) {
		a += float64(g[j] * w[j] * v[j])
	}
	return a + b
}

// RMSNormGradW: dw += Σ over rows of d∘x·rstd.
func (c *Context) RMSNormGradW(dw Vec, d, x Mat, rstd Vec) {
	check(len(dw) == x.Cols && len(rstd) == x.Rows && d.Rows == x.Rows && d.Cols == x.Cols, "rmsnorm weight gradient", len(dw), d, x)
	c.rowTasks(x.Cols, gradWCols, func(from, to int) {
		var sum [gradWCols]float64
		for i := range x.Rows {
			g, v, r := d.Row(i)[from:to], x.Row(i)[from:to], float64(rstd[i])
			if has512 {
				far := min(i+8, x.Rows-1)
				simd.NormGradW512(&sum[0], &g[0], &v[0], &d.Row(far)[from], &x.Row(far)[from], to-from, r)
				continue
			}
			done := eights(len(g))
			if done > 0 {
				simd.NormGradW8(&sum[0], &g[0], &v[0], done, r)
			}
			for j := done; j < len(g); j++ {
				sum[j] += float64(g[j]) * float64(v[j]) * r
			}
		}
		for j := from; j < to; j++ {
			dw[j] += float32(sum[j-from])
		}
	})
}

// gradWCols is how many columns a task of RMSNormGradW sums.
const gradWCols = 128
