package ascend

import (
	"math"
	"slices"
)

// AdamStep is one step of AdamW: see package kernels.
type AdamStep struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	GradScale                          Scalar // what gradients are multiplied by: the clip coefficient
	Step                               int    // from 1
	Torch                              bool
}

// Copy is 16-bit copies of a parameter, times a scale: what the cube multiplies
// with. The optimizer writes them with the parameter.
type Copy struct {
	Mat   // all layers, one after the other
	Scale float32
}

// AdamW updates p and the moments m and v from the gradient g, and the copies of p:
// one of scale 1 and one of another.
func (c *Context) AdamW(p, g, m, v Vec, o AdamStep, copies ...Copy) {
	check(g.N == p.N && m.N == p.N && v.N == p.N && len(copies) <= 2, "adamw", p.N, g.N, m.N, v.N)
	var low, scaled Copy
	d := BF16
	for _, x := range copies {
		check(x.Rows*x.Cols == p.N, "adamw: copy", x.Mat, p.N)
		d = x.DType
		if x.Scale == 1 {
			low = x
		} else {
			scaled = x
		}
	}
	rate, root, decay := o.LR, 1.0, o.LR*o.WeightDecay
	if o.Torch {
		rate = o.LR / (1 - math.Pow(o.Beta1, float64(o.Step)))
		root = 1 / math.Sqrt(1-math.Pow(o.Beta2, float64(o.Step)))
	}
	check(o.GradScale.at != 0 || o.GradScale.known == 1, "adamw: gradient scale", o.GradScale.known)
	c.vector("AdamW", of("adamw", d), blocksOf(p.N, element), p.At, g.At, m.At, v.At, low.At, scaled.At, o.GradScale.at, word(p.N),
		bits(o.Beta1), bits(1-o.Beta1), bits(o.Beta2), bits(1-o.Beta2), bits(root), bits(o.Eps), bits(rate), bits(decay), bits(float64(scaled.Scale)))
}

// Narrow writes a copy of p again.
func (c *Context) Narrow(y Copy, p Vec) {
	check(y.Rows*y.Cols == p.N, "narrow", y.Mat, p.N)
	c.vector("Narrow", of("narrow", y.DType), blocksOf(p.N, element), y.At, p.At, word(p.N), bits(float64(y.Scale)))
}

// normTile is how many squares are a partial sum.
const normTile = 4096

// keptNorm is a norm that may be asked for again.
type keptNorm struct {
	norm     Scalar
	of       []Vec
	launches int // of the context when it was kept
}

// Keep has Norm give a norm of the same vectors again, as long as no kernel runs. A
// program that checks gradients before the optimizer runs neither computes nor waits
// for their norm twice.
func (c *Context) Keep(norm Scalar, xs ...Vec) {
	c.kept = keptNorm{norm, slices.Clone(xs), c.launches}
}

// Norm = √Σ x² over all given vectors.
func (c *Context) Norm(xs ...Vec) Scalar {
	if k := &c.kept; k.launches == c.launches && len(xs) > 0 && slices.Equal(k.of, xs) {
		return k.norm
	}
	tiles := 0
	for _, x := range xs {
		tiles += blocksOf(x.N, normTile)
	}
	part := c.temps(tiles * 4)[0]
	at := part
	for _, x := range xs {
		if x.N == 0 {
			continue
		}
		n := blocksOf(x.N, normTile)
		c.vector("Norm", "sum_squares", n, at, x.At, word(x.N))
		at += Ptr(n * 4)
	}
	out := c.slot()
	c.vector("Norm", "norm", 1, out.at, part, word(tiles))
	return out
}

// Clip is what gradients of the given norm are multiplied by to stay within limit.
func (c *Context) Clip(norm Scalar, limit float64, torch bool) Scalar {
	out := c.slot()
	rule := 0
	if torch {
		rule = 1
	}
	c.vector("Clip", "clip", 1, out.at, norm.at, bits(limit), word(rule))
	return out
}

// Clear sets all elements to zero.
func (c *Context) Clear(xs ...Vec) {
	for _, x := range xs {
		if x.N > 0 {
			c.vector("Clear", "zero", blocksOf(x.N, element), x.At, word(4*x.N))
		}
	}
}

// AddTo sets y to a + b; y may be either.
func (c *Context) AddTo(y, a, b Vec) {
	check(y.N == a.N && y.N == b.N, "add", y.N, a.N, b.N)
	if y.N > 0 {
		c.vector("AddTo", "add_f32", blocksOf(y.N, element), y.At, a.At, b.At, word(y.N))
	}
}

// Times multiplies a vector by a number.
func (c *Context) Times(x Vec, by float64) {
	if x.N > 0 {
		c.vector("Times", "scale_f32", blocksOf(x.N, element), x.At, word(x.N), bits(by))
	}
}
