package ascend_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
	"lorac/kernels/ascend/ascendtest"
)

// loraSteps launches the kernels of one group of two adapted linears, forward and
// backward, each reading what the one before has written.
func loraSteps(b *cubeBench, h *behind, l *linears) (dx *cubeArray) {
	const blocks = 3
	m, k, dropped := h.m, h.k, h.P > 0
	ws := b.alloc(blocks * dxSpace)
	var down, linear, up, grad, weights, adapters []any
	for i, n := range l.n {
		r := l.r[i]
		if dropped {
			b.run("lora_down_drop", blocks, l.down[i], l.x, l.a[i], h.seeds, ws, m, k, r, h.id(i), h.limit(), h.scale())
		}
		down = append(down, l.down[i], l.a[i], r)
		linear = append(linear, l.y[i], l.w[i], l.down[i], l.b[i], packed(n, r))
		up = append(up, l.up[i], l.dy[i], l.b[i], packed(r, n))
		adapters = append(adapters, l.up[i], l.a[i], packed(r, h.id(i)))
		weights = append(weights, l.db[i], l.dy[i], l.down[i], packed(n, r))
		if dropped {
			r = 0 // the low-rank part of dx has a mask of its own
		} else {
			weights = append(weights, l.da[i], l.up[i], l.x, packed(r, k))
		}
		grad = append(grad, l.dy[i], l.w[i], l.up[i], l.a[i], packed(n, r))
	}
	if !dropped {
		b.run("lora_down", blocks, filled(12, append([]any{l.x, m, k}, down...))...)
	}
	b.run("lora_linear", blocks, filled(18, append([]any{l.x, m, k}, linear...))...)
	b.run("lora_up_grad", blocks, filled(13, append([]any{m}, up...))...)
	b.run("lora_linear_grad", blocks, filled(18, append([]any{l.dx, m, k}, grad...))...)
	b.run("weight_grad", blocks, filled(17, append([]any{m}, weights...))...)
	if dropped {
		b.run("lora_dx_drop", blocks, filled(16, append([]any{l.dx, h.seeds, ws, m, k, h.limit(), h.scale()}, adapters...))...)
		for i, r := range l.r {
			b.run("weight_grad_drop", blocks, l.da[i], l.up[i], l.x, h.seeds, ws, r, k, m, h.id(i), h.limit(), h.scale())
		}
	}
	return l.dx
}

// TestLoRAOps: the kernels together against the evaluators of lora_linear and
// lora_linear_grad_acc, which round nothing between them.
func TestLoRAOps(t *testing.T) {
	d := ascendtest.Open(t)
	for _, ty := range []cubeType{cubeBF16, cubeF16} {
		for _, p := range []float32{0, 0.25} {
			const m, k = 37, 80
			n, r := []int{48, 16}, []int{4, 16}
			b := newCubeBench(t, d, ty, 5)
			b.what = fmt.Sprint(ty.name, " dropout ", p)
			h, l := newBehind(b, m, k, nil, p), newLinears(b, m, k, n, r)
			da, db := [][]float64{slices.Clone(l.da[0].v), slices.Clone(l.da[1].v)}, [][]float64{slices.Clone(l.db[0].v), slices.Clone(l.db[1].v)}
			dx := loraSteps(b, h, l)

			attrs, seeds := "p=0.0, parts=[lora, lora], scale=1.0", ""
			if p > 0 {
				attrs, seeds = fmt.Sprintf("p=%g, parts=[lora, lora], scale=1.0, streams=[0, 1]", p), ", %seeds, %layer"
			}
			text := fmt.Sprintf("module m from \"m.yaml\"\ndim T <= %d @1:1\n", m)
			for i := range n {
				text += strings.NewReplacer("#", fmt.Sprint(i), "N", fmt.Sprint(n[i]), "K", fmt.Sprint(k), "R", fmt.Sprint(r[i])).Replace(
					"param $w# : f32[N,K] frozen @1:1\nparam $a# : f32[R,K] trainable @1:1\nparam $b# : f32[N,R] trainable @1:1\n" +
						"grad $a#.grad : f32[R,K] {of=a#} @1:1\ngrad $b#.grad : f32[N,R] {of=b#} @1:1\n")
			}
			text += fmt.Sprintf(`entry func main(%%x: f32[T,%d], %%d0: f32[T,%d], %%d1: f32[T,%d], %%seeds: i64[T], %%layer: i32[]) -> (%%y0, %%y1, %%dx) {
  %%y0, %%t0, %%y1, %%t1 = lora_linear %%x, $w0, $a0, $b0, $w1, $a1, $b1%s {%s} : f32[T,%d], f32[T,%d], f32[T,%d], f32[T,%d] @1:1
  %%dx = lora_linear_grad_acc %%d0, %%d1, %%x, %%t0, %%t1, $w0, $a0, $b0, $w1, $a1, $b1%s, $a0.grad, $b0.grad, $a1.grad, $b1.grad {%s} : f32[T,%d] @1:1
}
`, k, n[0], n[1], seeds, attrs, n[0], r[0], n[1], r[1], seeds, attrs, k)
			mod, err := ir.Parse("test", text)
			b.check(err)
			in := ir.NewInterp(mod, ir.Env{"T": m})
			for i := range n {
				for name, v := range map[string][]float64{"w%d": l.w[i].v, "a%d": l.a[i].v, "b%d": l.b[i].v, "a%d.grad": da[i], "b%d.grad": db[i]} {
					copy(in.Storage[fmt.Sprintf(name, i)].F, v)
				}
			}
			keys := &ir.Array{Shape: []int{m}}
			for _, s := range h.Seeds {
				keys.I = append(keys.I, int64(s))
			}
			mat := func(a *cubeArray) *ir.Array { return &ir.Array{Shape: []int{m, len(a.v) / m}, F: a.v} }
			out := in.Call("main", mat(l.x), mat(l.dy[0]), mat(l.dy[1]), keys, &ir.Array{I: []int64{int64(h.Layer)}})
			close := func(what string, got *cubeArray, want []float64) {
				top := 0.0
				for _, w := range want {
					top = max(top, math.Abs(w))
				}
				for i, g := range got.get() { // intermediate results are rounded to 16 bits
					if !(math.Abs(g-want[i]) <= ty.unit(top)) {
						t.Fatalf("%s: %s: element %d is %g, not %g", b.what, what, i, g, want[i])
					}
				}
			}
			close("y0", l.y[0], out[0].F)
			close("y1", l.y[1], out[1].F)
			close("dx", dx, out[2].F)
			for i := range n {
				close(fmt.Sprint("da", i), l.da[i], in.Storage[fmt.Sprintf("a%d.grad", i)].F)
				close(fmt.Sprint("db", i), l.db[i], in.Storage[fmt.Sprintf("b%d.grad", i)].F)
			}
		}
	}
}
