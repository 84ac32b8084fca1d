package lowrank

import "math"

// QR is the first r columns of Q and rows of R of a matrix Q·R, with the signs of
// LAPACK's reflections. They follow from its first r columns; R is Qᵀ·m.
func QR(m *Matrix, r int) (q, rows Columns, err error) {
	x := newColumns(r, m.Rows)
	row := make([]float32, m.Cols)
	for i := range m.Rows {
		m.Row(row, i)
		for c := range x {
			x[c][i] = float64(row[c])
		}
	}
	if !finite(x) {
		return nil, nil, ErrNotFinite
	}
	tau := make([]float64, r) // of reflections 1 − tau·v·vᵀ, v below the diagonal of x
	for k := range r {
		tau[k] = reflection(x[k][k:])
		for c := k + 1; c < r; c++ {
			reflect(x[c][k:], x[k][k:], tau[k])
		}
	}
	q = newColumns(r, m.Rows)
	for c := range q {
		q[c][c] = 1
		for k := r - 1; k >= 0; k-- {
			reflect(q[c][k:], x[k][k:], tau[k])
		}
	}
	rows = m.transposed(q)
	if !finite(rows) {
		return nil, nil, ErrNotFinite
	}
	return q, rows, nil
}

// reflection makes of x the vector that reflects it to its first axis, whose first
// number is 1, and returns tau (LAPACK, dlarfg).
func reflection(x []float64) (tau float64) {
	rest := dot(x[1:], x[1:])
	if rest == 0 {
		x[0] = 1
		return 0
	}
	alpha := x[0]
	beta := -math.Copysign(math.Sqrt(float64(alpha*alpha)+rest), alpha)
	for i := range x[1:] {
		x[1+i] /= alpha - beta
	}
	x[0] = 1
	return (beta - alpha) / beta
}

func reflect(x, v []float64, tau float64) { subtract(x, tau*dot(v, x), v) }
