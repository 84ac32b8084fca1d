package ascend_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
	"lorac/kernels"
	"lorac/kernels/ascend"
	"lorac/runtime/device"
)

// attentionType is a 16-bit type as the kernels' names have it.
type attentionType struct {
	name   string
	bits   func(float32) uint16
	number func(uint16) float32
	half   float64 // half a unit in the last place, relative, at most
	tiny   float64 // and of the smallest number
}

var attentionTypes = []attentionType{
	{"bf16", kernels.ToBFloat, kernels.BFloat, 1.0 / 256, 0},
	{"f16", kernels.ToHalf, kernels.Half, 1.0 / 2048, 1.0 / (1 << 25)},
}

func (a attentionType) round(x float64) float64 { return float64(a.number(a.bits(float32(x)))) }

// attentionCase is one launch: the lengths of its sequences, which of the rows are
// queries (nil: all), and operands rounded to their stored type.
type attentionCase struct {
	lengths        []int
	rows           []int64
	heads, kv, dim int
	scale          float64
	keys, queries  int
	q, k, v, do    []float64
	starts         []int64
	extreme        float64 // the deviation of scores, 0: 1
	equal          bool    // all keys are the first
	overflow       bool    // dP of what is hidden is not finite in f32
}

func (c *attentionCase) String() string {
	return fmt.Sprintf("%v rows %d of %d, heads %d/%d of %d", c.lengths, c.queries, c.keys, c.heads, c.kv, c.dim)
}

// fill draws operands. Scores have a deviation of 1, or of extreme.
func (c *attentionCase) fill(a attentionType) {
	r := rand.New(rand.NewPCG(7, uint64(len(c.lengths)*1000+c.dim)))
	c.starts = []int64{0}
	for _, n := range c.lengths {
		c.keys += n
		c.starts = append(c.starts, int64(c.keys))
	}
	if c.queries = c.keys; c.rows != nil {
		c.queries = len(c.rows)
	}
	c.scale = float64(float32(1 / math.Sqrt(float64(c.dim))))
	normal := func(n int, by float64) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = a.round(by * r.NormFloat64())
		}
		return x
	}
	by := 1.0
	if c.extreme > 0 {
		by = math.Sqrt(c.extreme)
	}
	c.q, c.k = normal(c.queries*c.heads*c.dim, by), normal(c.keys*c.kv*c.dim, by)
	for i := range c.k {
		if row := c.kv * c.dim; c.equal && i >= row {
			c.k[i] = c.k[i-row]
		}
	}
	c.v, c.do = normal(c.keys*c.kv*c.dim, 1), normal(c.queries*c.heads*c.dim, 1)
	if c.overflow && a.tiny == 0 {
		last := (c.keys - 1) * c.kv * c.dim
		for i := range c.v[last:] {
			c.v[last+i] = a.round(1e30)
		}
		for i := range c.do[:last] {
			c.do[i] = a.round(1e20 * c.do[i])
		}
	}
}

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

// attentionRun has a case on the device.
type attentionRun struct {
	t *testing.T
	d *device.Device
	a attentionType
	c *attentionCase

	after func(kernel string) // is called after each launch

	o, lse, dq, dk, dv []byte
}

func (r *attentionRun) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s %v: %v", r.a.name, r.c, err)
	}
}

func (r *attentionRun) up(data []byte) device.Ptr {
	r.t.Helper()
	p, err := r.d.Alloc(max(len(data), 1))
	r.check(err)
	r.check(r.d.Upload(p, data))
	return p
}

// poison is n bytes of NaN on the device.
func (r *attentionRun) poison(n int) device.Ptr { return r.up(slices.Repeat([]byte{0xff}, n)) }

func (r *attentionRun) low(x []float64) device.Ptr {
	b := make([]byte, 0, 2*len(x))
	for _, f := range x {
		b = binary.LittleEndian.AppendUint16(b, r.a.bits(float32(f)))
	}
	return r.up(b)
}

func (r *attentionRun) ints(x []int64) device.Ptr {
	var b []byte
	for _, n := range x {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return r.up(b)
}

func (r *attentionRun) floats(x []float64) device.Ptr {
	var b []byte
	for _, f := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f)))
	}
	return r.up(b)
}

func (r *attentionRun) launched(kernel string) {
	r.t.Helper()
	r.check(r.d.Sync())
	if r.after != nil {
		r.after(kernel)
	}
}

// launch runs both kernels. The gradient reads the evaluator's o and lse.
func (r *attentionRun) launch(w *attentionWant, blocks int) {
	r.t.Helper()
	c := r.c
	nq, nk, nl := 2*c.queries*c.heads*c.dim, 2*c.keys*c.kv*c.dim, 4*c.queries*c.heads
	var live []device.Ptr
	keep := func(p device.Ptr) device.Ptr { live = append(live, p); return p }
	q, k, v, do := keep(r.low(c.q)), keep(r.low(c.k)), keep(r.low(c.v)), keep(r.low(c.do))
	starts, rows := keep(r.ints(c.starts)), device.Ptr(0)
	if c.rows != nil {
		rows = keep(r.ints(c.rows))
	}
	o, lse, dq, dk, dv := keep(r.poison(nq)), keep(r.poison(nl)), keep(r.poison(nq)), keep(r.poison(nk)), keep(r.poison(nk))
	oIn, lseIn := keep(r.low(w.stored)), keep(r.floats(w.lse))
	ws := keep(r.poison(ascend.AttentionWorkspace(blocks)))
	r.check(r.d.Launch("attention_"+r.a.name, blocks, o, lse, q, k, v, starts, rows, ws, c.keys, c.queries, len(c.lengths), c.heads, c.kv, c.dim, float32(c.scale)))
	r.launched("forward")
	ws = keep(r.poison(ascend.AttentionGradWorkspace(blocks, c.keys, c.queries, c.heads, c.kv, c.dim)))
	r.check(r.d.Launch("attention_grad_"+r.a.name, blocks, dq, dk, dv, do, q, k, v, oIn, lseIn, starts, rows, ws, c.keys, c.queries, len(c.lengths), uint64(c.heads)<<32|uint64(c.kv), c.dim, float32(c.scale)))
	r.launched("gradient")
	for _, x := range []struct {
		to   *[]byte
		from device.Ptr
		n    int
	}{{&r.o, o, nq}, {&r.lse, lse, nl}, {&r.dq, dq, nq}, {&r.dk, dk, nk}, {&r.dv, dv, nk}} {
		*x.to = make([]byte, x.n)
		r.check(r.d.Download(*x.to, x.from))
	}
	for _, p := range live {
		r.check(r.d.Free(p))
	}
}

// judge compares with the evaluator. A number may be off by half a unit of its own,
// the rounding of what was multiplied, and what f32 loses in scores.
func (r *attentionRun) judge(w *attentionWant) {
	r.t.Helper()
	r.near("o", r.lows(r.o), w.o, w.oSize, w.oNoise)
	r.near("dq", r.lows(r.dq), w.dq, w.dqSize, w.dqNoise)
	r.near("dk", r.lows(r.dk), w.dk, w.dkSize, w.dkNoise)
	r.near("dv", r.lows(r.dv), w.dv, w.dvSize, w.dvNo)
	for i, x := range w.lse {
		got := float64(math.Float32frombits(binary.LittleEndian.Uint32(r.lse[4*i:])))
		if !(math.Abs(got-x) <= w.lseNoise[i]) {
			r.t.Fatalf("%s %v: lse[%d] is %g, not %g (%g off, %g allowed)", r.a.name, r.c, i, got, x, got-x, w.lseNoise[i])
		}
	}
}

func (r *attentionRun) lows(b []byte) []float64 {
	x := make([]float64, len(b)/2)
	for i := range x {
		x[i] = float64(r.a.number(binary.LittleEndian.Uint16(b[2*i:])))
	}
	return x
}

func (r *attentionRun) near(what string, got, want, size, noise []float64) {
	r.t.Helper()
	for i, x := range want {
		allowed := 1.02*r.a.half*(size[i]+math.Abs(x)) + noise[i] + max(r.a.tiny, 1e-37)
		if !(math.Abs(got[i]-x) <= allowed) {
			r.t.Fatalf("%s %v: %s[%d] is %g, not %g (%g off, %g allowed)", r.a.name, r.c, what, i, got[i], x, got[i]-x, allowed)
		}
	}
}
