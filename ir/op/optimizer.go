package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

func init() {
	scalar := ir.Scalar(ir.F32)
	storages := func(s *ir.Stmt) error {
		for i, a := range s.Args {
			if a.Storage == nil {
				return fmt.Errorf("operand %d must be a storage, not %s", i, a)
			}
		}
		return nil
	}
	ir.Register(&ir.Op{
		Name: "accumulate", NoAscend: wholeMatrix, Doc: "grad += d", Args: []string{"grad", "d"}, Kernel: "Accumulate", Place: func(p *ir.Placing) ([]ir.Placement, error) { return p.In[1:2], nil }, Writes: []int{0},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return nil, want(s, 1, s.Args[0].Type()) },
		Eval:  func(c *ir.EvalCtx) { axpy(c.In[0].F, 1, c.In[1].F) },
	})
	ir.Register(&ir.Op{
		Name: "norm", Ascend: "sum_squares norm", Doc: "√Σ g² over all given gradients", Args: []string{"grad"}, Variadic: true, Kernel: "Norm", Place: undivided("sum_squares and root make the norm of what is cut"),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return []ir.Type{scalar}, storages(s) },
		Eval: func(c *ir.EvalCtx) {
			sum := 0.0
			for _, g := range c.In {
				sum += dot(g.F, g.F)
			}
			c.Out[0].F[0] = math.Sqrt(sum)
		},
	})
	ir.Register(&ir.Op{
		Name: "clip", Ascend: "clip", Doc: "what gradients are multiplied by; rule mindformers: min(1, max/(max(norm,max)+1e-6)), torch: min(1, max/(norm+1e-6))",
		Args: []string{"norm"}, Kernel: "Clip", Place: undivided("the norm is one number"),
		Formula: func(s *ir.Stmt) string {
			if s.Attrs.Str("rule") == "torch" {
				return "what gradients are multiplied by: min(1, max/(norm+1e-6))"
			}
			return "what gradients are multiplied by: min(1, max/(max(norm,max)+1e-6))"
		},
		Attrs: []ir.AttrSpec{{Name: "max", Kind: ir.FloatAttr, Required: true}, {Name: "rule", Kind: ir.StringAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return []ir.Type{scalar}, all(want(s, 0, scalar), checkRule(s)) },
		Eval: func(c *ir.EvalCtx) {
			limit, norm := c.S.Attrs.Float("max"), c.In[0].F[0]
			if c.S.Attrs.Str("rule") == "mindformers" {
				norm = max(norm, limit)
			}
			c.Out[0].F[0] = min(1, limit/(norm+1e-6))
		},
	})
	ir.Register(&ir.Op{
		Name: "adamw", Ascend: "adamw", Doc: "one AdamW step t (from 1); rule torch: decoupled decay and bias correction (Loshchilov & Hutter 2019), mindformers: neither corrects bias nor decouples (FP32StateAdamWeightDecay)",
		Args: []string{"param", "grad", "m", "v", "lr", "t", "coef", "copy"}, Optional: 2, Variadic: true, Kernel: "AdamW", Place: alike, Shares: true,
		WritesOf: func(s *ir.Stmt) []int {
			out := []int{0, 2, 3}
			for i := copiesAt(s); i < len(s.Args); i++ {
				out = append(out, i)
			}
			return out
		},
		Formula: func(s *ir.Stmt) string {
			if s.Attrs.Str("rule") == "torch" {
				return "AdamW with decoupled decay and bias correction (Loshchilov & Hutter 2019)"
			}
			return "AdamW as MindFormers' FP32StateAdamWeightDecay: neither bias correction nor decoupled decay"
		},
		Attrs: []ir.AttrSpec{
			{Name: "beta1", Kind: ir.FloatAttr, Required: true}, {Name: "beta2", Kind: ir.FloatAttr, Required: true},
			{Name: "eps", Kind: ir.FloatAttr, Required: true}, {Name: "weight_decay", Kind: ir.FloatAttr, Required: true},
			{Name: "rule", Kind: ir.StringAttr, Required: true}, lrRatio,
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			err := all(same(s, 1, 0), same(s, 2, 0), same(s, 3, 0), want(s, 4, scalar), want(s, 5, ir.Scalar(ir.I32)), checkRule(s))
			if err == nil && copiesAt(s) > 6 {
				err = want(s, 6, scalar)
			}
			for i := copiesAt(s); i < len(s.Args) && err == nil; i++ {
				err = checkCopy(s, i)
			}
			return nil, err
		},
		Eval: evalAdamW,
	})
	ir.Register(&ir.Op{
		Name: "zero", Ascend: "zero", Doc: "gradients back to zero", Args: []string{"grad"}, Variadic: true, Kernel: "Clear", Clears: true, Place: func(p *ir.Placing) ([]ir.Placement, error) { return p.In, nil },
		Infer: func(s *ir.Stmt) ([]ir.Type, error) { return nil, storages(s) },
		WritesOf: func(s *ir.Stmt) []int {
			out := make([]int, len(s.Args))
			for i := range out {
				out[i] = i
			}
			return out
		},
		Eval: func(c *ir.EvalCtx) {
			for _, g := range c.In {
				clear(g.F)
			}
		},
	})
}

// lrRatio is what an optimizer multiplies the learning rate by for its parameter; 1 if
// it is not given. LoRA+ has it for the factors B (Hayou et al. 2024).
var lrRatio = ir.AttrSpec{Name: "lr_ratio", Kind: ir.FloatAttr}

func ratioOf(a ir.Attrs) float64 {
	if a["lr_ratio"] == nil {
		return 1
	}
	return a.Float("lr_ratio")
}

// copiesAt is the operand of adamw at which the copies of the parameter begin:
// after the clip coefficient, where there is one.
func copiesAt(s *ir.Stmt) int {
	if len(s.Args) > 6 && s.Args[6].Storage == nil {
		return 7
	}
	return 6
}

// checkCopy checks that operand i is a copy of the parameter, operand 0.
func checkCopy(s *ir.Stmt, i int) error {
	c, p := s.Args[i].Storage, s.Args[0].Storage
	if c == nil || c.Kind != ir.Copy || p == nil || c.Attrs.Str("of") != p.Name {
		return fmt.Errorf("operand %s is no copy of %s", s.Args[i], s.Args[0])
	}
	return want(s, i, s.Args[0].Type())
}

func checkRule(s *ir.Stmt) error {
	if r := s.Attrs.Str("rule"); r != "mindformers" && r != "torch" {
		return fmt.Errorf("attribute `rule` is %s, not mindformers or torch", r)
	}
	return nil
}

func evalAdamW(c *ir.EvalCtx) {
	a := c.S.Attrs
	b1, b2, eps, wd := a.Float("beta1"), a.Float("beta2"), a.Float("eps"), a.Float("weight_decay")
	lr, t := c.In[4].F[0]*ratioOf(a), float64(c.In[5].I[0])
	coef, copies := 1.0, copiesAt(c.S)
	if copies > 6 {
		coef = c.In[6].F[0]
	}
	torch := a.Str("rule") == "torch"
	for i := range c.In[0].F {
		p, m, v := &c.In[0].F[i], &c.In[2].F[i], &c.In[3].F[i]
		g := c.In[1].F[i] * coef
		*m = b1**m + (1-b1)*g
		*v = b2**v + (1-b2)*g*g
		if torch {
			*p *= 1 - lr*wd
			*p -= lr / (1 - math.Pow(b1, t)) * *m / (math.Sqrt(*v)/math.Sqrt(1-math.Pow(b2, t)) + eps)
		} else {
			*p -= lr * (*m/(math.Sqrt(*v)+eps) + wd**p)
		}
	}
	for i := copies; i < len(c.In); i++ {
		s := c.S.Args[i].Storage
		c.In[i].CopyScaled(c.In[0], s.Attrs.Float("scale"))
		c.In[i].Round(s.Type.DType)
	}
}
