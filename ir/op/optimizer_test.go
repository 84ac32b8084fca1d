package op

import (
	"fmt"
	"math"
	"testing"

	"lorac/ir"
	"lorac/kernels"
)

// TestOptimizerKernels holds every optimizer's kernel against its evaluator
// over several steps of the sample statements, on a storage of two layers.
func TestOptimizerKernels(t *testing.T) {
	const layers, rows, cols, steps = 2, 3, 4, 5
	const lr, coef = 0.02, 0.5
	n := rows * cols
	of := func(a ir.Attrs, step int) kernels.FactoredStep {
		return kernels.FactoredStep{LR: lr, GradScale: coef, Step: step, Rows: rows, Cols: cols, Eps1: a.Float("eps1"), Eps2: a.Float("eps2"),
			Eps3: a.Float("eps3"), ClipThreshold: a.Float("clip_threshold"), DecayRate: a.Float("decay_rate"), Beta1: a.Float("beta1"),
			Beta3: a.Float("beta3"), WeightDecay: a.Float("weight_decay"), ScaleParameter: a.Bool("scale_parameter")}
	}
	vector := func(o kernels.FactoredStep) kernels.FactoredStep { o.Rows, o.Cols = 0, n; return o }
	adam := func(a ir.Attrs, step int) kernels.AdamStep {
		return kernels.AdamStep{LR: lr, GradScale: coef, Step: step, Beta1: a.Float("beta1"), Beta2: a.Float("beta2"), Eps: a.Float("eps"), WeightDecay: a.Float("weight_decay")}
	}
	sgd := func(a ir.Attrs, step int) kernels.SGDStep {
		return kernels.SGDStep{LR: lr, GradScale: coef, Step: step, WeightDecay: a.Float("weight_decay"), Momentum: a.Float("momentum"),
			Dampening: a.Float("dampening"), Nesterov: a.Bool("nesterov"), Accum: a.Float("accum")}
	}
	for name, c := range map[string]struct {
		states []int // elements of each, in one layer
		kernel func(a ir.Attrs, step int, p, g []float32, s [][]float32)
	}{
		"sgd":      {nil, func(a ir.Attrs, k int, p, g []float32, s [][]float32) { cpu.SGD(p, g, sgd(a, k)) }},
		"momentum": {[]int{n}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) { cpu.Momentum(p, g, s[0], sgd(a, k)) }},
		"adagrad":  {[]int{n}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) { cpu.Adagrad(p, g, s[0], sgd(a, k)) }},
		"adam": {[]int{n, n}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) {
			o := adam(a, k)
			o.Nesterov = a.Bool("nesterov")
			cpu.Adam(p, g, s[0], s[1], o)
		}},
		"lamb": {[]int{n, n}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) { cpu.Lamb(p, g, s[0], s[1], n, adam(a, k)) }},
		"adafactor": {[]int{n, rows, cols}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) {
			cpu.Adafactor(p, g, s[0], s[1], s[2], of(a, k))
		}},
		"adafactor_vector": {[]int{n, n}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) {
			cpu.Adafactor(p, g, s[0], s[1], nil, vector(of(a, k)))
		}},
		"came": {[]int{n, rows, cols, rows, cols}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) {
			cpu.Came(p, g, s[0], s[1], s[2], s[3], s[4], of(a, k))
		}},
		"came_vector": {[]int{n, n}, func(a ir.Attrs, k int, p, g []float32, s [][]float32) {
			cpu.Came(p, g, s[0], s[1], nil, nil, nil, vector(of(a, k)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := parseSample(t, name)
			st := *s
			store := *s.Args[0].Storage
			store.Type = ir.Tensor(ir.F32, ir.N(rows), ir.N(cols))
			if len(c.states) == 2 && name != "adam" && name != "lamb" {
				store.Type = ir.Tensor(ir.F32, ir.N(n))
			}
			st.Args = append([]ir.Operand{ir.Ref(&store)}, s.Args[1:]...)
			array := func(n int) *ir.Array { return &ir.Array{F: make([]float64, n)} }
			p, g := array(layers*n), array(layers*n)
			p32, g32 := make([]float32, layers*n), make([]float32, layers*n)
			for i := range p.F {
				p32[i] = float32(math.Sin(float64(i)) + 0.1)
				p.F[i] = float64(p32[i])
			}
			ctx := &ir.EvalCtx{S: &st, In: []*ir.Array{p, g}}
			var states [][]float32
			for _, size := range c.states {
				ctx.In = append(ctx.In, array(layers*size))
				states = append(states, make([]float32, layers*size))
			}
			count := &ir.Array{I: []int64{0}}
			ctx.In = append(ctx.In, &ir.Array{F: []float64{lr}}, count, &ir.Array{F: []float64{coef}})
			for step := 1; step <= steps; step++ {
				for i := range g.F {
					g32[i] = float32(math.Cos(float64(i*step)) / float64(1+i/n))
					g.F[i] = float64(g32[i])
				}
				count.I[0] = int64(step)
				s.Op.Eval(ctx)
				c.kernel(s.Attrs, step, p32, g32, states)
				if d := farthest(p.F, p32); d > 3e-5 {
					t.Fatalf("step %d: parameters differ by %g", step, d)
				}
				for i := range states {
					if d := farthest(ctx.In[2+i].F, states[i]); d > 3e-5 {
						t.Fatalf("step %d: state %d differs by %g", step, i, d)
					}
				}
			}
			if fmt.Sprint(p.F[:2]) == fmt.Sprint([]float64{0.1, math.Sin(1) + 0.1}) {
				t.Error("nothing moved")
			}
		})
	}
}

func farthest(want []float64, got []float32) float64 {
	worst := 0.0
	for i, w := range want {
		if d := math.Abs(float64(got[i])-w) / max(1, math.Abs(w)); !(d <= worst) {
			worst = d
		}
	}
	return worst
}
