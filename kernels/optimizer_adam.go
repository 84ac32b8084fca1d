package kernels

import "math"

// Adam updates p and the moments m and v from the gradient g, decay added to
// the gradient:
//
//	p ← p − lr·√(1−β2ᵗ)/(1−β1ᵗ)·m/(√v+eps), with o.Nesterov β1·m+(1−β1)·g for m
func (c *Context) Adam(p, g, m, v Vec, o AdamStep) {
	check(len(g) == len(p) && len(m) == len(p) && len(v) == len(p), "adam", len(p), len(g), len(m), len(v))
	b1, b2, c1, c2 := float32(o.Beta1), float32(o.Beta2), float32(1-o.Beta1), float32(1-o.Beta2)
	eps, wd, scale := float32(o.Eps), float32(o.WeightDecay), float32(o.GradScale)
	t := float64(o.Step)
	rate := float32(o.LR * math.Sqrt(1-math.Pow(o.Beta2, t)) / (1 - math.Pow(o.Beta1, t)))
	c.rowTasks(len(p), 4096, func(from, to int) {
		for i := from; i < to; i++ {
			gi := g[i]*scale + wd*p[i]
			mi := b1*m[i] + c1*gi
			vi := b2*v[i] + c2*gi*gi
			m[i], v[i] = mi, vi
			if o.Nesterov {
				mi = b1*mi + c1*gi
			}
			p[i] -= rate * mi / (float32(math.Sqrt(float64(vi))) + eps)
		}
	})
}

// Lamb updates each of the tensors of n elements that p, g, m and v are made
// of: u = m̂/(√v̂+eps) + wd·p, p ← p − lr·‖p‖/‖u‖·u, the ratio 1 where a norm is
// 0. g is overwritten by u.
func (c *Context) Lamb(p, g, m, v Vec, n int, o AdamStep) {
	check(len(g) == len(p) && len(m) == len(p) && len(v) == len(p) && n > 0 && len(p)%n == 0, "lamb", len(p), len(g), len(m), len(v), n)
	b1, b2, c1, c2 := float32(o.Beta1), float32(o.Beta2), float32(1-o.Beta1), float32(1-o.Beta2)
	eps, wd, scale := float32(o.Eps), float32(o.WeightDecay), float32(o.GradScale)
	t := float64(o.Step)
	r1, r2 := float32(1/(1-math.Pow(o.Beta1, t))), float32(1/(1-math.Pow(o.Beta2, t)))
	c.rowTasks(len(p), 4096, func(from, to int) {
		for i := from; i < to; i++ {
			gi := g[i] * scale
			mi := b1*m[i] + c1*gi
			vi := b2*v[i] + c2*gi*gi
			m[i], v[i] = mi, vi
			g[i] = mi*r1/(float32(math.Sqrt(float64(vi*r2)))+eps) + wd*p[i]
		}
	})
	for at := 0; at < len(p); at += n {
		x, u := p[at:at+n], g[at:at+n]
		ratio := 1.0
		if px, pu := c.Norm(x), c.Norm(u); px > 0 && pu > 0 {
			ratio = (px / pu).Value()
		}
		rate := float32(o.LR * ratio)
		c.rowTasks(n, 4096, func(from, to int) {
			for i := from; i < to; i++ {
				x[i] -= rate * u[i]
			}
		})
	}
}
