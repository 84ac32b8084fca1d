package lowrank

import (
	"errors"
	"math"
	"testing"

	"lorac/runtime/rng"
)

// matrix has known singular values: products of reflections around a diagonal.
func matrix(rows, cols int, s func(i int) float64) *Matrix {
	a := newColumns(rows, cols) // rows of it
	for i := range min(rows, cols) {
		a[i][i] = s(i)
	}
	u, v := random(2, rows, rng.Named("u", 1).Unit), random(2, cols, rng.Named("v", 1).Unit)
	for _, h := range v {
		for i := range a {
			reflect(a[i], h, 2/dot(h, h))
		}
	}
	for _, h := range u {
		for j := range cols {
			f := 0.0
			for i := range rows {
				f += h[i] * a[i][j]
			}
			for i := range rows {
				a[i][j] -= 2 / dot(h, h) * f * h[i]
			}
		}
	}
	return &Matrix{Rows: rows, Cols: cols, Row: func(dst []float32, i int) {
		for j := range dst {
			dst[j] = float32(a[i][j])
		}
	}}
}

// Singular values are found, vectors are orthonormal and belong to them, in tall and wide
// matrices, with close and equal values, and with fewer than asked for.
func TestSingular(t *testing.T) {
	for _, c := range []struct {
		name             string
		rows, cols, r    int
		s                func(i int) float64
		iterations, most float64
	}{
		{"tall", 90, 60, 5, func(i int) float64 { return 3 * math.Pow(0.9, float64(i)) }, 12, 1e-2},
		{"wide", 40, 150, 8, func(i int) float64 { return 1 / float64(i+1) }, 12, 1e-2},
		{"close", 120, 120, 4, func(i int) float64 { return 1 - 0.001*float64(i) }, 60, 0.2},
		{"equal", 30, 30, 3, func(int) float64 { return 2 }, 2, 1e-6},
		{"rank 2", 30, 20, 4, func(i int) float64 { return float64(max(2-i, 0)) }, 2, 1e-6},
		{"zero", 9, 20, 2, func(int) float64 { return 0 }, 2, 1e-6},
		{"all", 12, 16, 12, func(i int) float64 { return float64(i%5) + 0.5 }, 2, 1e-6},
	} {
		m := matrix(c.rows, c.cols, c.s)
		want := make([]float64, min(c.rows, c.cols))
		for i := range want {
			want[i] = c.s(i)
		}
		sortFalling(want)
		exact, err := Exact(m, c.r, rng.Named("start", 1).Unit)
		if err != nil {
			t.Fatal(err)
		}
		about, err := Approximate(m, c.r, int(c.iterations), rng.Named("start", 1).Unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range []struct {
			of   *Singular
			most float64
		}{{exact, 1e-6}, {about, c.most}} {
			if r := is.of.residual(m); r > max(is.most, 1e-6)*want[0] {
				t.Errorf("%s: Mᵀu is %g away from s·v", c.name, r)
			}
			for i, s := range is.of.S {
				if math.Abs(s-want[i]) > is.most*want[0] {
					t.Errorf("%s: singular value %d is %v, want %v", c.name, i, s, want[i])
				}
				if s < 1e-5 {
					continue
				}
				for j := range i + 1 {
					for _, x := range []Columns{is.of.U, is.of.V} {
						if d := dot(x[i], x[j]) - map[bool]float64{true: 1}[i == j]; math.Abs(d) > 1e-10 {
							t.Errorf("%s: vectors %d and %d: %g", c.name, i, j, d)
						}
					}
				}
			}
		}
	}
}

func sortFalling(x []float64) {
	for i := range x {
		for j := i + 1; j < len(x); j++ {
			if x[j] > x[i] {
				x[i], x[j] = x[j], x[i]
			}
		}
	}
}

// Q is orthonormal, R is a triangle, and their first columns are the matrix. The signs
// are LAPACK's: numpy.linalg.qr of [[3, 1], [4, 2]] has R = [[-5, -2.2], [0, 0.4]].
func TestQR(t *testing.T) {
	small := &Matrix{Rows: 2, Cols: 2, Row: func(dst []float32, i int) { copy(dst, [][]float32{{3, 1}, {4, 2}}[i]) }}
	q, r, err := QR(small, 2)
	if err != nil || math.Abs(r[0][0]+5) > 1e-12 || math.Abs(r[0][1]+2.2) > 1e-12 || math.Abs(r[1][1]-0.4) > 1e-12 || math.Abs(q[0][0]+0.6) > 1e-12 {
		t.Error(q, r, err)
	}
	m := matrix(20, 30, func(i int) float64 { return 1 / float64(i+1) })
	if q, r, err = QR(m, 6); err != nil {
		t.Fatal(err)
	}
	row := make([]float32, 30)
	for i := range m.Rows {
		m.Row(row, i)
		for j := range 6 {
			x := 0.0
			for k := range q {
				x += q[k][i] * r[k][j]
			}
			if math.Abs(x-float64(row[j])) > 1e-12 {
				t.Fatalf("element %d, %d is %v, want %v", i, j, x, row[j])
			}
		}
	}
	for i := range q {
		for j := range i {
			if math.Abs(dot(q[i], q[j])) > 1e-12 || math.Abs(r[i][j]) > 1e-12 {
				t.Errorf("columns %d and %d: %g, R %g", i, j, dot(q[i], q[j]), r[i][j])
			}
		}
	}
}

// What is no number is an error, and threads change nothing.
func TestNotFiniteAndParallel(t *testing.T) {
	bad := &Matrix{Rows: 6, Cols: 6, Row: func(dst []float32, i int) { dst[0] = float32(math.NaN()) }}
	if _, err := Exact(bad, 2, rng.Named("s", 1).Unit); !errors.Is(err, ErrNotFinite) {
		t.Error(err)
	}
	if _, _, err := QR(bad, 2); !errors.Is(err, ErrNotFinite) {
		t.Error(err)
	}
	if _, err := Approximate(bad, 2, 1, rng.Named("s", 1).Unit); !errors.Is(err, ErrNotFinite) {
		t.Error(err)
	}
	m := matrix(70, 80, func(i int) float64 { return 1 / float64(i+1) })
	one, _ := Exact(m, 3, rng.Named("s", 1).Unit)
	m.Parallel = func(tasks int, fn func(worker, task int)) {
		for i := tasks - 1; i >= 0; i-- {
			fn(0, i)
		}
	}
	other, _ := Exact(m, 3, rng.Named("s", 1).Unit)
	for i := range one.U {
		for j := range one.U[i] {
			if one.U[i][j] != other.U[i][j] {
				t.Fatal("another order of tasks gives other bits")
			}
		}
	}
}
