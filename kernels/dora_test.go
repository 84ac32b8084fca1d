package kernels

import (
	"math"
	"slices"
	"testing"
)

// TestRowNorms: norms of adapted rows of each stored type are those of a plain
// product in f64, and threads change no bit.
func TestRowNorms(t *testing.T) {
	paths(t, func(t *testing.T) {
		for n := range 18 {
			out, in := sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))]
			if n%6 == 0 {
				in = normCols + n // more than one block of columns
			}
			rank := 1 + n%5
			w, wm := randWeight(DType(n%3), out, in)
			a, b := randMat(rank, in), randMat(out, rank)
			norms := func(w Weight, wm Mat) {
				t.Helper()
				W, A, B := at(wm), at(a), at(b)
				got := make([]float32, out)
				ctx.RowNorms(got, w, a, b, 0.75)
				nearVec(t, "norms", got, 1e-5, func(i int) float64 {
					sum := 0.0
					for j := range in {
						x := W(i, j)
						for k := range rank {
							x += 0.75 * B(i, k) * A(k, j)
						}
						sum += x * x
					}
					return math.Sqrt(sum)
				})
				one := New(1)
				defer one.Close()
				alone := make([]float32, out)
				one.RowNorms(alone, w, a, b, 0.75)
				if !slices.Equal(alone, got) {
					t.Fatalf("%d threads give other norms than one", ctx.Threads())
				}
			}
			norms(w, wm)
			bytes := ctx.Int8(w)
			norms(bytes, MatOf(bytes.Float32s(), out, in))
		}
	})
}

// TestRowNormsOfBlocks: a weight of blocks is read as it is decoded.
func TestRowNormsOfBlocks(t *testing.T) {
	for _, d := range []DType{Q8_0, Q4_0, Q4_1, Q4_K, Q6_K} {
		const out, in = 5, 768
		w, _ := randQuant(d, out, in)
		plain := MatOf(w.Float32s(), out, in).Weight()
		a, b := randMat(2, in), randMat(out, 2)
		got, want := make([]float32, out), make([]float32, out)
		ctx.RowNorms(got, w, a, b, 2)
		ctx.RowNorms(want, plain, a, b, 2)
		if !slices.Equal(got, want) {
			t.Errorf("%v: %v, as f32 %v", d, got, want)
		}
	}
}

// TestScaleCols: columns are multiplied by m/n, by 0 where n is; the gradient in m adds
// to what is there.
func TestScaleCols(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, cols := range []int{1, 7, 128, 129, 300, 513} {
			x, d, m, n := randMat(37, cols), randMat(37, cols), dense(1, cols).Data, dense(1, cols).Data
			for j := range n {
				n[j] = 0.5 + n[j]*n[j]
			}
			n[cols/2] = 0
			by := func(j int) float64 {
				if n[j] == 0 {
					return 0
				}
				return float64(m[j]) / float64(n[j])
			}
			y := randMat(37, cols)
			ctx.ScaleCols(y, x, m, n)
			nearFunc(t, "x · m/n", y, 1e-6, func(i, j int) float64 { return at(x)(i, j) * by(j) })
			dm := dense(1, cols).Data
			before := slices.Clone(dm)
			ctx.ScaleColsGradM(dm, d, x, n)
			nearVec(t, "dm", dm, 1e-5, func(j int) float64 {
				sum := 0.0
				for i := range x.Rows {
					sum += at(d)(i, j) * at(x)(i, j)
				}
				if n[j] == 0 {
					return float64(before[j])
				}
				return float64(before[j]) + sum/float64(n[j])
			})
			ctx.ScaleCols(x, x, m, n)
			for i := range x.Rows {
				if !slices.Equal(x.Row(i), y.Row(i)) {
					t.Fatal("in place, it is another product")
				}
			}
		}
	})
}
