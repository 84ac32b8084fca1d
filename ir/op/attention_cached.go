package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// Causal attention of the next rows of some texts over all their rows so far.
// Text n has the rows from starts[n] on, and the caches from row base[n] on: the
// keys and values of row i go to row base[n] + pos[i], where those of the rows
// before lie, and query i reads the rows up to its own. pos ascends in a text.
// Without starts and base there is one text, at row 0.
func init() {
	ir.Register(&ir.Op{
		Name: "cached_attention", NoAscend: "texts are generated without caches there: function next is left out", Doc: "k and v are written to rows base+pos of the caches; o = softmax(scale·q·kᵀ)·v over the rows of a text from its base to pos",
		Args: []string{"q", "k", "v", "pos", "keys", "values", "starts", "base"}, Optional: 2, Kernel: "CachedAttention", Place: placeCached, Writes: []int{4, 5},
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
			if len(s.Args) > 6 {
				if len(s.Args) != 8 {
					return nil, fmt.Errorf("starts and base come together")
				}
				n, err := shape(s, 6, 1)
				if err != nil {
					return nil, err
				}
				if err := all(want(s, 6, i32(n[0])), want(s, 7, i32(n[0]))); err != nil {
					return nil, err
				}
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
			base := make([]int, len(c.In[3].I)) // of each row's text
			if len(c.In) > 6 {
				for n, from := range c.In[6].I {
					for i := int(from); i < len(base); i++ {
						base[i] = int(c.In[7].I[n])
					}
				}
			}
			for i, at := range c.In[3].I {
				copy(c.In[4].F[(base[i]+int(at))*width:], c.In[1].Row(i))
				copy(c.In[5].F[(base[i]+int(at))*width:], c.In[2].Row(i))
			}
			for i, at := range c.In[3].I {
				keys, values := c.In[4].F[base[i]*width:], c.In[5].F[base[i]*width:]
				for h := range heads {
					g := h * kv / heads
					q := c.In[0].Row(i)[h*hd : (h+1)*hd]
					p := make([]float64, at+1)
					sum := 0.0
					for j := range p {
						p[j] = math.Exp(scale * dot(q, keys[j*width+g*hd:j*width+(g+1)*hd]))
						sum += p[j]
					}
					for j := range p {
						axpy(c.Out[0].Row(i)[h*hd:(h+1)*hd], p[j]/sum, values[j*width+g*hd:j*width+(g+1)*hd])
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
