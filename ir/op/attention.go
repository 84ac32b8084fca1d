package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// Causal attention over sequences laid end to end. Sequence n begins at row
// starts[n] and ends where the next begins; query head h reads key/value head
// h/(heads/kv_heads) (Ainslie et al. 2023). With rows, query i stands at
// absolute row rows[i]. ^s in place of a start s says that the last row of that
// sequence does not see itself (forward only). lse is the log of the softmax denominator, from which
// the backward rebuilds the probabilities (Dao et al. 2022).

func init() {
	attrs := []ir.AttrSpec{
		{Name: "heads", Kind: ir.DimAttr, Required: true},
		{Name: "kv_heads", Kind: ir.DimAttr, Required: true},
		{Name: "scale", Kind: ir.FloatAttr, Required: true},
	}
	ir.Register(&ir.Op{
		Name: "attention", Ascend: "attention", Doc: "o = softmax(scale·q·kᵀ)·v, causal within each sequence; lse = log of the sum of exponentials of each row and head", Args: []string{"q", "k", "v", "starts", "rows"}, Optional: 1,
		Attrs: attrs, Kernel: "Attention", Place: letters("th,th,th,t,t->th,th"), Rowwise: []int{0}, AddRows: true,
		Exact: []int{1}, Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			if err := checkAttention(s, 0); err != nil {
				return nil, err
			}
			q := s.Args[0].Type()
			return []ir.Type{f32(q.Shape...), f32(q.Shape[0], s.Attrs.Dim("heads"))}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			a := newAttention(c, 0)
			a.each(func(i, h int, keys []int, p []float64, top, lse float64) {
				c.Out[1].Row(i)[h] = lse
				o := a.head(c.Out[0], i, h)
				for n, j := range keys {
					// A device multiplies exp(score − top) in 16 bits, and divides by the sum afterwards.
					axpy(o, c.Low.Nearest(p[n]*math.Exp(lse-top))*math.Exp(top-lse), a.kvHead(a.v, j, h))
				}
			})
		},
		Grad: func(g *ir.GradCtx) {
			args := []ir.Operand{ir.Val(g.D[0]), g.Arg(0), g.Arg(1), g.Arg(2), g.Result(0), g.Result(1), g.Arg(3)}
			if len(g.S.Args) > 4 {
				args = append(args, g.Arg(4))
			}
			d := g.Emit("attention_grad", []string{g.Name(0), g.Name(1), g.Name(2)}, g.S.Attrs.Clone(), args...)
			for i := range d {
				g.Add(i, d[i])
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			return []ir.Work{{Group: "attention", FLOPs: attentionFLOPs(s, env, 0)}}
		},
	})
	ir.Register(&ir.Op{
		Name: "attention_grad", Ascend: "attention_grad", Doc: "p = exp(scale·q·kᵀ − lse), dv = pᵀ·do, ds = p ∘ (do·vᵀ − rowsum(do ∘ o)), dq = scale·ds·k, dk = scale·dsᵀ·q; dk and dv sum over the query heads that share a key head", Args: []string{"d", "q", "k", "v", "o", "lse", "starts", "rows"}, Optional: 1,
		Attrs: attrs, Kernel: "AttentionGrad", Place: letters("th,th,th,th,th,th,t,t->th,th,th", []int{0}),
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			err := all(same(s, 0, 1), same(s, 4, 1))
			if err == nil {
				err = checkAttention(s, 1)
			}
			if err != nil {
				return nil, err
			}
			q, k, v := s.Args[1].Type(), s.Args[2].Type(), s.Args[3].Type()
			if err := want(s, 5, f32(q.Shape[0], s.Attrs.Dim("heads"))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(q.Shape...), f32(k.Shape...), f32(v.Shape...)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			a := newAttention(c, 1)
			d := c.In[0]
			a.each(func(i, h int, keys []int, p []float64, _, _ float64) {
				do := a.head(d, i, h)
				delta := dot(do, a.head(c.In[4], i, h))
				for n, j := range keys {
					axpy(a.kvHead(c.Out[2], j, h), c.Low.Nearest(p[n]), do)
					ds := c.Low.Nearest(p[n] * (dot(do, a.kvHead(a.v, j, h)) - delta) * a.scale)
					axpy(a.head(c.Out[0], i, h), ds, a.kvHead(a.k, j, h))
					axpy(a.kvHead(c.Out[1], j, h), ds, a.head(a.q, i, h))
				}
			})
		},
		// Five products where the forward has two: scores (recomputed), dv, dp, dq, dk.
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			return []ir.Work{{Group: "attention.grad", FLOPs: 2.5 * attentionFLOPs(s, env, 1)}}
		},
	})
}

// checkAttention checks q, k, v at operands at.., and starts, rows after them.
func checkAttention(s *ir.Stmt, at int) error {
	_, qc, err := matrix(s, at)
	if err != nil {
		return err
	}
	_, kc, err := matrix(s, at+1)
	if err = all(err, same(s, at+2, at+1)); err != nil {
		return err
	}
	heads, kv := s.Attrs.Int("heads"), s.Attrs.Int("kv_heads")
	if heads <= 0 || kv <= 0 || heads%kv != 0 || qc.N%heads != 0 || kc.N*heads != qc.N*kv {
		return fmt.Errorf("%d query heads and %d key heads do not fit %s and %s", heads, kv, s.Args[at].Type(), s.Args[at+1].Type())
	}
	starts := at + 3
	if at == 1 {
		starts = 6
	}
	if t := s.Args[starts].Type(); t.DType != ir.I32 || t.Rank() != 1 {
		return fmt.Errorf("operand %s must list the first rows, it is %s", s.Args[starts], t)
	}
	q, k := s.Args[at].Type().Shape[0], s.Args[at+1].Type().Shape[0]
	if len(s.Args) > starts+1 {
		return want(s, starts+1, i32(q))
	}
	if !q.Same(k) {
		return fmt.Errorf("%s rows of queries and %s of keys, but no row numbers", q, k)
	}
	return nil
}

// attentionFLOPs counts the two products of the forward over the causal half,
// for sequences of equal length.
func attentionFLOPs(s *ir.Stmt, env ir.Env, at int) float64 {
	q, k := s.Args[at].Type(), s.Args[at+1].Type()
	starts := s.Args[at+3].Type()
	if at == 1 {
		starts = s.Args[6].Type()
	}
	keys := float64(env.Size(k.Shape[0])) / float64(env.Size(starts.Shape[0])) / 2
	return 2 * 2 * float64(q.Elems(env)) * keys
}

// attention walks over query rows and heads.
type attention struct {
	q, k, v      *ir.Array
	starts, rows []int64
	heads, kv    int
	hd           int
	scale        float64
}

func newAttention(c *ir.EvalCtx, at int) *attention {
	a := &attention{q: c.In[at], k: c.In[at+1], v: c.In[at+2], heads: c.S.Attrs.Int("heads"), kv: c.S.Attrs.Int("kv_heads"), scale: c.S.Attrs.Float("scale")}
	starts := at + 3
	if at == 1 {
		starts = 6
	}
	a.starts = c.In[starts].I
	if len(c.In) > starts+1 {
		a.rows = c.In[starts+1].I
	}
	a.hd = a.q.Cols() / a.heads
	return a
}

func (a *attention) head(x *ir.Array, i, h int) []float64 { return x.Row(i)[h*a.hd : (h+1)*a.hd] }
func (a *attention) kvHead(x *ir.Array, j, h int) []float64 {
	g := h / (a.heads / a.kv)
	return x.Row(j)[g*a.hd : (g+1)*a.hd]
}

// each visits every query row and head with its visible keys, their
// probabilities, the greatest score and the log of the sum of exponentials.
func (a *attention) each(visit func(i, h int, keys []int, p []float64, top, lse float64)) {
	for i := 0; i < a.q.Rows(); i++ {
		row := i
		if a.rows != nil {
			row = int(a.rows[i])
		}
		first, end := 0, row+1
		for n, s := range a.starts {
			if at := int(max(s, ^s)); at <= row {
				first, end = at, row+1
				last := n+1 == len(a.starts) && row+1 == a.k.Rows() || n+1 < len(a.starts) && row+1 == int(max(a.starts[n+1], ^a.starts[n+1]))
				if s < 0 && last && row > at {
					end--
				}
			}
		}
		keys := make([]int, 0, end-first)
		for j := first; j < end; j++ {
			keys = append(keys, j)
		}
		for h := 0; h < a.heads; h++ {
			p := make([]float64, len(keys))
			top := math.Inf(-1)
			for n, j := range keys {
				p[n] = a.scale * dot(a.head(a.q, i, h), a.kvHead(a.k, j, h))
				top = max(top, p[n])
			}
			sum := 0.0
			for _, x := range p {
				sum += math.Exp(x - top)
			}
			lse := top + math.Log(sum)
			for n := range p {
				p[n] = math.Exp(p[n] - lse)
			}
			visit(i, h, keys, p, top, lse)
		}
	}
}
