package kernels

import (
	"math"
	"testing"
)

// nearVec compares a vector with what f says of each element.
func nearVec(t *testing.T, what string, got []float32, tol float64, f func(i int) float64) {
	t.Helper()
	for i, g := range got {
		if w := f(i); math.Abs(float64(g)-w) > tol*(1+math.Abs(w)) || math.IsNaN(float64(g)) {
			t.Fatalf("%s: element %d is %v, its twin says %v", what, i, g, w)
		}
	}
}

// nearFunc compares a matrix with a function of the indices.
func nearFunc(t *testing.T, what string, m Mat, tol float64, f func(i, j int) float64) {
	t.Helper()
	for i := range m.Rows {
		nearVec(t, what, m.Row(i), tol, func(j int) float64 { return f(i, j) })
	}
}

func refSigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// wild is a matrix with values where exp overflows, vanishes and is tiny.
func wild(rows, cols int) Mat {
	m := randMat(rows, cols)
	edge := []float32{0, 1e-30, -1e-30, 87, -87, 88.5, -88.5, 104, -104, 200, -200, 3.4e38, -3.4e38}
	for i := range m.Rows {
		for j := range m.Row(i) {
			m.Row(i)[j] *= 10
			if (i+j)%3 == 0 {
				m.Row(i)[j] = edge[(i*7+j)%len(edge)]
			}
		}
	}
	return m
}

func TestSwiGLUTwins(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, cols := range sizes {
			g, u, dh := wild(5, cols), randMat(5, cols), randMat(5, cols)
			h, dg, du := randMat(5, cols), randMat(5, cols), randMat(5, cols)
			G, U, D := at(g), at(u), at(dh)
			ctx.SwiGLU(h, g, u)
			nearFunc(t, "swiglu", h, 1e-5, func(i, j int) float64 { return G(i, j) * refSigmoid(G(i, j)) * U(i, j) })
			ctx.SwiGLUGrad(dg, du, dh, g, u)
			slope := func(x float64) float64 {
				if s := refSigmoid(x); s != 0 && s != 1 {
					return s * (1 + x*(1-s))
				}
				return refSigmoid(x)
			}
			nearFunc(t, "swiglu dgate", dg, 1e-5, func(i, j int) float64 { return D(i, j) * U(i, j) * slope(G(i, j)) })
			nearFunc(t, "swiglu dup", du, 1e-5, func(i, j int) float64 { return D(i, j) * G(i, j) * refSigmoid(G(i, j)) })
			ctx.SiLU(h, u)
			nearFunc(t, "silu", h, 1e-5, func(i, j int) float64 { return U(i, j) * refSigmoid(U(i, j)) })
			ctx.SiLUGrad(h, dh, u)
			nearFunc(t, "silu gradient", h, 1e-5, func(i, j int) float64 { return D(i, j) * slope(U(i, j)) })
		}
	})
}

func TestExpTwin(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, n := range sizes {
			x := wild(1, n).Row(0)
			for i, v := range x {
				x[i] = min(v, 80)
			}
			y := make([]float32, n)
			sum, want := float64(expSum(y, x, 1)), 0.0
			nearVec(t, "exp", y, 3e-7, func(i int) float64 { return math.Exp(float64(x[i]) - 1) })
			for _, v := range x {
				want += math.Exp(float64(v) - 1)
			}
			if math.Abs(sum-want) > 1e-5*want {
				t.Fatalf("sum of %d: %v, want %v", n, sum, want)
			}
		}
	})
}

func TestNormTwins(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, cols := range sizes {
			const eps = 1e-5
			x, b, d, res := randMat(7, cols), randMat(7, cols), randMat(7, cols), randMat(7, cols)
			w := randMat(1, cols).Row(0)
			y, sum, rstd := randMat(7, cols), randMat(7, cols), make([]float32, 7)
			X, D, R := at(x), at(d), at(res)
			inv := func(i int) float64 {
				s := 0.0
				for j := range cols {
					s += X(i, j) * X(i, j)
				}
				return 1 / math.Sqrt(s/float64(cols)+eps)
			}
			ctx.RMSNorm(y, rstd, x, w, eps)
			nearVec(t, "rstd", rstd, 1e-5, inv)
			nearFunc(t, "rmsnorm", y, 1e-5, func(i, j int) float64 { return X(i, j) * inv(i) * float64(w[j]) })
			grad := func(i, j int) float64 {
				s := 0.0
				for k := range cols {
					s += D(i, k) * float64(w[k]) * X(i, k)
				}
				r := inv(i)
				return r * (D(i, j)*float64(w[j]) - X(i, j)*r*r*s/float64(cols))
			}
			ctx.RMSNormGrad(y, d, x, rstd, w)
			nearFunc(t, "rmsnorm gradient", y, 1e-4, grad)
			ctx.RMSNormGradAdd(y, res, d, x, rstd, w)
			nearFunc(t, "rmsnorm gradient + residual", y, 1e-4, func(i, j int) float64 { return R(i, j) + grad(i, j) })
			dw := make([]float32, cols)
			ctx.RMSNormGradW(dw, d, x, rstd)
			ctx.RMSNormGradW(dw, d, x, rstd)
			nearVec(t, "rmsnorm weight gradient, added twice", dw, 1e-4, func(j int) float64 {
				s := 0.0
				for i := range 7 {
					s += 2 * D(i, j) * X(i, j) * inv(i)
				}
				return s
			})
			ctx.AddRMSNorm(sum, y, rstd, res, b, w, eps)
			nearFunc(t, "a + b", sum, 1e-6, func(i, j int) float64 { return R(i, j) + at(b)(i, j) })
			z, rz := randMat(7, cols), make([]float32, 7)
			ctx.RMSNorm(z, rz, sum, w, eps)
			nearFunc(t, "norm of a + b", y, 0, at(z))
		}
	})
}

func TestRopeTwin(t *testing.T) {
	const hd = 6
	spec := RopeSpec{HeadDim: hd, Theta: 10000, Method: "none"}
	cos, sin := NewMat(50, hd/2), NewMat(50, hd/2)
	RopeTable(cos, sin, spec)
	x, y, back := randMat(9, 4*hd), randMat(9, 4*hd), randMat(9, 4*hd)
	pos := []int32{0, 1, 49, 3, 0, 7, 7, 12, 30}
	ctx.Rope(y, x, pos, cos, sin, hd)
	nearFunc(t, "rope", y, 1e-5, func(i, j int) float64 {
		h, c := j/hd*hd, j%hd
		a := float64(pos[i]) * math.Pow(10000, -2*float64(c%(hd/2))/hd)
		if c < hd/2 {
			return at(x)(i, h+c)*math.Cos(a) - at(x)(i, h+c+hd/2)*math.Sin(a)
		}
		return at(x)(i, h+c)*math.Cos(a) + at(x)(i, h+c-hd/2)*math.Sin(a)
	})
	ctx.RopeGrad(back, y, pos, cos, sin, hd)
	nearFunc(t, "turned back", back, 1e-5, at(x))
}

// The extend methods at one frequency each, worked out by hand from the
// formulas of MindFormers r1.3 modules/layers.py (FreqsMgr).
func TestRopeMethods(t *testing.T) {
	angle := func(s RopeSpec, i int) float64 {
		f, amp := s.frequencies()
		_ = amp
		return f[i]
	}
	if got := angle(RopeSpec{HeadDim: 4, Theta: 10000, Method: "ntk", Factor: 4}, 1); math.Abs(got-1/math.Sqrt(40000)) > 1e-12 {
		t.Errorf("ntk: %v", got)
	}
	cos, sin := NewMat(3, 2), NewMat(3, 2)
	RopeTable(cos, sin, RopeSpec{HeadDim: 4, Theta: 10000, Method: "pi", Factor: 2})
	if math.Abs(float64(cos.Row(2)[0])-math.Cos(1)) > 1e-6 {
		t.Errorf("pi: position 2 over 2 gives %v", cos.Row(2)[0])
	}
	l3 := RopeSpec{HeadDim: 4, Theta: 10000, Method: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMax: 8192}
	if f, _ := l3.frequencies(); f[0] != 1 { // wavelength 6.3 < 8192/4
		t.Errorf("llama3 leaves high frequencies: %v", f[0])
	}
	l3.OriginalMax = 100 // wavelength of f[1] = 0.01 is 628 > 100/1
	if f, _ := l3.frequencies(); math.Abs(f[1]-0.01/8) > 1e-15 {
		t.Errorf("llama3 divides low frequencies: %v", f[1])
	}
	l3.OriginalMax = 2 * 2 * math.Pi * 100 // wavelength 200π is half of it: s = (2−1)/(4−1)
	if f, _ := l3.frequencies(); math.Abs(f[1]-(2.0/3*0.01/8+1.0/3*0.01)) > 1e-12 {
		t.Errorf("llama3 blends between: %v", f[1])
	}
	yarn := RopeSpec{HeadDim: 4, Theta: 10000, Method: "yarn", Factor: 4, OriginalMax: 2048, BetaFast: 32, BetaSlow: 1, MScale: 1, MScaleAllDim: 0}
	f, amp := yarn.frequencies()
	// corr(32) = 4·ln(2048/64π)/(2·ln 10⁴) = 0.504 → 0, corr(1) = 1.256 → 2: ramp 0, ½.
	if f[0] != 1 || math.Abs(f[1]-(0.01/4*0.5+0.01*0.5)) > 1e-12 || math.Abs(amp-(0.1*math.Log(4)+1)) > 1e-12 {
		t.Errorf("yarn: %v × %v", f, amp)
	}
}

func TestLossTwins(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, vocab := range []int{1, 7, 33, 300} {
			n, dim := chunk+5, 12
			w, wm := randWeight(F32, vocab, dim)
			x := randMat(n, dim)
			targets, weights := make([]int32, n), make([]float32, n)
			for i := range n {
				targets[i], weights[i] = int32(rng.IntN(vocab)), rng.Float32()
			}
			logits := refProduct(n, vocab, dim, at(x), at(wm))
			loss := 0.0
			p := make([][]float64, n)
			for i := range n {
				sum := 0.0
				for _, l := range logits[i] {
					sum += math.Exp(l)
				}
				loss += float64(weights[i]) * (math.Log(sum) - logits[i][targets[i]])
				p[i] = make([]float64, vocab)
				for j, l := range logits[i] {
					p[i][j] = float64(weights[i]) * math.Exp(l) / sum
				}
				p[i][targets[i]] -= float64(weights[i])
			}
			same := func(what string, got float64) {
				if math.Abs(got-loss) > 1e-4*(1+loss) {
					t.Fatalf("%s is %v, its twin says %v", what, got, loss)
				}
			}
			dx, dw := randMat(n, dim), NewMat(vocab, dim)
			same("head loss", ctx.HeadLossGradW(dx, dw, x, w, targets, weights).Value())
			near(t, "head loss dx", dx, refProduct(n, dim, vocab, of(p), at2(wm)), 1e-4)
			near(t, "head loss dw", dw, refProduct(vocab, dim, n, func(i, k int) float64 { return p[k][i] }, at2(x)), 1e-4)
			same("evaluation", ctx.HeadLoss(Mat{}, x, w, targets, weights).Value())
			lm := randMat(n, vocab)
			ctx.MatMulNT(lm, x, w)
			same("cross entropy", ctx.CrossEntropy(lm, targets, weights).Value())
			ctx.CrossEntropyGrad(lm, lm, targets, weights)
			near(t, "cross entropy gradient, in place", lm, p, 1e-5)
		}
	})
}

func TestRowTwins(t *testing.T) {
	x := randMat(9, 5)
	rows := []int32{0, 3, 8}
	y, back := randMat(3, 5), randMat(9, 5)
	ctx.GatherRows(y, x, rows)
	nearFunc(t, "gather", y, 0, func(i, j int) float64 { return at(x)(int(rows[i]), j) })
	ctx.ScatterRows(back, y, rows)
	nearFunc(t, "scatter", back, 0, func(i, j int) float64 {
		for k, r := range rows {
			if int(r) == i {
				return at(y)(k, j)
			}
		}
		return 0
	})
	a, b, both := randMat(9, 2), randMat(9, 3), randMat(9, 5)
	ctx.SplitCols(x, a, b)
	ctx.ConcatCols(both, a, b)
	nearFunc(t, "split and joined", both, 0, at(x))
	nearFunc(t, "second part", b, 0, func(i, j int) float64 { return at(x)(i, j+2) })
	for _, d := range []DType{F32, F16, BF16} {
		w, wm := randWeight(d, 11, 7)
		e := randMat(4, 7)
		tokens := []int32{3, 10, 3, 0}
		ctx.Embed(e, tokens, w)
		nearFunc(t, "embed", e, 0, func(i, j int) float64 { return at(wm)(int(tokens[i]), j) })
		dw := NewMat(11, 7)
		ctx.EmbedGrad(dw, e, tokens)
		nearFunc(t, "embed gradient", dw, 1e-6, func(i, j int) float64 {
			s := 0.0
			for k, tok := range tokens {
				if int(tok) == i {
					s += at(e)(k, j)
				}
			}
			return s
		})
	}
}

// Golden values of one parameter, p = 1, lr = 1e-3, wd = 0.01, eps = 1e-8,
// betas (0.9, 0.999), gradients 0.1 and then −0.05: PyTorch's AdamW, and the
// formula MindSpore documents for AdamWeightDecay.
func TestAdamWGoldens(t *testing.T) {
	for _, c := range []struct {
		torch bool
		want  [2]float64
	}{{true, [2]float64{0.9989900001, 0.9987136731940329}}, {false, [2]float64{0.9968277323398, 0.995685943595081}}} {
		p, m, v := []float32{1}, []float32{0}, []float32{0}
		for i, g := range []float32{0.1, -0.05} {
			ctx.AdamW(p, []float32{g}, m, v, AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, GradScale: 1, Step: i + 1, Torch: c.torch})
			if math.Abs(float64(p[0])-c.want[i]) > 2e-7 {
				t.Errorf("torch=%v step %d: %v, want %v", c.torch, i+1, p[0], c.want[i])
			}
		}
	}
}

func TestNormAndClip(t *testing.T) {
	x := randMat(1, 10001).Row(0)
	want := 0.0
	for _, v := range x {
		want += float64(v) * float64(v)
	}
	defer setThreads(ctx.Threads())
	setThreads(1)
	one := ctx.Norm(x, x[:77])
	setThreads(3)
	if three := ctx.Norm(x, x[:77]); three != one {
		t.Errorf("the norm depends on the threads: %v and %v", one, three)
	}
	if got := ctx.Norm(x).Value(); math.Abs(got-math.Sqrt(want)) > 1e-9*got {
		t.Errorf("norm %v, want %v", got, math.Sqrt(want))
	}
	for _, c := range []struct {
		norm  Scalar
		torch bool
		want  float64
	}{{4, true, 1 / 4.000001}, {0.5, true, 1}, {4, false, 1 / 4.000001}, {0.5, false, 1 / 1.000001}} {
		if got := ctx.Clip(c.norm, 1, c.torch).Value(); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("clip of %v, torch=%v: %v, want %v", c.norm, c.torch, got, c.want)
		}
	}
}

func TestHalfConversion(t *testing.T) {
	for h, want := range map[uint16]float32{0x3C00: 1, 0xBC00: -1, 0x0001: 1.0 / (1 << 24), 0x03FF: 1023.0 / (1 << 24), 0x7BFF: 65504, 0x8000: 0, 0x3555: 0.333251953125} {
		if got := Half(h); got != want {
			t.Errorf("%04x is %v, want %v", h, got, want)
		}
	}
	if !math.IsInf(float64(Half(0x7C00)), 1) || !math.IsNaN(float64(Half(0x7E00))) {
		t.Error("infinity or not-a-number is lost")
	}
}

func TestWrongShapesPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a product of shapes that do not fit went through")
		}
	}()
	ctx.MatMulNT(NewMat(2, 3), NewMat(2, 4), NewMat(3, 5).Weight())
}
