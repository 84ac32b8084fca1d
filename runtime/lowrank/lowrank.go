// Package lowrank takes a matrix apart: its largest singular parts, exactly or by a few
// iterations, and the beginning of its QR decomposition. Matrices are read row by row,
// as often as needed, and never copied whole. All sums are of float64 in a fixed order,
// and no product is fused with one, so that the outcome depends neither on the number of
// threads nor on the machine. It must not know what the matrices mean.
package lowrank

import (
	"errors"
	"math"
)

// Matrix is one that is read row by row, by several goroutines at once.
type Matrix struct {
	Rows, Cols int
	Row        func(dst []float32, i int)
	// Parallel runs fn for each task; nil: one after the other.
	Parallel func(tasks int, fn func(worker, task int))
}

// Columns are vectors of the same length.
type Columns [][]float64

// ErrNotFinite is the error of a matrix that holds what is no number.
var ErrNotFinite = errors.New("it holds a number that is not finite")

func newColumns(n, length int) Columns {
	c := make(Columns, n)
	for i := range c {
		c[i] = make([]float64, length)
	}
	return c
}

func (m *Matrix) run(tasks int, fn func(task int)) {
	if m.Parallel == nil {
		for t := range tasks {
			fn(t)
		}
		return
	}
	m.Parallel(tasks, func(_, t int) { fn(t) })
}

// times is m·x.
func (m *Matrix) times(x Columns) Columns {
	const block = 64
	out := newColumns(len(x), m.Rows)
	m.run((m.Rows+block-1)/block, func(t int) {
		row := make([]float32, m.Cols)
		for i := t * block; i < min((t+1)*block, m.Rows); i++ {
			m.Row(row, i)
			for c := range x {
				s, v := 0.0, x[c]
				for j, w := range row {
					s += float64(float64(w) * v[j]) // float64: not fused
				}
				out[c][i] = s
			}
		}
	})
	return out
}

// transposed is mᵀ·y.
func (m *Matrix) transposed(y Columns) Columns {
	const block = 8
	out := newColumns(len(y), m.Cols)
	m.run((len(y)+block-1)/block, func(t int) {
		row := make([]float32, m.Cols)
		for i := range m.Rows {
			m.Row(row, i)
			for c := t * block; c < min((t+1)*block, len(y)); c++ {
				f, to := y[c][i], out[c]
				for j, w := range row {
					to[j] += float64(float64(w) * f)
				}
			}
		}
	})
	return out
}

func dot(a, b []float64) (s float64) {
	for i, x := range a {
		s += float64(x * b[i])
	}
	return s
}

// subtract takes f times b from a.
func subtract(a []float64, f float64, b []float64) {
	for i, x := range b {
		a[i] -= float64(f * x)
	}
}

// orthogonal makes what is new in x orthonormal, to the columns of q too. Columns that
// have nothing new are left out.
func orthogonal(q, x Columns) (out Columns) {
	for _, v := range x {
		before := math.Sqrt(dot(v, v))
		for range 2 { // the second time takes off what the first one rounded
			for _, list := range []Columns{q, out} {
				for _, u := range list {
					subtract(v, dot(u, v), u)
				}
			}
		}
		if n := math.Sqrt(dot(v, v)); n > 1e-12*before {
			for i := range v {
				v[i] /= n
			}
			out = append(out, v)
		}
	}
	return out
}

// combine is the first n columns of x·f.
func combine(x, f Columns, n int) Columns {
	if len(x) == 0 {
		return nil
	}
	out := newColumns(n, len(x[0]))
	for c := range n {
		for k, u := range x {
			subtract(out[c], -f[c][k], u)
		}
	}
	return out
}

func finite(x Columns) bool {
	for _, v := range x {
		if s := dot(v, v); math.IsNaN(s) || math.IsInf(s, 0) {
			return false
		}
	}
	return true
}
