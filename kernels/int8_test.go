package kernels

import (
	"fmt"
	"math"
	"testing"
)

// refInt8 rounds a row (times mul) to eight bits, in f32 as the kernels do:
// the numbers and the scale.
func refInt8(x []float32, mul func(i int) float32) ([]int64, float32) {
	top := float32(0)
	p := make([]float32, len(x))
	for i, v := range x {
		p[i] = v * mul(i)
		top = max(top, float32(math.Abs(float64(p[i]))))
	}
	q := make([]int64, len(x))
	if top == 0 {
		return q, 0
	}
	for i, v := range p {
		q[i] = int64(math.RoundToEven(float64(v * (127 / top))))
	}
	return q, top / 127
}

// Products in eight bits against integers, at sizes around every edge: the sums
// are exact, so only the scaling rounds: one unit would be 6e-5.
func TestInt8Products(t *testing.T) {
	one := func(int) float32 { return 1 }
	paths(t, func(t *testing.T) {
		for _, in := range []int{1, 3, 4, 5, 31, 33, 64, 129, 1025, 2050} {
			for _, out := range []int{1, 3, 4, 31, 32, 33, 70} {
				full, values := randWeight(F32, out, in)
				w := ctx.Int8(full)
				var qs [][]int64
				var scales []float32
				for i := range out {
					q, s := refInt8(values.Row(i), one)
					qs, scales = append(qs, q), append(scales, s)
					nearVec(t, "weights", w.Float32s()[i*in:(i+1)*in], 1e-7, func(j int) float64 { return float64(s) * float64(q[j]) })
				}
				for _, m := range []int{1, 13, 30} {
					x, y := randMat(m, in), randMat(m, out)
					ctx.MatMulNT(y, x, w)
					want := refRows(x, one, out, func(j, k int) int64 { return qs[j][k] }, func(j int) float32 { return scales[j] })
					near(t, fmt.Sprint("x·wᵀ ", m, in, out), y, want, 1e-5)
					dx, dy := randMat(m, in), randMat(m, out)
					ctx.MatMulNN(dx, dy, w)
					want = refRows(dy, func(i int) float32 { return scales[i] }, in, func(j, k int) int64 { return qs[k][j] }, one)
					near(t, fmt.Sprint("dy·w ", m, in, out), dx, want, 1e-5)
				}
			}
		}
	})
}

func refRows(x Mat, mul func(i int) float32, n int, q func(j, k int) int64, scale func(j int) float32) [][]float64 {
	out := make([][]float64, x.Rows)
	for i := range out {
		qx, s := refInt8(x.Row(i), mul)
		out[i] = make([]float64, n)
		for j := range out[i] {
			sum := int64(0)
			for k, v := range qx {
				sum += v * q(j, k)
			}
			out[i][j] = float64(s) * float64(scale(j)) * float64(sum)
		}
	}
	return out
}

// The same bits on any processor, by any number of threads, added or not.
func TestInt8Bits(t *testing.T) {
	defer setThreads(ctx.Threads())
	for _, s := range [][3]int{{1, 5, 3}, {15, 2050, 70}, {40, 130, 97}, {1100, 64, 33}} {
		m, in, out := s[0], s[1], s[2]
		full, _ := randWeight(F16, out, in)
		x, dy, onto := dense(m, in), dense(m, out), dense(m, out)
		copy(x.Row(m/2), wild(1, in).Row(0))
		run := func() []uint32 {
			w := ctx.Int8(full)
			y, dx, sum := NewMat(m, out), NewMat(m, in), clone(onto)
			ctx.MatMulNT(y, x, w)
			ctx.MatMulNN(dx, dy, w)
			ctx.AddMatMulNT(sum, x, w)
			return bits([]Mat{y, dx, sum})
		}
		setThreads(1)
		want := run()
		withGo(func() { sameBits(t, fmt.Sprint(s, " in plain Go"), run(), want) })
		for _, n := range []int{2, 3, 7} {
			setThreads(n)
			sameBits(t, fmt.Sprint(s, n, " threads"), run(), want)
		}
	}
}

// A row with something that is no finite number gives none; a row of nothing,
// or next to it, gives zero; the others are not touched by that.
func TestInt8Edges(t *testing.T) {
	paths(t, func(t *testing.T) {
		full, _ := randWeight(F32, 37, 50)
		w := ctx.Int8(full)
		x := dense(16, 50)
		want, y := NewMat(16, 37), NewMat(16, 37)
		ctx.MatMulNT(want, x, w)
		x.Row(3)[7], x.Row(5)[49], x.Row(6)[0] = nan, float32(math.Inf(1)), float32(math.Inf(-1))
		clear(x.Row(8))
		for j := range x.Row(9) {
			x.Row(9)[j] = 1e-42
		}
		ctx.MatMulNT(y, x, w)
		for i := range 16 {
			for j, v := range y.Row(i) {
				switch finite := !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0); {
				case i == 3 || i == 5 || i == 6:
					if finite {
						t.Fatalf("row %d, which is not finite, gave %v", i, v)
					}
				case i == 8 || i == 9:
					if v != 0 {
						t.Fatalf("row %d of nothing gave %v", i, v)
					}
				case v != want.Row(i)[j]:
					t.Fatalf("row %d: %v, not %v", i, v, want.Row(i)[j])
				}
			}
		}
	})
}

// Eight bits are near the product itself: the error of a sum of k terms with
// rounding errors of a 127th of the largest each.
func TestInt8Error(t *testing.T) {
	const m, in, out = 20, 2048, 64
	full, values := randWeight(F32, out, in)
	x, y := dense(m, in), NewMat(m, out)
	ctx.MatMulNT(y, x, ctx.Int8(full))
	want := refProduct(m, out, in, at(x), at(values))
	sum, of := 0.0, 0.0
	for i := range m {
		for j, v := range want[i] {
			e := float64(y.Row(i)[j]) - v
			sum += e * e
			of += v * v
		}
	}
	if r := math.Sqrt(sum / of); r > 0.01 || r < 1e-4 {
		t.Errorf("relative error %g", r)
	}
}
