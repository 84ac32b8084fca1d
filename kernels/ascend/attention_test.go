package ascend_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

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
