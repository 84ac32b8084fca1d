package kernels

import (
	"fmt"
	"math"
	"testing"
)

// Where the assembly rounds as the Go code does, both give the same bits: a
// dropout mask and an optimizer step do not depend on the processor.

func withGo(f func()) {
	was512, was8 := has512, has8
	defer setCPU(was512, was8)
	setCPU(false, false)
	f()
}

func TestDropoutIsTheSameEverywhere(t *testing.T) {
	for _, p := range []float32{0, 1e-5, 0.01, 0.5, 0.9999, 0.999999} {
		for cols := 1; cols < 100; cols++ {
			x, y, want := randMat(3, cols), randMat(3, cols), NewMat(3, cols)
			x.Row(1)[cols/2] = nan
			d := Drop{P: p, Seeds: someSeeds(3), Layer: 3, Stream: 63}
			ctx.Dropout(y, x, d)
			withGo(func() { ctx.Dropout(want, x, d) })
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
			ctx.AdamW(p.Row(0), g.Row(0), m.Row(0), v.Row(0), o)
			withGo(func() { ctx.AdamW(q.Row(0), h.Row(0), k.Row(0), w.Row(0), o) })
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
				ctx.AdamW(p, g, m, v, AdamStep{LR: lr, Beta1: b1, Beta2: b2, Eps: eps, WeightDecay: wd, GradScale: clip, Step: step, Torch: torch})
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

// The softmax of a panel of queries, block of keys by block of keys, against
// the sums over all of them at once.
func TestSoftmaxColsTwin(t *testing.T) {
	paths(t, func(t *testing.T) {
		_, nr := tileSize()
		inf := float32(math.Inf(-1))
		for _, blocks := range [][]int{{1}, {7}, {40}, {5, 1, 30}} {
			for _, step := range []int{0, 1, 2} { // further keys a query sees more than the one before
				const scale, low = 0.7, 3
				top, sum, shrink := make([]float32, nr), make([]float32, nr), make([]float32, nr)
				for i := range top {
					top[i] = inf
				}
				all, before := make([][]float64, nr), make([]float64, nr)
				first := 0
				for _, n := range blocks {
					s := randMat(1, n*nr).Row(0)
					was := append([]float32{}, s...)
					var keys [32]int32
					for i := range nr {
						keys[i] = int32(low + step*i - first)
						before[i] = float64(top[i])
						for j := range max(min(int(keys[i]), n), 0) {
							all[i] = append(all[i], scale*float64(was[j*nr+i]))
						}
					}
					if first == 0 && low > n {
						for i := range nr {
							keys[i] = int32(n)
							all[i] = nil
							for j := range n {
								all[i] = append(all[i], scale*float64(was[j*nr+i]))
							}
						}
					}
					softmaxCols(s, nr, n, &keys, scale, top, sum, shrink)
					for i := range nr {
						m, total := math.Inf(-1), 0.0
						for _, x := range all[i] {
							m = max(m, x)
						}
						for _, x := range all[i] {
							total += math.Exp(x - m)
						}
						within(t, "top", float64(top[i])*scale, m, 1e-6)
						within(t, "sum", float64(sum[i]), total, 1e-6)
						within(t, "shrink", float64(shrink[i]), math.Exp(before[i]*scale-m), 1e-6)
						for j := range n {
							want := 0.0
							if j < int(keys[i]) {
								want = math.Exp(scale*float64(was[j*nr+i]) - m)
							}
							within(t, "p", float64(s[j*nr+i]), want, 1e-6)
						}
					}
					first += n
				}
			}
		}
	})
}

func within(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*max(1, math.Abs(want))) {
		t.Fatalf("%s is %v, not %v", what, got, want)
	}
}

func TestSoftmaxGradTwin(t *testing.T) {
	paths(t, func(t *testing.T) {
		_, nr := tileSize()
		const scale = 0.7
		for n := range 40 {
			p, ds := randMat(1, n*nr+1).Row(0), randMat(1, n*nr+1).Row(0)
			s, d := append([]float32{}, p...), append([]float32{}, ds...)
			seen, lse, delta := make([]int32, n), randMat(1, n+1).Row(0), randMat(1, n+1).Row(0)
			for i := range seen {
				seen[i] = int32(i % (nr + 1))
			}
			base2 := make([]float32, n)
			for i := range base2 {
				base2[i] = lse[i] * log2e
			}
			softmaxGrad(p[:n*nr], ds[:n*nr], nr, nr, seen, scale, base2, delta[:n])
			for i := range n {
				for j := range nr {
					prob := 0.0
					if j < int(seen[i]) {
						prob = math.Exp(float64(s[i*nr+j])*scale - float64(lse[i]))
					}
					within(t, "p", float64(p[i*nr+j]), prob, 1e-6)
					within(t, "ds", float64(ds[i*nr+j]), prob*(float64(d[i*nr+j])-float64(delta[i]))*scale, 1e-6)
				}
			}
			if p[n*nr] != s[n*nr] || ds[n*nr] != d[n*nr] {
				t.Fatal("what follows the panel changed")
			}
		}
	})
}
