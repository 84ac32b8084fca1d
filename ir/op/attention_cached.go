package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// Causal attention of the next rows of one sequence over all rows so far: the
// keys and values of row i go to row pos[i] of the caches, where those of the
// rows before lie, and query i reads the rows up to its own. pos ascends.
func init() {
	ir.Register(&ir.Op{
		Name: "cached_attention", NoAscend: "texts are generated without caches there: function next is left out", Doc: "k and v are written to rows pos of the caches; o = softmax(scale·q·kᵀ)·v over the rows of the caches up to pos",
		Args: []string{"q", "k", "v", "pos", "keys", "values"}, Kernel: "CachedAttention", Place: placeCached, Writes: []int{4, 5},
		Attrs: []ir.AttrSpec{
			{Name: "heads", Kind: ir.DimAttr, Required: true},
			{Name: "kv_heads", Kind: ir.DimAttr, Required: true},
			{Name: "scale", Kind: ir.FloatAttr, Required: true},
		},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			t, qc, err := matrix(s, 0)
			kr, kc, err2 := matrix(s, 1)
			_, cc, err3 := matrix(s, 4)
			if err = all(err, err2, err3, same(s, 2, 1), same(s, 5, 4), want(s, 3, i32(t))); err != nil {
				return nil, err
			}
			heads, kv := s.Attrs.Int("heads"), s.Attrs.Int("kv_heads")
			if !kr.Same(t) || !cc.Same(kc) || heads <= 0 || kv <= 0 || heads%kv != 0 || qc.N%heads != 0 || kc.N*heads != qc.N*kv {
				return nil, fmt.Errorf("%d query heads and %d key heads do not fit %s, %s and a cache of %s", heads, kv, s.Args[0].Type(), s.Args[1].Type(), s.Args[4].Type())
			}
			return []ir.Type{f32(t, qc)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			heads, kv, scale := c.S.Attrs.Int("heads"), c.S.Attrs.Int("kv_heads"), c.S.Attrs.Float("scale")
			width := c.In[1].Cols()
			hd := width / kv
			for i, at := range c.In[3].I {
				copy(c.In[4].F[int(at)*width:], c.In[1].Row(i))
				copy(c.In[5].F[int(at)*width:], c.In[2].Row(i))
			}
			for i, at := range c.In[3].I {
				for h := range heads {
					g := h * kv / heads
					q := c.In[0].Row(i)[h*hd : (h+1)*hd]
					p := make([]float64, at+1)
					sum := 0.0
					for j := range p {
						p[j] = math.Exp(scale * dot(q, c.In[4].F[j*width+g*hd:j*width+(g+1)*hd]))
						sum += p[j]
					}
					for j := range p {
						axpy(c.Out[0].Row(i)[h*hd:(h+1)*hd], p[j]/sum, c.In[5].F[j*width+g*hd:j*width+(g+1)*hd])
					}
				}
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			rows, _, _ := matrix(s, 0)
			_, width, _ := matrix(s, 0)
			return []ir.Work{{Group: "attention", FLOPs: 4 * float64(env.Size(rows)) * float64(env.Size(width)) * float64(env.Size(s.Args[4].Type().Shape[0]))}}
		},
	})
}
