package op

import (
	"math"

	"lorac/ir"
)

// lamb is LAMB (You et al. 2020, algorithm 2, φ the identity; MindSpore
// nn/optim/lamb.py). Each tensor has a trust ratio of its own: each layer of a
// stacked storage.
func init() {
	ir.Register(&ir.Op{
		Name: "lamb", NoAscend: otherOptimizer, Doc: "one LAMB step t (from 1): u = m̂/(√v̂+eps) + weight_decay·p; p −= lr·‖p‖/‖u‖·u, the ratio 1 where a norm is 0",
		Args: []string{"param", "grad", "m", "v", "lr", "t", "coef"}, Optional: 1, Kernel: "Lamb", Place: tensors, Writes: []int{0, 2, 3},
		Attrs: []ir.AttrSpec{
			{Name: "beta1", Kind: ir.FloatAttr, Required: true}, {Name: "beta2", Kind: ir.FloatAttr, Required: true},
			{Name: "eps", Kind: ir.FloatAttr, Required: true}, {Name: "weight_decay", Kind: ir.FloatAttr, Required: true}, lrRatio,
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), same(s, 3, 0), stepArgs(s, 4))
		},
		Eval: func(c *ir.EvalCtx) {
			a := c.S.Attrs
			b1, b2, eps, wd := a.Float("beta1"), a.Float("beta2"), a.Float("eps"), a.Float("weight_decay")
			lr, t, coef := evalStep(c, 4)
			each := tensorLen(c)
			for from := 0; from < len(c.In[0].F); from += each {
				p, g, m, v := c.In[0].F[from:from+each], c.In[1].F[from:], c.In[2].F[from:], c.In[3].F[from:]
				u := make([]float64, each)
				for i := range p {
					m[i] = b1*m[i] + (1-b1)*g[i]*coef
					v[i] = b2*v[i] + (1-b2)*g[i]*coef*g[i]*coef
					u[i] = m[i]/(1-math.Pow(b1, t))/(math.Sqrt(v[i]/(1-math.Pow(b2, t)))+eps) + wd*p[i]
				}
				ratio := 1.0
				if pn, un := math.Sqrt(dot(p, p)), math.Sqrt(dot(u, u)); pn > 0 && un > 0 {
					ratio = pn / un
				}
				axpy(p, -lr*ratio, u)
			}
		},
	})
}

// tensorLen is how many elements one tensor of the first operand's storage has.
func tensorLen(c *ir.EvalCtx) int { return c.S.Args[0].Storage.Type.Elems(c.Env) }
