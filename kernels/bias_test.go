package kernels

import "testing"

// TestBias: a linear with a bias is the linear, and the bias added, on every
// instruction set, for weights of each kind, with an adapter and without.
func TestBias(t *testing.T) {
	paths(t, func(t *testing.T) {
		for n := range 24 {
			m, in, out := sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))]
			if n%4 == 0 {
				in = 193 + n // more than one block of terms
			}
			w, wm := randWeight(DType(n%3), out, in)
			x, bias := randMat(m, in), dense(1, out).Data
			y := randMat(m, out)
			want := refProduct(m, out, in, at(x), at(wm))
			for i := range want {
				for j := range want[i] {
					want[i][j] += float64(bias[j])
				}
			}
			plain := NewMat(m, out)
			ctx.LoRALinear(x, Adapted{Y: y, W: w, Bias: bias}, Adapted{Y: plain, W: w})
			near(t, "x·wᵀ + bias", y, want, 1e-5)
			ctx.AddBias(plain, plain, bias)
			near(t, "x·wᵀ, then the bias", plain, want, 1e-5)

			const rank = 3
			a, b, xa := dense(rank, in), dense(out, rank), NewMat(m, rank)
			delta, zero := NewMat(m, out), NewMat(out, in).Weight()
			ctx.LoRALinear(x, Adapted{Y: delta, XA: xa, W: zero, A: a, B: b, Scale: 0.5})
			ctx.LoRALinear(x, Adapted{Y: y, XA: xa, W: w, Bias: bias, A: a, B: b, Scale: 0.5})
			near(t, "with an adapter", y, plus(want, delta), 1e-4)

			bytes := ctx.Int8(w)
			ctx.LoRALinear(x, Adapted{Y: plain, W: bytes})
			ctx.AddBias(plain, plain, bias)
			ctx.LoRALinear(x, Adapted{Y: y, W: bytes, Bias: bias})
			near(t, "in eight bits", y, plus(refProduct(m, out, 0, nil, nil), plain), 1e-5)
			ctx.LoRALinear(x, Adapted{Y: y, XA: xa, W: bytes, Bias: bias, A: a, B: b, Scale: 0.5})
			near(t, "in eight bits, with an adapter", y, plus(plus(refProduct(m, out, 0, nil, nil), plain), delta), 1e-4)
		}
	})
}

// TestBiasWithoutTerms: a linear of no columns is its bias.
func TestBiasWithoutTerms(t *testing.T) {
	y, bias := randMat(3, 2), []float32{1, 2}
	ctx.LoRALinear(Mat{Data: []float32{}, Rows: 3}, Adapted{Y: y, W: Mat{Rows: 2}.Weight(), Bias: bias})
	near(t, "y", y, [][]float64{{1, 2}, {1, 2}, {1, 2}}, 0)
}

func TestSumRows(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, cols := range []int{1, 127, 129, 300} {
			d, db := randMat(17, cols), dense(1, cols)
			want := [][]float64{make([]float64, cols)}
			for j := range cols {
				want[0][j] = float64(db.Data[j])
				for i := range d.Rows {
					want[0][j] += float64(d.Row(i)[j])
				}
			}
			ctx.SumRows(db.Data, d)
			near(t, "db", db, want, 1e-6)
		}
	})
}
