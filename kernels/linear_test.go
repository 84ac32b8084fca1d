package kernels

import (
	"testing"

	"lorac/cmd/test/testkit"
)

var sizes = []int{1, 2, 3, 5, 13, 14, 15, 16, 17, 29, 31, 32, 33, 48, 65, 257}

func TestMatMul(t *testing.T) {
	paths(t, func(t *testing.T) {
		for n := range 60 {
			m, k, out := sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))]
			w, wm := randWeight(DType(n%3), out, k)
			x, y := randMat(m, k), randMat(m, out)
			start := clone(y)
			ctx.AddMatMulNT(y, x, w)
			want := refProduct(m, out, k, at(x), at(wm))
			near(t, "y += x·wᵀ", y, plus(want, start), 1e-5)
			ctx.MatMulNT(y, x, w)
			near(t, "y = x·wᵀ", y, want, 1e-5)

			dx := randMat(m, k)
			start = clone(dx)
			ctx.AddMatMulNN(dx, y, w)
			want = refProduct(m, k, out, at(y), at2(wm))
			near(t, "dx += dy·w", dx, plus(want, start), 1e-4)
			ctx.MatMulNN(dx, y, w)
			near(t, "dx = dy·w", dx, want, 1e-4)

			dw := randMat(out, k)
			start = clone(dw)
			ctx.AddMatMulTN(dw, y, x)
			want = refProduct(out, k, m, at2(y), at2(x))
			near(t, "dw += dyᵀ·x", dw, plus(want, start), 1e-4)
			ctx.MatMulTN(dw, y, x)
			near(t, "dw = dyᵀ·x", dw, want, 1e-4)
		}
	})
}

func clone(m Mat) Mat {
	c := NewMat(m.Rows, m.Cols)
	for i := range m.Rows {
		copy(c.Row(i), m.Row(i))
	}
	return c
}

func plus(a [][]float64, b Mat) [][]float64 {
	out := make([][]float64, len(a))
	for i := range a {
		for j, x := range a[i] {
			out[i] = append(out[i], x+float64(b.Row(i)[j]))
		}
	}
	return out
}

// Every size up to where tiles, their halves and the blocks of the transposing
// packers end, and one more of each.
func TestEverySmallProduct(t *testing.T) {
	paths(t, func(t *testing.T) {
		rows := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 27, 28, 29}
		for _, m := range rows {
			for n := 1; n <= 34; n++ {
				if (m+n)%4 != 0 && !testkit.Wanted("sizes") {
					continue
				}
				for _, k := range []int{1, 2, 3, 4, 5, 15, 16, 17, 19, 33} {
					w, wm := randWeight(DType((m+n+k)%3), n, k)
					x, y := randMat(m, k), randMat(m, n)
					ctx.MatMulNT(y, x, w)
					near(t, "y = x·wᵀ", y, refProduct(m, n, k, at(x), at(wm)), 1e-5)
					v, vm := randWeight(DType((m+n+k)%3), k, n)
					ctx.AddMatMulNN(y, x, v)
					want := refProduct(m, n, k, at(x), at(wm))
					for i, row := range refProduct(m, n, k, at(x), at2(vm)) {
						for j, p := range row {
							want[i][j] += p
						}
					}
					near(t, "y += x·v", y, want, 1e-5)
					d := randMat(k, m)
					ctx.MatMulTN(y, d, vm)
					near(t, "y = dᵀ·v", y, refProduct(m, n, k, at2(d), at2(vm)), 1e-5)
				}
			}
		}
	})
}

func TestRowsBeyondOneBlock(t *testing.T) {
	x := randMat(blockM+77, 40)
	w, wm := randWeight(F16, 70, 40)
	y := NewMat(x.Rows, 70)
	ctx.MatMulNT(y, x, w)
	near(t, "y", y, refProduct(x.Rows, 70, 40, at(x), at(wm)), 1e-4)
}

func TestLoRALinear(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, p := range []float32{0, 0.3} {
			for _, r := range []int{1, 8, 33} {
				testLoRA(t, 19, 40, r, p)
			}
			testLoRA(t, 5, mostK+9, mostK+70, p) // factors of more than a block
		}
	})
}

func testLoRA(t *testing.T, rows, in, rank int, p float32) {
	x := randMat(rows, in)
	seeds := make([]uint64, rows)
	for i := range seeds {
		seeds[i] = rng.Uint64()
	}
	part := func(out, stream int) Adapted {
		w, _ := randWeight(F32, out, in)
		return Adapted{Y: NewMat(rows, out), XA: NewMat(rows, rank), W: w, A: dense(rank, in), B: dense(out, rank), Scale: 2, Drop: Drop{P: p, Seeds: seeds, Layer: 3, Stream: stream}}
	}
	a, b := part(24, 0), part(50, 1)
	plainW, _ := randWeight(F32, 17, in)
	c := Adapted{Y: NewMat(rows, 17), W: plainW}
	ctx.LoRALinear(x, a, b, c)
	dx := NewMat(rows, in)
	var parts []AdaptedGrad
	for _, q := range []Adapted{a, b, c} {
		g := AdaptedGrad{DY: randMat(rows, q.W.Rows), XA: q.XA, W: q.W, A: q.A, B: q.B, Scale: q.Scale, Drop: q.Drop}
		if !q.A.Empty() {
			g.DA, g.DB = dense(rank, in), dense(q.W.Rows, rank)
		}
		parts = append(parts, g)
	}
	started := []Mat{clone(parts[0].DA), clone(parts[0].DB), clone(parts[1].DA), clone(parts[1].DB)}
	ctx.LoRALinearGrad(dx, x, parts...)

	want := refProduct(rows, in, 1, func(i, _ int) float64 { return 0 }, func(i, _ int) float64 { return 0 })
	for n, q := range []Adapted{a, b, c} {
		wm := MatOf(q.W.Float32s(), q.W.Rows, in)
		y := refProduct(rows, q.W.Rows, in, at(x), at(wm))
		g := parts[n]
		add(want, refProduct(rows, in, q.W.Rows, at(g.DY), at2(wm)), 1, nil)
		if !q.A.Empty() {
			xd, mask := NewMat(rows, in), NewMat(rows, in)
			ones := NewMat(rows, in)
			for i := range ones.Data {
				ones.Data[i] = 1
			}
			ctx.Dropout(xd, x, q.Drop)
			ctx.Dropout(mask, ones, q.Drop)
			xa := refProduct(rows, rank, in, at(xd), at(q.A))
			near(t, "xa", q.XA, xa, 1e-4)
			add(y, refProduct(rows, q.W.Rows, rank, of(xa), at(q.B)), 2, nil)
			gb := refProduct(rows, rank, q.W.Rows, at(g.DY), at2(q.B))
			add(want, refProduct(rows, in, rank, of(gb), at2(q.A)), 2, at(mask))
			da := plus(scaled(refProduct(rank, in, rows, func(i, k int) float64 { return gb[k][i] }, at2(xd)), 2), started[2*n])
			db := plus(scaled(refProduct(q.W.Rows, rank, rows, at2(g.DY), func(j, k int) float64 { return xa[k][j] }), 2), started[2*n+1])
			near(t, "da", g.DA, da, 1e-4)
			near(t, "db", g.DB, db, 1e-4)
		}
		near(t, "y", q.Y, y, 1e-4)
	}
	near(t, "dx", dx, want, 1e-3)
}

func of(x [][]float64) func(i, j int) float64 { return func(i, j int) float64 { return x[i][j] } }

func add(y, x [][]float64, s float64, mask func(i, j int) float64) {
	for i := range y {
		for j := range y[i] {
			m := 1.0
			if mask != nil {
				m = mask(i, j)
			}
			y[i][j] += s * x[i][j] * m
		}
	}
}

func scaled(x [][]float64, s float64) [][]float64 {
	for i := range x {
		for j := range x[i] {
			x[i][j] *= s
		}
	}
	return x
}

func TestDropoutShare(t *testing.T) {
	x, y := NewMat(64, 501), NewMat(64, 501)
	for i := range x.Data {
		x.Data[i] = 1
	}
	seeds := make([]uint64, 64)
	for i := range seeds {
		seeds[i] = uint64(i)
	}
	ctx.Dropout(y, x, Drop{P: 0.25, Seeds: seeds})
	zero, sum := 0, float32(0)
	for _, v := range y.Data {
		if v == 0 {
			zero++
		}
		sum += v
	}
	if share := float64(zero) / float64(len(y.Data)); share < 0.24 || share > 0.26 {
		t.Errorf("a quarter should be dropped, %.3f is", share)
	}
	if mean := sum / float32(len(y.Data)); mean < 0.98 || mean > 1.02 {
		t.Errorf("the mean should stay 1, it is %v", mean)
	}
}

// An adapter of which one half trains gives that half the gradient it has in
// the whole, and does not touch the other; without an input gradient too.
func TestLoRAHalvesTrainAlone(t *testing.T) {
	const rows, in, out, rank = 9, 20, 13, 4
	x, dy, xa := randMat(rows, in), randMat(rows, out), randMat(rows, rank)
	w := dense(out, in).Weight()
	a, b := dense(rank, in), dense(out, rank)
	for _, p := range []float32{0, 0.3} {
		grad := func(withDX, withA, withB bool) (dx, da, db Mat) {
			if withDX {
				dx = NewMat(rows, in)
			}
			if withA {
				da = NewMat(rank, in)
			}
			if withB {
				db = NewMat(out, rank)
			}
			ctx.LoRALinearGrad(dx, x, AdaptedGrad{DY: dy, XA: xa, W: w, A: a, B: b, DA: da, DB: db, Scale: 2, Drop: Drop{P: p, Seeds: make([]uint64, rows)}})
			return dx, da, db
		}
		dx, da, db := grad(true, true, true)
		for n := range 8 {
			x, a, b := grad(n&1 > 0, n&2 > 0, n&4 > 0)
			for _, c := range []struct {
				name      string
				got, want Mat
			}{{"dx", x, dx}, {"da", a, da}, {"db", b, db}} {
				if !c.got.Empty() {
					sameBits(t, c.name, bits([]Mat{c.got}), bits([]Mat{c.want}))
				}
			}
		}
	}
}
