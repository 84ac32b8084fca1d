package kernels

import (
	"fmt"
	"math"
	"testing"
)

// Where the assembly rounds as the Go code does, both give the same bits: a
// dropout mask and an optimizer step do not depend on the processor.

func withGo(f func()) {
	was512, was256 := has512, has256
	defer setCPU(was512, was256)
	setCPU(false, false)
	f()
}

func TestDropoutIsTheSameEverywhere(t *testing.T) {
	for _, p := range []float32{0, 1e-5, 0.01, 0.5, 0.9999, 0.999999} {
		for cols := 1; cols < 100; cols++ {
			x, y, want := randMat(3, cols), randMat(3, cols), NewMat(3, cols)
			x.Row(1)[cols/2] = nan
			d := Drop{P: p, Keys: someKeys(3), Layer: 3, Stream: 63}
			Dropout(y, x, d)
			withGo(func() { Dropout(want, x, d) })
			sameBits(t, fmt.Sprintf("%d columns, P=%v", cols, p), bits([]Mat{y}), bits([]Mat{want}))
		}
	}
}

func TestAdamWIsTheSameEverywhere(t *testing.T) {
	for _, torch := range []bool{true, false} {
		for n := 1; n < 70; n++ {
			o := AdamStep{LR: 1e-2, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, WeightDecay: 0.1, GradScale: 0.3, Step: n, Torch: torch}
			p, g, m, v := randMat(1, n), randMat(1, n), randMat(1, n), randMat(1, n)
			for i, x := range v.Row(0) {
				v.Row(0)[i] = x * x
			}
			g.Row(0)[0], v.Row(0)[0], m.Row(0)[0] = 0, 0, 0 // as for a row nobody touched
			q, h, k, w := clone(p), clone(g), clone(m), clone(v)
			AdamW(p.Row(0), g.Row(0), m.Row(0), v.Row(0), o)
			withGo(func() { AdamW(q.Row(0), h.Row(0), k.Row(0), w.Row(0), o) })
			sameBits(t, fmt.Sprintf("%d elements, torch=%v", n, torch), bits([]Mat{p, m, v}), bits([]Mat{q, k, w}))
		}
	}
}

// AdamW against its formula in f64, over several steps.
func TestAdamWTwin(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, torch := range []bool{true, false} {
			const n, lr, b1, b2, eps, wd, clip = 37, 3e-3, 0.9, 0.95, 1e-8, 0.1, 0.25
			p, m, v := randMat(1, n).Row(0), make([]float32, n), make([]float32, n)
			var P, M, V [n]float64
			for i, x := range p {
				P[i] = float64(x)
			}
			for step := 1; step <= 5; step++ {
				g := randMat(1, n).Row(0)
				AdamW(p, g, m, v, AdamStep{LR: lr, Beta1: b1, Beta2: b2, Eps: eps, WeightDecay: wd, GradScale: clip, Step: step, Torch: torch})
				for i, x := range g {
					gi := float64(x) * clip
					M[i] = b1*M[i] + (1-b1)*gi
					V[i] = b2*V[i] + (1-b2)*gi*gi
					if torch {
						P[i] -= lr * wd * P[i]
						P[i] -= lr * M[i] / (1 - math.Pow(b1, float64(step))) / (math.Sqrt(V[i])/math.Sqrt(1-math.Pow(b2, float64(step))) + eps)
					} else {
						P[i] -= lr * (M[i]/(math.Sqrt(V[i])+eps) + wd*P[i])
					}
				}
			}
			nearVec(t, "p", p, 1e-6, func(i int) float64 { return P[i] })
			nearVec(t, "m", m, 1e-6, func(i int) float64 { return M[i] })
			nearVec(t, "v", v, 1e-6, func(i int) float64 { return V[i] })
		}
	})
}

func TestScaleMaxTwin(t *testing.T) {
	paths(t, func(t *testing.T) {
		for n := 1; n < 70; n++ {
			for _, low := range []float32{float32(math.Inf(-1)), -5, 0.3, 100} {
				row := randMat(1, n+1).Row(0)
				behind := row[n]
				row[n/3] = nan
				want, top := make([]float32, n), low
				for i := range want {
					if want[i] = row[i] * -3; want[i] > top {
						top = want[i]
					}
				}
				if got := scaleMax(row[:n], -3, low); got != top {
					t.Fatalf("the greatest of %d is %v, not %v", n, top, got)
				}
				sameBits(t, "scaled", bits([]Mat{vec(row[:n])}), bits([]Mat{vec(want)}))
				if row[n] != behind {
					t.Fatal("what is behind the row changed")
				}
			}
		}
	})
}

func TestSoftmaxGradTwin(t *testing.T) {
	paths(t, func(t *testing.T) {
		const scale, lse, delta = 0.7, 1.5, 0.2
		for n := 1; n < 50; n++ {
			for _, seen := range []int{0, 1, n / 2, n} {
				p, ds := randMat(1, n).Row(0), randMat(1, n).Row(0)
				s, d := append([]float32{}, p...), append([]float32{}, ds...)
				softmaxGradRow(p, ds, min(seen, n), scale, lse, delta)
				prob := func(i int) float64 {
					if i >= seen {
						return 0
					}
					return math.Exp(float64(s[i])*scale - lse)
				}
				nearVec(t, "p", p, 1e-6, prob)
				nearVec(t, "ds", ds, 1e-6, func(i int) float64 { return prob(i) * (float64(d[i]) - delta) * scale })
			}
		}
	})
}
