package kernels

import (
	"math"
	"testing"
)

// Two steps of one parameter p = 1 with gradients 0.1 and −0.05, by hand.
func TestOptimizerGoldens(t *testing.T) {
	step := func(i int) AdamStep {
		return AdamStep{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, GradScale: 1, Step: i}
	}
	s, m, v := []float32{0}, []float32{0}, []float32{0}
	for _, c := range []struct {
		name string
		do   func(p, g []float32, i int)
		want [2]float64
	}{
		// p − 0.1·(g + 0.01·p): 1 − 0.1·0.11; then −0.05 + 0.00989.
		{"SGD", func(p, g []float32, i int) { ctx.SGD(p, g, SGDStep{LR: 0.1, WeightDecay: 0.01, GradScale: 1, Step: i}) }, [2]float64{0.989, 0.989 + 0.1*0.04011}},
		// v₁ = 0.1 undamped, v₂ = 0.9·0.1 − 0.5·0.05 = 0.065.
		{"Momentum", func(p, g []float32, i int) {
			ctx.Momentum(p, g, s, SGDStep{LR: 0.1, Momentum: 0.9, Dampening: 0.5, GradScale: 1, Step: i})
		}, [2]float64{0.99, 0.99 - 0.0065}},
		// v₁ = 0.1: p −= 0.1·(0.1 + 0.09); v₂ = 0.04: p −= 0.1·(−0.05 + 0.036).
		{"Nesterov", func(p, g []float32, i int) {
			ctx.Momentum(p, g, s, SGDStep{LR: 0.1, Momentum: 0.9, Nesterov: true, GradScale: 1, Step: i})
		}, [2]float64{0.981, 0.981 + 0.0014}},
		// h₁ = 0.11, h₂ = 0.1125.
		{"Adagrad", func(p, g []float32, i int) { ctx.Adagrad(p, g, s, SGDStep{LR: 0.1, Accum: 0.1, GradScale: 1, Step: i}) },
			[2]float64{1 - 0.01/math.Sqrt(0.11), 1 - 0.01/math.Sqrt(0.11) + 0.005/math.Sqrt(0.1125)}},
		// The first step of Adam is lr·sign(g); then m = 0.004, v = 1.249e-5, rate = lr·√0.001999/0.19.
		{"Adam", func(p, g []float32, i int) { ctx.Adam(p, g, m, v, step(i)) },
			[2]float64{0.99, 0.99 - 1e-2*math.Sqrt(0.001999)/0.19*0.004/math.Sqrt(1.249e-5)}},
		// Nesterov's first direction is (0.9·0.01 + 0.1·0.1)/0.01 = 1.9 times as long; then 0.9·0.004 − 0.1·0.05 = −0.0014.
		{"Adam nesterov", func(p, g []float32, i int) {
			o := step(i)
			o.Nesterov = true
			ctx.Adam(p, g, m, v, o)
		},
			[2]float64{0.981, 0.981 + 1e-2*math.Sqrt(0.001999)/0.19*0.0014/math.Sqrt(1.249e-5)}},
		// Of a single number the trust ratio leaves the sign of the update only: p −= lr·p·sign(u).
		{"Lamb", func(p, g []float32, i int) { ctx.Lamb(p, g, m, v, 1, step(i)) }, [2]float64{0.99, 0.99 * 0.99}},
		// u = g/√s with β = 0, clipped to 1; m = 0.1·0.01·1. Then β = 1 − 2^−0.8, s = β·0.01 + (1−β)·0.0025.
		{"Adafactor", func(p, g []float32, i int) {
			ctx.Adafactor(p, g, m, v, nil, FactoredStep{LR: 0.01, GradScale: 1, Step: i, Cols: 1, Eps1: 1e-30, Eps2: 1e-3, ClipThreshold: 1, DecayRate: 0.8, Beta1: 0.9})
		}, func() [2]float64 {
			b := 1 - math.Pow(2, -0.8)
			u := -0.05 / math.Sqrt(b*0.01+(1-b)*0.0025)
			return [2]float64{0.999, 0.999 - (0.9*0.001 + 0.1*0.01*u)}
		}()},
		// The same u; m = 0.1·1, p −= 0.01·m.
		{"Came", func(p, g []float32, i int) {
			ctx.Came(p, g, m, v, nil, nil, nil, FactoredStep{LR: 0.01, GradScale: 1, Step: i, Cols: 1, Eps1: 1e-30, Eps2: 1e-3, Eps3: 1e-16, ClipThreshold: 1, DecayRate: 0.8, Beta1: 0.9, Beta3: 0.99})
		}, func() [2]float64 {
			b := 1 - math.Pow(2, -0.8)
			u := -0.05 / math.Sqrt(b*0.01+(1-b)*0.0025)
			return [2]float64{0.999, 0.999 - 0.01*(0.9*0.1+0.1*u)}
		}()},
	} {
		p := []float32{1}
		s[0], m[0], v[0] = 0, 0, 0
		for i, g := range []float32{0.1, -0.05} {
			if c.do(p, []float32{g}, i+1); math.Abs(float64(p[0])-c.want[i]) > 3e-7 {
				t.Errorf("%s, step %d: %v, want %v", c.name, i+1, p[0], c.want[i])
			}
		}
	}
}

// A matrix of rank one is what row and column means represent exactly: g = aᵢ·bⱼ
// gives u = sign(g) in the first step, so p moves by the rate everywhere.
func TestFactoredIsExactForRankOne(t *testing.T) {
	a, b := []float64{1, 2, -3}, []float64{0.5, -1, 4, 0.25}
	const rows, cols, layers = 3, 4, 2
	n := rows * cols
	o := FactoredStep{LR: 0.01, GradScale: 0.5, Step: 1, Rows: rows, Cols: cols, Eps1: 1e-30, Eps2: 1e-3, Eps3: 1e-16, ClipThreshold: 1, DecayRate: 0.8, Beta1: 0.9, Beta3: 0.99, WeightDecay: 0.1}
	g := make([]float32, layers*n)
	sign := make([]float64, layers*n)
	for k := range layers {
		for i := range a {
			for j := range b {
				g[k*n+i*cols+j] = float32(float64(k+1) * a[i] * b[j])
				sign[k*n+i*cols+j] = math.Copysign(1, a[i]*b[j])
			}
		}
	}
	vec := func(n int) []float32 { return make([]float32, layers*n) }
	for name, do := range map[string]func(p []float32){
		"Adafactor": func(p []float32) { ctx.Adafactor(p, append([]float32(nil), g...), vec(n), vec(rows), vec(cols), o) },
		"Came": func(p []float32) {
			// u − m = 0.9·sign(u) everywhere, so the instability is 0.01·0.81 in every place
			// and the update 0.1·sign/√0.0081 of the rate.
			ctx.Came(p, append([]float32(nil), g...), vec(n), vec(rows), vec(cols), vec(rows), vec(cols), o)
		},
	} {
		p := vec(n)
		for i := range p {
			p[i] = 2
		}
		do(p)
		size := map[string]float64{"Adafactor": 0.1, "Came": 0.1 / math.Sqrt(0.0081)}[name]
		nearVec(t, name, p, 1e-6, func(i int) float64 { return 2*(1-0.01*0.1) - 0.01*size*sign[i] })
	}
}

// The rate of relative steps: min(10⁻², 1/√t), or min(10⁻⁶·t, 1/√t), times the parameter's size.
func TestRelativeStep(t *testing.T) {
	p := []float32{3, 4} // rms √12.5
	for _, c := range []struct {
		o    FactoredStep
		want float64
	}{
		{FactoredStep{LR: 7, Step: 100, RelativeStep: true}, 0.01},
		{FactoredStep{LR: 7, Step: 40000, RelativeStep: true}, 0.005},
		{FactoredStep{LR: 7, Step: 50, RelativeStep: true, WarmupInit: true}, 5e-5},
		{FactoredStep{LR: 2, Step: 1, ScaleParameter: true, Eps2: 1e-3}, 2 * math.Sqrt(12.5)},
		{FactoredStep{LR: 2, Step: 1, ScaleParameter: true, Eps2: 10}, 20},
	} {
		if got := ctx.rate(c.o, p); math.Abs(got-c.want) > 1e-9*c.want {
			t.Errorf("%+v: %v, want %v", c.o, got, c.want)
		}
	}
}

// No optimizer's result depends on the number of threads.
func TestOptimizersOnAnyThreads(t *testing.T) {
	const rows, cols = 67, 131
	n := rows * cols
	all := func() []Mat {
		var out []Mat
		run := func(do func(p, g, m, v []float32)) {
			p, g, m, v := randSeeded(1, 2*n), randSeeded(2, 2*n), randSeeded(3, 2*n), randSeeded(4, 2*n)
			for i := range v {
				v[i] *= v[i]
			}
			do(p, g, m, v)
			out = append(out, vec(p), vec(m), vec(v))
		}
		o := FactoredStep{LR: 0.1, GradScale: 1, Step: 2, Rows: rows, Cols: cols, Eps1: 1e-30, Eps2: 1e-3, Eps3: 1e-16, ClipThreshold: 1, DecayRate: 0.8, Beta1: 0.9, Beta3: 0.99, ScaleParameter: true}
		run(func(p, g, m, v []float32) {
			ctx.Lamb(p, g, m, v, n, AdamStep{LR: 0.1, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, GradScale: 1, Step: 2})
		})
		run(func(p, g, m, v []float32) { ctx.Adafactor(p, g, m, v[:2*rows], v[2*rows:2*(rows+cols)], o) })
		run(func(p, g, m, v []float32) {
			ctx.Came(p, g, m, v[:2*rows], v[2*rows:2*(rows+cols)], v[500:500+2*rows], v[1000:1000+2*cols], o)
		})
		return out
	}
	defer setThreads(ctx.Threads())
	setThreads(1)
	want := bits(all())
	for _, threads := range []int{2, 3} {
		setThreads(threads)
		sameBits(t, "optimizers", bits(all()), want)
	}
}

func randSeeded(seed uint64, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*6364136223846793005 + 1442695040888963407
		x[i] = float32(int32(seed>>33)-1<<30) / (1 << 30)
	}
	return x
}
