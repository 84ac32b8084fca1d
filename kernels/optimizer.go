package kernels

import (
	"math"

	"lorac/kernels/simd"
)

// AdamStep is one step of AdamW, Adam or Lamb.
type AdamStep struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	GradScale                          Scalar // what gradients are multiplied by: the clip coefficient
	Step                               int    // from 1
	// AdamW's rule. Torch: decoupled decay and bias correction (Loshchilov & Hutter 2019):
	//	p ← p·(1−lr·wd); p ← p − lr/(1−β1ᵗ)·m/(√v/√(1−β2ᵗ)+eps)
	// else MindFormers' FP32StateAdamWeightDecay, which corrects nothing:
	//	p ← p − lr·(m/(√v+eps) + wd·p)
	Torch    bool
	Nesterov bool // Adam's
}

// AdamW updates p and the moments m and v from the gradient g.
func (c *Context) AdamW(p, g, m, v Vec, o AdamStep) {
	check(len(g) == len(p) && len(m) == len(p) && len(v) == len(p), "adamw", len(p), len(g), len(m), len(v))
	b1, b2, eps := float32(o.Beta1), float32(o.Beta2), float32(o.Eps)
	c1, c2 := float32(1-o.Beta1), float32(1-o.Beta2)
	scale := float32(o.GradScale)
	rate, root, decay := float32(o.LR), float32(1), float32(o.LR*o.WeightDecay)
	if o.Torch {
		rate = float32(o.LR / (1 - math.Pow(o.Beta1, float64(o.Step))))
		root = float32(1 / math.Sqrt(1-math.Pow(o.Beta2, float64(o.Step))))
	}
	consts := [9]float32{scale, b1, c1, b2, c2, root, eps, rate, decay}
	c.rowTasks(len(p), 4096, func(from, to int) {
		if has512 {
			simd.AdamW512(&p[from], &g[from], &m[from], &v[from], to-from, &consts)
			return
		}
		if done := eights(to - from); done > 0 {
			simd.AdamW8(&p[from], &g[from], &m[from], &v[from], done, &consts)
			from += done
		}
		for i := from; i < to; i++ {
			gi := g[i] * scale
			// Each operation is rounded, as in the assembly, where the processor could fuse two.
			mi := float32(b1*m[i]) + float32(c1*gi)
			vi := float32(b2*v[i]) + float32(c2*gi*gi)
			m[i], v[i] = mi, vi
			p[i] -= float32(decay*p[i]) + rate*mi/(float32(float32(math.Sqrt(float64(vi)))*root)+eps)
		}
	})
}

// Norm = √Σ x² over all given vectors, summed in blocks of fixed size.
func (c *Context) Norm(xs ...Vec) Scalar {
	sum := 0.0
	for _, x := range xs {
		for _, p := range c.BlockSquares(x) {
			sum += p
		}
	}
	return Scalar(math.Sqrt(sum))
}

// NormBlock is how many numbers one sum of BlockSquares is of; the last may be of fewer.
const NormBlock = 4096

// BlockSquares is Σ x² of each block of a vector. Sums of these have the bits of Norm.
func (c *Context) BlockSquares(x Vec) []float64 {
	part := make([]float64, (len(x)+NormBlock-1)/NormBlock)
	c.Parallel(len(part), func(_, t int) {
		piece := x[t*NormBlock : min((t+1)*NormBlock, len(x))]
		part[t] = sumSquares(piece, piece)
	})
	return part
}

// Clip is what gradients of the given norm are multiplied by to stay within
// limit. torch: min(1, limit/(norm+1e-6)). Otherwise as MindFormers, which
// multiplies by limit/(limit+1e-6) even below the limit.
func (c *Context) Clip(norm Scalar, limit float64, torch bool) Scalar {
	x := norm.Value()
	if !torch {
		x = max(x, limit)
	}
	return Scalar(min(1, limit/(x+1e-6)))
}

// Clear sets all elements to zero.
func (c *Context) Clear(xs ...Vec) {
	for _, x := range xs {
		clear(x)
	}
}
