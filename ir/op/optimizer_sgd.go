package op

import (
	"math"

	"lorac/ir"
)

// Gradient descent, plain and with momentum, and Adagrad (MindSpore
// nn/optim/{sgd,momentum,ada_grad}.py). The decay is added to the gradient.
func init() {
	decay := ir.AttrSpec{Name: "weight_decay", Kind: ir.FloatAttr, Required: true}
	ir.Register(&ir.Op{
		Name: "sgd", NoAscend: otherOptimizer, Doc: "p −= lr·(g + weight_decay·p)",
		Args: []string{"param", "grad", "lr", "t", "coef"}, Optional: 1, Kernel: "SGD", Place: alike, Shares: true, Writes: []int{0},
		Attrs: []ir.AttrSpec{decay, lrRatio},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return nil, all(same(s, 1, 0), stepArgs(s, 2)) },
		Eval: func(c *ir.EvalCtx) {
			wd := c.S.Attrs.Float("weight_decay")
			lr, _, coef := evalStep(c, 2)
			for i, g := range c.In[1].F {
				p := &c.In[0].F[i]
				*p -= lr * (g*coef + wd**p)
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "momentum", NoAscend: otherOptimizer, Doc: "g += weight_decay·p; v = momentum·v + (1−dampening)·g, in the first step v = g; p −= lr·v, with nesterov lr·(g + momentum·v)",
		Args: []string{"param", "grad", "v", "lr", "t", "coef"}, Optional: 1, Kernel: "Momentum", Place: alike, Shares: true, Writes: []int{0, 2},
		Attrs: []ir.AttrSpec{
			{Name: "momentum", Kind: ir.FloatAttr, Required: true}, {Name: "dampening", Kind: ir.FloatAttr, Required: true},
			decay, lrRatio, {Name: "nesterov", Kind: ir.BoolAttr, Required: true},
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), stepArgs(s, 3))
		},
		Eval: func(c *ir.EvalCtx) {
			a := c.S.Attrs
			mu, share, wd := a.Float("momentum"), 1-a.Float("dampening"), a.Float("weight_decay")
			lr, t, coef := evalStep(c, 3)
			if t == 1 {
				share = 1
			}
			for i := range c.In[0].F {
				p, v := &c.In[0].F[i], &c.In[2].F[i]
				g := c.In[1].F[i]*coef + wd**p
				*v = mu**v + share*g
				if a.Bool("nesterov") {
					*p -= lr * (g + mu**v)
				} else {
					*p -= lr * *v
				}
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "adagrad", NoAscend: otherOptimizer, Doc: "g += weight_decay·p; h += g², from accum on; p −= lr·g/√h (Duchi et al. 2011)",
		Args: []string{"param", "grad", "h", "lr", "t", "coef"}, Optional: 1, Kernel: "Adagrad", Place: alike, Shares: true, Writes: []int{0, 2},
		Attrs: []ir.AttrSpec{{Name: "accum", Kind: ir.FloatAttr, Required: true}, decay, lrRatio},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), stepArgs(s, 3))
		},
		Eval: func(c *ir.EvalCtx) {
			a := c.S.Attrs
			lr, t, coef := evalStep(c, 3)
			for i := range c.In[0].F {
				p, h := &c.In[0].F[i], &c.In[2].F[i]
				if t == 1 {
					*h = a.Float("accum")
				}
				g := c.In[1].F[i]*coef + a.Float("weight_decay")**p
				*h += g * g
				if *h > 0 {
					*p -= lr * g / math.Sqrt(*h)
				}
			}
		},
	})
}
