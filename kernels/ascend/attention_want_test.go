package ascend_test

import (
	"math"
	"slices"

	"lorac/ir"
	_ "lorac/ir/op"
)

// attentionWant is what the evaluator of the op gives, and for each number the
// magnitude that the rounding of P or dS and that of f32 scores act upon.
type attentionWant struct {
	o, lse, dq, dk, dv             []float64
	stored                         []float64 // o as the forward stores it
	oSize, dqSize, dkSize, dvSize  []float64 // rounded to T on the way
	oNoise, dqNoise, dkNoise, dvNo []float64 // in f32
	lseNoise                       []float64
}

func matrix(rows, cols int, x []float64) *ir.Array { return &ir.Array{Shape: []int{rows, cols}, F: x} }

func (c *attentionCase) want(a attentionType) *attentionWant {
	nq, nk := c.queries*c.heads*c.dim, c.keys*c.kv*c.dim
	zeros := func(n int) []float64 { return make([]float64, n) }
	w := &attentionWant{o: zeros(nq), lse: zeros(c.queries * c.heads), dq: zeros(nq), dk: zeros(nk), dv: zeros(nk), stored: zeros(nq)}
	w.oSize, w.dqSize, w.dkSize, w.dvSize = zeros(nq), zeros(nq), zeros(nk), zeros(nk)
	w.oNoise, w.dqNoise, w.dkNoise, w.dvNo, w.lseNoise = zeros(nq), zeros(nq), zeros(nk), zeros(nk), zeros(c.queries*c.heads)
	q, k, v := matrix(c.queries, c.heads*c.dim, c.q), matrix(c.keys, c.kv*c.dim, c.k), matrix(c.keys, c.kv*c.dim, c.v)
	o, lse := matrix(c.queries, c.heads*c.dim, w.o), matrix(c.queries, c.heads, w.lse)
	where := []*ir.Array{{Shape: []int{len(c.starts)}, I: c.starts}}
	if c.rows != nil {
		where = append(where, &ir.Array{Shape: []int{len(c.rows)}, I: c.rows})
	}
	eval := func(name string, out []*ir.Array, in ...*ir.Array) {
		attrs := ir.Attrs{"heads": c.heads, "kv_heads": c.kv, "scale": c.scale}
		ir.Lookup(name).Eval(&ir.EvalCtx{S: &ir.Stmt{Op: ir.Lookup(name), Attrs: attrs}, In: append(in, where...), Out: out})
	}
	eval("attention", []*ir.Array{o, lse}, q, k, v)
	for i, x := range w.o {
		w.stored[i] = a.round(x)
	}
	eval("attention_grad", []*ir.Array{matrix(c.queries, c.heads*c.dim, w.dq), matrix(c.keys, c.kv*c.dim, w.dk), matrix(c.keys, c.kv*c.dim, w.dv)},
		matrix(c.queries, c.heads*c.dim, c.do), q, k, v, matrix(c.queries, c.heads*c.dim, w.stored), lse)
	c.magnitudes(w, a)
	return w
}

// magnitudes sums |P|·|v| and the like.
func (c *attentionCase) magnitudes(w *attentionWant, a attentionType) {
	const f32 = 1.0 / (1 << 22)
	dot := func(x, y []float64) (s, size float64) {
		for i := range x {
			s, size = s+x[i]*y[i], size+math.Abs(x[i]*y[i])
		}
		return
	}
	add := func(y []float64, by float64, x []float64) {
		for i := range x {
			y[i] += by * math.Abs(x[i])
		}
	}
	for i := range c.queries {
		row := int64(i)
		if c.rows != nil {
			row = c.rows[i]
		}
		n, _ := slices.BinarySearch(c.starts, row+1)
		for h := range c.heads {
			at := (i*c.heads + h) * c.dim
			q, do, o := c.q[at:at+c.dim], c.do[at:at+c.dim], w.stored[at:at+c.dim]
			delta, deltaSize := dot(do, o)
			lse := w.lse[i*c.heads+h]
			for j := c.starts[n-1]; j <= row; j++ {
				kt := (int(j)*c.kv + h/(c.heads/c.kv)) * c.dim
				k, v := c.k[kt:kt+c.dim], c.v[kt:kt+c.dim]
				s, size := dot(q, k)
				noise := f32 * (2 + c.scale*size + math.Abs(lse)) // relative, of P
				p := math.Exp(c.scale*s - lse)
				w.lseNoise[i*c.heads+h] = max(w.lseNoise[i*c.heads+h], noise)
				dp, dpSize := dot(do, v)
				ds := c.scale * p * math.Abs(dp-delta)
				dsNoise := noise*ds + c.scale*p*f32*(dpSize+deltaSize)
				add(w.oSize[at:at+c.dim], p, v)
				add(w.oNoise[at:at+c.dim], 2*noise*p+a.tiny, v)
				add(w.dvSize[kt:kt+c.dim], p, do)
				add(w.dvNo[kt:kt+c.dim], 2*noise*p+a.tiny, do)
				add(w.dqSize[at:at+c.dim], ds, k)
				add(w.dqNoise[at:at+c.dim], 2*dsNoise+a.tiny, k)
				add(w.dkSize[kt:kt+c.dim], ds, q)
				add(w.dkNoise[kt:kt+c.dim], 2*dsNoise+a.tiny, q)
			}
		}
	}
}
