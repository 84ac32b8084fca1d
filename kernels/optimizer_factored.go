package kernels

import "math"

// FactoredStep is one step of Adafactor (Shazeer & Stern 2018) or CAME (Luo
// et al. 2023).
type FactoredStep struct {
	LR                        float64
	GradScale                 Scalar
	Step                      int // from 1
	Rows, Cols                int // of one tensor; Rows 0: vectors of Cols elements
	Eps1, Eps2, Eps3          float64
	ClipThreshold, DecayRate  float64
	Beta1, Beta3, WeightDecay float64
	ScaleParameter            bool // the rate is multiplied by max(Eps2, rms(p))
	RelativeStep, WarmupInit  bool // the rate is min(10⁻², 1/√t), or min(10⁻⁶·t, 1/√t)
}

// Of is the same step for tensors of rows × cols elements, or with rows 0 for
// vectors of cols elements.
func (o FactoredStep) Of(rows, cols int) FactoredStep {
	o.Rows, o.Cols = rows, cols
	return o
}

// Adafactor updates p and its states; of each tensor of Rows × Cols elements
// row and col hold the mean squares of its gradient's rows and columns, of
// vectors row holds all squares and col is nil. g is overwritten.
//
//	β = 1 − t^(−DecayRate); s = g² + Eps1; row, col ← β·old + (1−β)·mean(s)
//	u = g/√(row·col/mean(row)); u ← u/max(1, rms(u)/ClipThreshold)
//	m ← β1·m + (1−β1)·rate·u; p ← p·(1−rate·wd) − m
func (c *Context) Adafactor(p, g, m, row, col Vec, o FactoredStep) {
	c.eachTensor(o, p, g, m, row, col, nil, nil, func(t factored) {
		rate := c.rate(o, t.p)
		b1, c1, decay := float32(o.Beta1), float32((1-o.Beta1)*rate), float32(1-rate*o.WeightDecay)
		t.rows(func(i int) {
			p, u, m := t.row(t.p, i), t.row(t.g, i), t.row(t.m, i)
			for j := range p {
				m[j] = b1*m[j] + c1*u[j]
				p[j] = p[j]*decay - m[j]
			}
		})
	})
}

// Came updates p and its states as Adafactor does, but
//
//	m ← β1·m + (1−β1)·u; d = (u−m)² + Eps3; drow, dcol ← β3·old + (1−β3)·mean(d)
//	p ← p·(1−rate·wd) − rate·m/√(drow·dcol/mean(drow))
//
// of vectors p ← p·(1−rate·wd) − rate·m, and drow and dcol are nil.
func (c *Context) Came(p, g, m, row, col, drow, dcol Vec, o FactoredStep) {
	c.eachTensor(o, p, g, m, row, col, drow, dcol, func(t factored) {
		rate := c.rate(o, t.p)
		b1, c1, decay := float32(o.Beta1), float32(1-o.Beta1), float32(1-rate*o.WeightDecay)
		t.rows(func(i int) {
			u, m := t.row(t.g, i), t.row(t.m, i)
			for j := range m {
				m[j] = b1*m[j] + c1*u[j]
				u[j] -= m[j]
			}
		})
		a, b := []float32{1}, []float32(nil)
		if o.Rows > 0 {
			t.average(t.drow, t.dcol, o.Beta3, float32(o.Eps3))
			a, b = factors(t.drow, t.dcol)
		}
		t.rows(func(i int) {
			p, m, by := t.row(t.p, i), t.row(t.m, i), float32(rate)*a[i]
			if b == nil {
				for j := range p {
					p[j] = p[j]*decay - by*m[j]
				}
				return
			}
			for j := range p {
				p[j] = p[j]*decay - by*b[j]*m[j]
			}
		})
	})
}

// factored is one tensor with its states; g becomes u, the clipped update.
type factored struct {
	c                   *Context
	nr, nc              int
	p, g, m, drow, dcol []float32
}

func (t factored) row(x []float32, i int) []float32 { return x[i*t.nc : (i+1)*t.nc] }

// rows calls fn for each row, several at once.
func (t factored) rows(fn func(i int)) {
	t.c.rowTasks(t.nr, max(1, 4096/max(t.nc, 1)), func(from, to int) {
		for i := from; i < to; i++ {
			fn(i)
		}
	})
}

// eachTensor prepares u of every tensor and calls finish with it.
func (c *Context) eachTensor(o FactoredStep, p, g, m, row, col, drow, dcol []float32, finish func(factored)) {
	nr, nc := max(o.Rows, 1), o.Cols
	n := nr * nc
	check(n > 0 && len(p)%n == 0 && len(g) == len(p) && len(m) == len(p), "factored", len(p), len(g), len(m), o.Rows, o.Cols)
	count := len(p) / n
	if o.Rows > 0 {
		check(len(row) == count*nr && len(col) == count*nc && (drow == nil || len(drow) == count*nr && len(dcol) == count*nc),
			"factored", len(p), len(row), len(col), len(drow), len(dcol))
	} else {
		check(len(row) == len(p), "factored", len(p), len(row))
	}
	part := func(x []float32, k, size int) []float32 {
		if x == nil {
			return nil
		}
		return x[k*size : (k+1)*size]
	}
	beta := 1 - math.Pow(float64(o.Step), -o.DecayRate)
	grad := float32(o.GradScale)
	for k := range count {
		t := factored{c: c, nr: nr, nc: nc, p: part(p, k, n), g: part(g, k, n), m: part(m, k, n), drow: part(drow, k, nr), dcol: part(dcol, k, nc)}
		t.rows(func(i int) {
			for j, x := range t.row(t.g, i) {
				t.g[i*nc+j] = x * grad
			}
		})
		if o.Rows > 0 {
			rowv, colv := part(row, k, nr), part(col, k, nc)
			t.average(rowv, colv, beta, float32(o.Eps1))
			a, b := factors(rowv, colv)
			t.rows(func(i int) {
				g := t.row(t.g, i)
				for j := range g {
					g[j] *= a[i] * b[j]
				}
			})
		} else {
			v := part(row, k, n)
			for i, x := range t.g {
				s := float64(x)*float64(x) + o.Eps1
				v[i] = float32(beta*float64(v[i]) + (1-beta)*s)
				t.g[i] = float32(float64(x) / math.Sqrt(float64(v[i])))
			}
		}
		if limit := float32(max(1, c.Norm(t.g).Value()/math.Sqrt(float64(n))/o.ClipThreshold)); limit > 1 {
			t.rows(func(i int) {
				g := t.row(t.g, i)
				for j := range g {
					g[j] /= limit
				}
			})
		}
		finish(t)
	}
}

// average moves row and col towards the means of g² + eps over columns and
// rows. Sums are f64 and in fixed order.
func (t factored) average(row, col []float32, keep float64, eps float32) {
	t.rows(func(i int) {
		sum := 0.0
		for _, x := range t.row(t.g, i) {
			sum += float64(x*x + eps)
		}
		row[i] = float32(keep*float64(row[i]) + (1-keep)*sum/float64(t.nc))
	})
	t.c.rowTasks(t.nc, 64, func(from, to int) {
		var sums [64]float64
		for i := range t.nr {
			for j, x := range t.row(t.g, i)[from:to] {
				sums[j] += float64(x*x + eps)
			}
		}
		for j := from; j < to; j++ {
			col[j] = float32(keep*float64(col[j]) + (1-keep)*sums[j-from]/float64(t.nr))
		}
	})
}

// factors returns a and b with aᵢ·bⱼ = 1/√(rowᵢ·colⱼ/mean(row)).
func factors(row, col []float32) (a, b []float32) {
	mean := 0.0
	for _, r := range row {
		mean += float64(r)
	}
	mean /= float64(len(row))
	a, b = make([]float32, len(row)), make([]float32, len(col))
	for i, r := range row {
		a[i] = float32(1 / math.Sqrt(float64(r)/mean))
	}
	for j, c := range col {
		b[j] = float32(1 / math.Sqrt(float64(c)))
	}
	return a, b
}

// rate is the learning rate of the step for one tensor.
func (c *Context) rate(o FactoredStep, p []float32) float64 {
	rate, t := o.LR, float64(o.Step)
	if o.RelativeStep {
		if rate = 1e-2; o.WarmupInit {
			rate = 1e-6 * t
		}
		rate = min(rate, 1/math.Sqrt(t))
	}
	if o.ScaleParameter {
		rate *= max(o.Eps2, c.Norm(p).Value()/math.Sqrt(float64(len(p))))
	}
	return rate
}
