package lowrank

import (
	"math"
	"slices"
)

// Singular are the largest singular parts of a matrix: it is about the sum of S·U·Vᵀ.
type Singular struct {
	U Columns // of as many numbers as the matrix has rows
	S []float64
	V Columns // of as many as it has columns
}

// Exact finds the r largest by a block Krylov method (Golub, Luk & Overton 1981): the
// matrix is projected on a growing space until mᵀ·u differs from s·v by less than 1e-9
// of the largest. start gives the numbers that the space begins with.
func Exact(m *Matrix, r int, start func(i int) float64) (*Singular, error) {
	block := orthogonal(nil, random(min(r+8, m.Cols), m.Cols, start))
	var v, mv Columns
	for blocks, due := 1, 1; ; blocks++ {
		step := m.times(block)
		if !finite(step) {
			return nil, ErrNotFinite
		}
		v, mv = append(v, block...), append(mv, step...)
		block = orthogonal(v, m.transposed(step))
		if blocks < due && len(block) > 0 {
			continue
		}
		due += max(blocks/4, 1)
		s := decompose(mv)
		found := &Singular{U: combine(s.q, s.left, r), S: s.s[:r], V: combine(v, s.right, r)}
		if len(block) == 0 || found.residual(m) <= 1e-9*found.S[0] {
			return found, nil
		}
	}
}

// Approximate finds about the r largest by iterations of a space of r (Halko et al. 2009,
// algorithms 4.4 and 5.1), as torch.svd_lowrank does.
func Approximate(m *Matrix, r, iterations int, start func(i int) float64) (*Singular, error) {
	x := m.times(random(r, m.Cols, start))
	if !finite(x) {
		return nil, ErrNotFinite
	}
	q := orthogonal(nil, x)
	for range iterations {
		q = orthogonal(nil, m.times(orthogonal(nil, m.transposed(q))))
	}
	out := &Singular{}
	if len(q) > 0 {
		s := decompose(m.transposed(q))
		out = &Singular{U: combine(q, s.right, len(q)), S: s.s, V: combine(s.q, s.left, len(q))}
	}
	for len(out.S) < r { // a matrix of lower rank
		out.S, out.U, out.V = append(out.S, 0), append(out.U, make([]float64, m.Rows)), append(out.V, make([]float64, m.Cols))
	}
	return out, nil
}

func random(n, length int, start func(i int) float64) Columns {
	out := newColumns(n, length)
	for c := range out {
		for i := range out[c] {
			out[c][i] = start(c*length+i) - 0.5
		}
	}
	return out
}

// residual is the greatest length of mᵀ·u − s·v.
func (f *Singular) residual(m *Matrix) (most float64) {
	back := m.transposed(f.U)
	for i, x := range back {
		subtract(x, f.S[i], f.V[i])
		most = max(most, math.Sqrt(dot(x, x)))
	}
	return most
}

// decomposed is x = q·left·diag(s)·rightᵀ, s falling.
type decomposed struct {
	q, left, right Columns
	s              []float64
}

// decompose is the singular values of few columns: their QR decomposition, then rotations
// of the triangle (one-sided Jacobi).
func decompose(x Columns) *decomposed {
	k := len(x)
	d := &decomposed{q: newColumns(k, len(x[0]))}
	triangle := newColumns(k, k)
	for c, v := range x {
		u := d.q[c]
		copy(u, v)
		for range 2 {
			for b := range c {
				f := dot(d.q[b], u)
				triangle[c][b] += f
				subtract(u, f, d.q[b])
			}
		}
		n := math.Sqrt(dot(u, u))
		if n <= 1e-14*math.Sqrt(dot(v, v)) {
			clear(u)
			continue
		}
		triangle[c][c] = n
		for i := range u {
			u[i] /= n
		}
	}
	d.left, d.right = triangle, newColumns(k, k)
	for i := range k {
		d.right[i][i] = 1
	}
	for sweep, turned := 0, true; turned && sweep < 60; sweep++ {
		turned = false
		for a := range k {
			for b := a + 1; b < k; b++ {
				turned = rotate(d.left, d.right, a, b) || turned
			}
		}
	}
	d.sort()
	return d
}

// rotate makes two columns orthogonal; false where they are.
func rotate(x, v Columns, a, b int) bool {
	aa, bb, ab := dot(x[a], x[a]), dot(x[b], x[b]), dot(x[a], x[b])
	if math.Abs(ab) <= 1e-15*math.Sqrt(aa)*math.Sqrt(bb) || ab == 0 {
		return false
	}
	z := (bb - aa) / (2 * ab)
	t := 1 / (math.Abs(z) + math.Sqrt(1+float64(z*z)))
	if z < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(1+float64(t*t))
	s := c * t
	for _, m := range []Columns{x, v} {
		p, q := m[a], m[b]
		for i := range p {
			p[i], q[i] = float64(c*p[i])-float64(s*q[i]), float64(s*p[i])+float64(c*q[i])
		}
	}
	return true
}

// sort takes the lengths of the columns as values, the largest first.
func (d *decomposed) sort() {
	k := len(d.left)
	lengths, order := make([]float64, k), make([]int, k)
	for i, x := range d.left {
		order[i], lengths[i] = i, math.Sqrt(dot(x, x))
		for j := range x {
			if lengths[i] > 0 {
				x[j] /= lengths[i]
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case lengths[a] > lengths[b]:
			return -1
		case lengths[a] < lengths[b]:
			return 1
		}
		return 0
	})
	left, right := make(Columns, k), make(Columns, k)
	d.s = make([]float64, k)
	for to, from := range order {
		left[to], right[to], d.s[to] = d.left[from], d.right[from], lengths[from]
	}
	d.left, d.right = left, right
}
