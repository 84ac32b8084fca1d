package op

import (
	"math"

	"lorac/ir"
)

// adam is Adam with bias correction, the decay added to the gradient
// (Kingma & Ba 2015; MindSpore nn/optim/adam.py). AdamW's two forms are `adamw`.
func init() {
	ir.Register(&ir.Op{
		Name: "adam", NoAscend: otherOptimizer, Doc: "one Adam step t (from 1): g += weight_decay·p; p −= lr·√(1−β2ᵗ)/(1−β1ᵗ)·m/(√v+eps), with nesterov β1·m+(1−β1)·g in place of m",
		Args: []string{"param", "grad", "m", "v", "lr", "t", "coef"}, Optional: 1, Kernel: "Adam", Place: alike, Shares: true, Writes: []int{0, 2, 3},
		Attrs: []ir.AttrSpec{
			{Name: "beta1", Kind: ir.FloatAttr, Required: true}, {Name: "beta2", Kind: ir.FloatAttr, Required: true},
			{Name: "eps", Kind: ir.FloatAttr, Required: true}, {Name: "weight_decay", Kind: ir.FloatAttr, Required: true}, lrRatio,
			{Name: "nesterov", Kind: ir.BoolAttr, Required: true},
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), same(s, 3, 0), stepArgs(s, 4))
		},
		Eval: func(c *ir.EvalCtx) {
			a := c.S.Attrs
			b1, b2, eps, wd := a.Float("beta1"), a.Float("beta2"), a.Float("eps"), a.Float("weight_decay")
			lr, t, coef := evalStep(c, 4)
			rate := lr * math.Sqrt(1-math.Pow(b2, t)) / (1 - math.Pow(b1, t))
			for i := range c.In[0].F {
				p, m, v := &c.In[0].F[i], &c.In[2].F[i], &c.In[3].F[i]
				g := c.In[1].F[i]*coef + wd**p
				*m = b1**m + (1-b1)*g
				*v = b2**v + (1-b2)*g*g
				u := *m
				if a.Bool("nesterov") {
					u = b1*u + (1-b1)*g
				}
				*p -= rate * u / (math.Sqrt(*v) + eps)
			}
		},
	})
}

// stepArgs checks the last operands of an optimizer's op: the rate, the number
// of the step, and the clip coefficient if there is one.
func stepArgs(s *ir.Stmt, at int) error {
	err := all(want(s, at, ir.Scalar(ir.F32)), want(s, at+1, ir.Scalar(ir.I32)))
	if err == nil && len(s.Args) > at+2 {
		err = want(s, at+2, ir.Scalar(ir.F32))
	}
	return err
}

func evalStep(c *ir.EvalCtx, at int) (lr, t, coef float64) {
	if coef = 1; len(c.In) > at+2 {
		coef = c.In[at+2].F[0]
	}
	return c.In[at].F[0] * ratioOf(c.S.Attrs), float64(c.In[at+1].I[0]), coef
}
