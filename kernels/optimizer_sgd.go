package kernels

import "math"

// SGDStep is one step of gradient descent. Decay is added to the gradient.
type SGDStep struct {
	LR, WeightDecay     float64
	GradScale           Scalar
	Step                int // from 1
	Momentum, Dampening float64
	Nesterov            bool
	Accum               float64 // where Adagrad's sum of squares begins
}

// SGD: p ← p − lr·(g + wd·p).
func (c *Context) SGD(p, g Vec, o SGDStep) {
	check(len(g) == len(p), "sgd", len(p), len(g))
	lr, wd, scale := float32(o.LR), float32(o.WeightDecay), float32(o.GradScale)
	c.rowTasks(len(p), 4096, func(from, to int) {
		for i := from; i < to; i++ {
			p[i] -= lr * (g[i]*scale + wd*p[i])
		}
	})
}

// Momentum: v ← μ·v + (1−dampening)·(g + wd·p), in the first step without the
// dampening; p ← p − lr·v, with Nesterov p − lr·(g + wd·p + μ·v).
func (c *Context) Momentum(p, g, v Vec, o SGDStep) {
	check(len(g) == len(p) && len(v) == len(p), "momentum", len(p), len(g), len(v))
	lr, wd, scale := float32(o.LR), float32(o.WeightDecay), float32(o.GradScale)
	mu, share := float32(o.Momentum), float32(1-o.Dampening)
	if o.Step == 1 {
		share = 1
	}
	c.rowTasks(len(p), 4096, func(from, to int) {
		for i := from; i < to; i++ {
			gi := g[i]*scale + wd*p[i]
			vi := mu*v[i] + share*gi
			v[i] = vi
			if o.Nesterov {
				vi = gi + mu*vi
			}
			p[i] -= lr * vi
		}
	})
}

// Adagrad: h ← h + (g + wd·p)²; p ← p − lr·(g + wd·p)/√h. The first step sets
// h to o.Accum before it adds.
func (c *Context) Adagrad(p, g, h Vec, o SGDStep) {
	check(len(g) == len(p) && len(h) == len(p), "adagrad", len(p), len(g), len(h))
	lr, wd, scale := float32(o.LR), float32(o.WeightDecay), float32(o.GradScale)
	c.rowTasks(len(p), 4096, func(from, to int) {
		for i := from; i < to; i++ {
			gi, hi := g[i]*scale+wd*p[i], h[i]
			if o.Step == 1 {
				hi = float32(o.Accum)
			}
			hi += gi * gi
			h[i] = hi
			if hi > 0 {
				p[i] -= lr * gi / float32(math.Sqrt(float64(hi)))
			}
		}
	})
}
