package op

import (
	"math"
	"testing"

	"lorac/ir"
)

// lowCase evaluates the sample of an op twice, on the CPU and on a device of bf16.
type lowCase struct {
	t        *testing.T
	s        *ir.Stmt
	in       []*ir.Array
	out, cpu []*ir.Array
}

func lowSample(t *testing.T, name string) *lowCase {
	m, s := parseSample(t, name)
	in, vals := arrays(m, 11)
	c := &lowCase{t: t, s: s}
	for _, a := range s.Args {
		if a.Storage != nil {
			c.in = append(c.in, in.Storage[a.Storage.Name])
		} else {
			c.in = append(c.in, vals[a.Value])
		}
	}
	eval := func(low ir.DType) (out []*ir.Array) {
		for _, r := range s.Results {
			out = append(out, ir.NewArray(r.Type, env))
		}
		s.Op.Eval(&ir.EvalCtx{S: s, Env: env, In: c.in, Out: out, Low: low})
		return out
	}
	c.cpu, c.out = eval(0), eval(ir.BF16)
	return c
}

// is checks result r against what its parts give, rounded in between.
func (c *lowCase) is(r int, want *ir.Array) {
	c.t.Helper()
	rounded := false
	for i, x := range c.out[r].F {
		if d := math.Abs(x - want.F[i]); d > 1e-12*(1+math.Abs(x)) {
			c.t.Fatalf("%s: result %d[%d] is %v, its parts give %v", c.s.Op.Name, r, i, x, want.F[i])
		}
		if d := math.Abs(x - c.cpu[r].F[i]); d > 1e-12 {
			rounded = true
		}
	}
	if !rounded {
		c.t.Errorf("%s: nothing was rounded on the way to result %d", c.s.Op.Name, r)
	}
}

func low(a *ir.Array) *ir.Array {
	b := &ir.Array{Shape: a.Shape, F: append([]float64(nil), a.F...)}
	b.Round(ir.BF16)
	return b
}

// product is a·b, b transposed or a.
func productOf(trans string, a, b *ir.Array) *ir.Array {
	rows, cols := a.Rows(), b.Cols()
	switch trans {
	case "rhs":
		cols = b.Rows()
	case "lhs":
		rows = a.Cols()
	}
	out := zerosOf(rows, cols)
	run("matmul", ir.Attrs{"trans": trans}, []*ir.Array{out}, a, b)
	return out
}

func plus(a *ir.Array, by float64, b *ir.Array) *ir.Array {
	out := low(zerosOf(a.Rows(), a.Cols()))
	for i := range out.F {
		out.F[i] = a.F[i] + by*b.F[i]
	}
	return out
}

func (c *lowCase) dropped(x, keys, layer *ir.Array) *ir.Array {
	out := zerosOf(x.Rows(), x.Cols())
	run("dropout", ir.Attrs{"p": 0.3, "stream": 1}, []*ir.Array{out}, x, keys, layer)
	return out
}

// The samples: x, (w a b), w, keys, layer and d, d, x, xa, (w a b), w, keys, layer.
func TestLowLoRA(t *testing.T) {
	c := lowSample(t, "lora_linear")
	in := c.in
	xa := productOf("rhs", low(c.dropped(in[0], in[5], in[6])), in[2])
	c.is(0, plus(productOf("rhs", in[0], in[1]), 2, productOf("rhs", low(xa), in[3])))

	c = lowSample(t, "lora_linear_grad")
	in = c.in
	g := low(productOf("none", in[0], in[6]))
	base := plus(productOf("none", in[0], in[4]), 1, productOf("none", in[1], in[7]))
	c.is(0, plus(low(base), 2, c.dropped(productOf("none", g, in[5]), in[8], in[9])))
	da := productOf("lhs", g, low(c.dropped(in[2], in[8], in[9])))
	c.is(1, plus(da, 1, da)) // times the scale
}

// Without masks, the gradient of x is one sum, rounded once.
func TestLowLoRAWithoutMasks(t *testing.T) {
	_, s := parseSample(t, "lora_linear_grad")
	args := append(append([]ir.Operand(nil), s.Args[:3]...), s.Args[3:8]...)
	attrs := ir.Attrs{"parts": s.Attrs.List("parts"), "scale": 1.0}
	c := lowSample(t, "lora_linear_grad")
	out := []*ir.Array{zerosOf(6, 4), zerosOf(2, 4), zerosOf(3, 2)}
	s.Op.Eval(&ir.EvalCtx{S: &ir.Stmt{Op: s.Op, Args: args, Attrs: attrs}, Env: env, In: c.in[:8], Out: out, Low: ir.BF16})
	g := low(productOf("none", c.in[0], c.in[6]))
	c.out, c.cpu = out, []*ir.Array{zerosOf(6, 4), zerosOf(2, 4)}
	c.is(0, plus(plus(productOf("none", c.in[0], c.in[4]), 1, productOf("none", c.in[1], c.in[7])), 1, productOf("none", g, c.in[5])))
	c.is(1, productOf("lhs", g, low(c.in[2])))
}

func TestLowNorm(t *testing.T) {
	c := lowSample(t, "add_rmsnorm")
	sum := low(plus(c.in[0], 1, c.in[1]))
	y, rstd := zerosOf(6, 4), zerosOf(6, 1)
	run("rmsnorm", ir.Attrs{"eps": 1e-5}, []*ir.Array{y, rstd}, sum, c.in[2])
	c.is(0, sum)
	c.is(1, y)
	c.is(2, rstd)
}

// heads visits rows, query heads and visible keys of the samples: two heads of
// two columns that share one of keys, sequences of four and two rows.
func heads(visit func(i, h int, keys []int)) {
	for i := range 6 {
		first := i / 4 * 4
		var keys []int
		for j := first; j <= i; j++ {
			keys = append(keys, j)
		}
		for h := range 2 {
			visit(i, h, keys)
		}
	}
}

func TestLowAttention(t *testing.T) {
	c := lowSample(t, "attention")
	q, k, v := c.in[0], c.in[1], c.in[2]
	want := zerosOf(6, 4)
	heads(func(i, h int, keys []int) {
		top := math.Inf(-1)
		score := func(j int) float64 { return 0.7 * dot(q.Row(i)[2*h:2*h+2], k.Row(j)) }
		for _, j := range keys {
			top = max(top, score(j))
		}
		sum := 0.0
		for _, j := range keys {
			e := math.Exp(score(j) - top)
			sum += e
			axpy(want.Row(i)[2*h:2*h+2], ir.BF16.Nearest(e), v.Row(j))
		}
		for n := range 2 {
			want.Row(i)[2*h+n] /= sum
		}
	})
	c.is(0, want)

	c = lowSample(t, "attention_grad")
	d, o := c.in[0], c.in[4]
	q, k, v = c.in[1], c.in[2], c.in[3]
	dq, dk, dv := zerosOf(6, 4), zerosOf(6, 2), zerosOf(6, 2)
	heads(func(i, h int, keys []int) {
		do := d.Row(i)[2*h : 2*h+2]
		sum := 0.0
		e := func(j int) float64 { return math.Exp(0.7 * dot(q.Row(i)[2*h:2*h+2], k.Row(j))) }
		for _, j := range keys {
			sum += e(j)
		}
		for _, j := range keys {
			p := e(j) / sum
			axpy(dv.Row(j), ir.BF16.Nearest(p), do)
			ds := ir.BF16.Nearest(p * (dot(do, v.Row(j)) - dot(do, o.Row(i)[2*h:2*h+2])) * 0.7)
			axpy(dq.Row(i)[2*h:2*h+2], ds, k.Row(j))
			axpy(dk.Row(j), ds, q.Row(i)[2*h:2*h+2])
		}
	})
	c.is(0, dq)
	c.is(1, dk)
	c.is(2, dv)
}

func TestLowHead(t *testing.T) {
	c := lowSample(t, "head_loss")
	x, w, targets, weights := c.in[0], c.in[1], c.in[2].I, c.in[3].F
	p := productOf("rhs", x, w)
	for i := range 3 {
		row, sum, rest := p.Row(i), 0.0, 1.0
		top := max(row[0], row[1], row[2])
		for j := range row {
			row[j] = math.Exp(row[j] - top)
			sum += row[j]
		}
		for j := range row {
			if row[j] /= sum; j == int(targets[i]) {
				rest -= row[j]
			}
			row[j] = weights[i] * ir.BF16.Nearest(row[j]*sum) / sum // powers of two are exact
		}
		row[targets[i]] = -weights[i] * rest
	}
	c.is(1, productOf("none", p, w))
	if c.out[0].F[0] != c.cpu[0].F[0] {
		t.Error("the loss itself was rounded")
	}
}

// TestCopies: the optimizer's op writes the copies of what it changes, and
// evaluation rounds what a device stores.
func TestCopies(t *testing.T) {
	m := ir.MustParse(`module m from "m.yaml"
setting device = ascend @1:1
setting device.low = bf16 @1:1
dim T <= 8 @1:1
param $base : bf16[2,4] frozen @1:1
param $a : f32[2,4] trainable @1:1
copy $a.low : bf16[2,4] {of=a, scale=1.0} @1:1
copy $a.scaled : bf16[2,4] {of=a, scale=1.5} @1:1
grad $a.grad : f32[2,4] {of=a} @1:1
state $a.m : f32[2,4] {of=a} @1:1
state $a.v : f32[2,4] {of=a} @1:1
entry func main(%x: bf16[T,4]) -> (%y) {
  %y = matmul %x, $base {group=linear, trans=rhs} : bf16[T,2] @1:1
}
entry func update(%lr: f32[], %t: i32[]) -> () {
  adamw $a, $a.grad, $a.m, $a.v, %lr, %t, $a.low, $a.scaled {beta1=0.9, beta2=0.99, eps=1e-8, rule=torch, weight_decay=0.1} @1:1
}
`)
	in := ir.NewInterp(m, ir.Env{"T": 1})
	for i := range 8 {
		in.Storage["a"].F[i] = 0.1 + float64(i)/7
		in.Storage["a.grad"].F[i] = 1
		in.Storage["base"].F[i] = 1 + float64(i)/300
	}
	check := func(when string) {
		t.Helper()
		for i, p := range in.Storage["a"].F {
			if got, want := in.Storage["a.low"].F[i], ir.BF16.Nearest(p); got != want {
				t.Errorf("%s: low[%d] is %v, want %v", when, i, got, want)
			}
			if got, want := in.Storage["a.scaled"].F[i], ir.BF16.Nearest(1.5*p); got != want {
				t.Errorf("%s: scaled[%d] is %v, want %v", when, i, got, want)
			}
		}
	}
	in.Refresh()
	check("at first")
	before := in.Storage["a"].F[3]
	in.Call("update", &ir.Array{F: []float64{0.1}}, &ir.Array{I: []int64{1}})
	check("after a step")
	if in.Storage["a"].F[3] == before || in.Storage["a"].F[3] == ir.BF16.Nearest(in.Storage["a"].F[3]) {
		t.Error("the parameter did not change, or was rounded")
	}
	for i, w := range in.Storage["base"].F {
		if w != ir.BF16.Nearest(w) {
			t.Errorf("weight %d is %v", i, w)
		}
	}
	y := in.Call("main", &ir.Array{Shape: []int{1, 4}, F: []float64{1, 1. / 512, 3, 1. / 64}})[0]
	if y.F[0] != ir.BF16.Nearest(y.F[0]) || y.F[0] == 0 {
		t.Errorf("a result is %v", y.F)
	}
}
