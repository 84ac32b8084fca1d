package ascend_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/device"
)

func scalar(x float64) *ir.Array { return &ir.Array{F: []float64{x}} }

func TestSumsAndClip(t *testing.T) {
	r := newRig(t)
	for _, n := range []int{1, 7, 64, 65, 4096, 4097, 100_003} {
		for _, scale := range []float64{1, 1e-15, 1e15} {
			x := normals(uint64(n), n, scale)
			px, parts := r.f32(x), (n+4095)/4096
			partial, norm := r.result(4*parts), r.result(4)
			r.run("sum_squares", []int{1, 7, 48}, []result{partial}, partial.ptr, px, n)
			got := f32Values(r.run("norm", []int{1, 5}, []result{norm}, norm.ptr, partial.ptr, parts)[0])
			want := scalar(0)
			evaluate("norm", nil, []*ir.Array{want}, vector(x))
			near(t, fmt.Sprint("norm of ", n), got, want.F, 1e-6, nil)
			sum := f32Values(r.run("row_sum", []int{1, 5}, []result{norm}, norm.ptr, px, n)[0])
			total, terms := 0.0, 0.0
			for _, v := range x {
				total, terms = total+v, terms+math.Abs(v)
			}
			near(t, fmt.Sprint("sum of ", n), sum, []float64{total}, 1e-6, func(int) float64 { return terms })
		}
	}
	for _, rule := range []string{"torch", "mindformers"} {
		for _, norm := range []float64{0, 1e-3, 0.9999, 1, 1.5, 1e6} {
			coef, want := r.result(4), scalar(0)
			torch := 0
			if rule == "torch" {
				torch = 1
			}
			got := f32Values(r.run("clip", []int{1, 3}, []result{coef}, coef.ptr, r.f32([]float64{norm}), float32(1), torch)[0])
			evaluate("clip", ir.Attrs{"max": 1.0, "rule": rule}, []*ir.Array{want}, scalar(norm))
			near(t, fmt.Sprintf("clip of %g by %s", norm, rule), got, want.F, 2e-7, nil)
		}
	}
}

func TestScaleAndZero(t *testing.T) {
	r := newRig(t)
	for _, n := range []int{1, 127, 8192, 30_001} {
		x := normals(1, n, 1)
		p := r.f32(x)
		r.ok(r.d.Launch("scale_f32", 5, p, n, float32(0.1)))
		r.ok(r.d.Sync())
		for i := range x {
			x[i] = float64(float32(x[i]) * float32(0.1))
		}
		near(t, "scale", f32Values(r.read(p, 4*n)), x, 0, nil)
		a, b, y := normals(2, n, 1), normals(3, n, 1e3), r.result(4*n)
		sum := r.run("add_f32", []int{1, 7}, []result{y}, y.ptr, r.f32(a), r.f32(b), n)[0]
		for i := range a {
			a[i] = float64(float32(a[i]) + float32(b[i]))
		}
		near(t, "add", f32Values(sum), a, 0, nil)
		for _, size := range []int{4 * n, n} {
			z := r.result(size)
			if got := r.run("zero", []int{1, 7}, []result{z}, z.ptr, size)[0]; !bytes.Equal(got, make([]byte, size)) {
				t.Fatalf("zero of %d bytes: %v", size, got[:8])
			}
		}
	}
}

// adamArgs are the constants of a step, as kernels.Context.AdamW computes them.
func adamArgs(o kernels.AdamStep, s float64) []any {
	rate, root := float32(o.LR), float32(1)
	if o.Torch {
		rate = float32(o.LR / (1 - math.Pow(o.Beta1, float64(o.Step))))
		root = float32(1 / math.Sqrt(1-math.Pow(o.Beta2, float64(o.Step))))
	}
	return []any{float32(o.Beta1), float32(1 - o.Beta1), float32(o.Beta2), float32(1 - o.Beta2), root, float32(o.Eps), rate, float32(o.LR * o.WeightDecay), float32(s)}
}

func TestAdamW(t *testing.T) {
	for _, l := range lowTypes {
		for _, rule := range []string{"torch", "mindformers"} {
			for _, n := range []int{1, 100, 2048, 12_345} {
				t.Run(fmt.Sprintf("%s/%s/%d", l.name, rule, n), func(t *testing.T) {
					r := newRig(t)
					p, g, m, v := normals(1, n, 0.02), normals(2, n, 1e-2), normals(3, n, 1e-3), normals(4, n, 1)
					for i := range v {
						v[i] = float64(float32(v[i] * v[i] * 1e-6))
						switch {
						case i%5 == 1:
							g[i] = 0
						case i%5 == 2:
							m[i], v[i] = 0, 0
						case i%5 == 3:
							g[i] *= 1e-6
						case i%5 == 4:
							g[i] *= 1e4
						}
					}
					const coef, s = 0.25, 3.0
					o := kernels.AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, Step: 3, Torch: rule == "torch"}
					wp, wg, wm, wv := vector(append([]float64{}, p...)), vector(g), vector(append([]float64{}, m...)), vector(append([]float64{}, v...))
					attrs := ir.Attrs{"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.1, "rule": rule}
					evaluate("adamw", attrs, nil, wp, wg, wm, wv, scalar(o.LR), &ir.Array{I: []int64{3}}, scalar(coef))

					var first [][]byte
					for _, blocks := range []int{1, 3, 40} {
						pp, pm, pv := r.f32(p), r.f32(m), r.f32(v)
						low, scaled := r.result(2*n), r.result(2*n)
						r.ok(r.d.Launch("adamw_"+l.name, blocks, append([]any{pp, r.f32(g), pm, pv, low.ptr, scaled.ptr, r.f32([]float64{coef}), n}, adamArgs(o, s)...)...))
						r.ok(r.d.Sync())
						got := [][]byte{r.read(pp, 4*n), r.read(pm, 4*n), r.read(pv, 4*n), r.read(low.ptr, 2*n), r.read(scaled.ptr, 2*n)}
						for i := range first {
							if !bytes.Equal(first[i], got[i]) {
								t.Fatalf("result %d differs between 1 and %d blocks", i, blocks)
							}
						}
						first = got
					}
					near(t, "p", f32Values(first[0]), wp.F, 3e-7, func(i int) float64 { return math.Abs(p[i]) + math.Abs(wp.F[i]-p[i]) })
					near(t, "m", f32Values(first[1]), wm.F, 3e-7, func(i int) float64 { return math.Abs(m[i]) + math.Abs(g[i]) })
					near(t, "v", f32Values(first[2]), wv.F, 5e-7, nil)
					ps, scaled := f32Values(first[0]), make([]float64, n)
					for i := range ps {
						scaled[i], ps[i] = l.round(float64(float32(ps[i])*s)), l.round(ps[i])
					}
					l.within(t, "low", l.values(first[3]), ps, 0, nil)
					l.within(t, "scaled", l.values(first[4]), scaled, 0, nil)

					// without copies and coefficient
					pp, pm, pv := r.f32(p), r.f32(m), r.f32(v)
					half := make([]float64, n)
					for i := range g {
						half[i] = g[i] * coef
					}
					none := device.Ptr(0)
					r.ok(r.d.Launch("adamw_"+l.name, 2, append([]any{pp, r.f32(half), pm, pv, none, none, none, n}, adamArgs(o, s)...)...))
					r.ok(r.d.Sync())
					if !bytes.Equal(r.read(pp, 4*n), first[0]) {
						t.Fatal("p differs without copies and coefficient")
					}
				})
			}
		}
	}
}
