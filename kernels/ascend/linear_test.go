package ascend_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/kernels/ascend/ascendtest"
)

// linears is a group of linears that read one x, with its gradients. t and dt are
// operands of their own, so that each kernel is judged alone; down and up are where
// lora_down and lora_up_grad write theirs.
type linears struct {
	*cubeBench
	m, k               int
	n, r               []int
	x, dx              *cubeArray
	w, a, b, t, dt, dy []*cubeArray
	y, down, up        []*cubeArray
	da, db             []*cubeArray
}

func newLinears(b *cubeBench, m, k int, n, r []int) *linears {
	l := &linears{cubeBench: b, m: m, k: k, n: n, r: r, x: b.normal(m * k), dx: b.empty(m*k, false)}
	for i, n := range n {
		r := r[i]
		l.w, l.y, l.dy = append(l.w, b.normal(n*k)), append(l.y, b.empty(m*n, false)), append(l.dy, b.normal(m*n))
		l.a, l.b = append(l.a, b.normal(r*k)), append(l.b, b.normal(n*r))
		l.t, l.dt = append(l.t, b.normal(m*r)), append(l.dt, b.normal(m*r))
		l.down, l.up = append(l.down, b.empty(m*r, false)), append(l.up, b.empty(m*r, false))
		l.da, l.db = append(l.da, b.normal32(r*k)), append(l.db, b.normal32(n*r))
	}
	return l
}

// filled is a list of arguments, filled up with absent ones.
func filled(n int, args []any) []any {
	for len(args) < n {
		args = append(args, 0)
	}
	return args
}

// each runs the kernels one after the other and calls then after each.
func (l *linears) each(blocks int, then func(kernel string)) {
	l.testing.Helper()
	m, k := l.m, l.k
	down, linear, up, grad := []any{l.x, m, k}, []any{l.x, m, k}, []any{m}, []any{l.dx, m, k}
	var weights []any
	for i, n := range l.n {
		r := l.r[i]
		down = append(down, l.down[i], l.a[i], r)
		linear = append(linear, l.y[i], l.w[i], l.t[i], l.b[i], packed(n, r))
		up = append(up, l.up[i], l.dy[i], l.b[i], packed(r, n))
		grad = append(grad, l.dy[i], l.w[i], l.dt[i], l.a[i], packed(n, r))
		weights = append(weights, l.da[i], l.dt[i], l.x, packed(r, k), l.db[i], l.dy[i], l.t[i], packed(n, r))
	}
	do := func(kernel string, n int, args []any) {
		l.run(kernel, blocks, filled(n, args)...)
		then(kernel)
	}
	do("lora_down", 12, down)
	do("lora_linear", 18, linear)
	do("lora_up_grad", 13, up)
	do("lora_linear_grad", 18, grad)
	for w := range slices.Chunk(weights, 16) { // four results at a time
		l.run("weight_grad", blocks, filled(17, append([]any{m}, w...))...)
	}
	then("weight_grad")
}

// judge holds each kernel to float64.
func (l *linears) judge(blocks int) {
	m, k := l.m, l.k
	l.each(blocks, func(string) {})
	dx := newCubeSum(m * k)
	for i, n := range l.n {
		r, name := l.r[i], func(s string) string { return fmt.Sprint(s, i) }
		l.down[i].near(name("t"), newCubeSum(m*r).nt(m, r, k, l.x.v, l.a[i].v))
		l.y[i].near(name("y"), newCubeSum(m*n).nt(m, n, k, l.x.v, l.w[i].v).nt(m, n, r, l.t[i].v, l.b[i].v))
		l.up[i].near(name("dt"), newCubeSum(m*r).nn(m, r, n, l.dy[i].v, l.b[i].v))
		l.da[i].near(name("da"), newCubeSum(r*k).plus(l.da[i].v).tn(r, k, m, l.dt[i].v, l.x.v))
		l.db[i].near(name("db"), newCubeSum(n*r).plus(l.db[i].v).tn(n, r, m, l.dy[i].v, l.t[i].v))
		dx.nn(m, k, n, l.dy[i].v, l.w[i].v).nn(m, k, r, l.dt[i].v, l.a[i].v)
	}
	l.dx.near("dx", dx)
}

var linearSizes = []struct {
	m, k int
	n, r []int
}{
	{1, 16, []int{16}, []int{1}},
	{5, 64, []int{48, 16}, []int{3, 16}},
	{16, 272, []int{16}, []int{4}},
	{17, 64, []int{272, 48, 48}, []int{8, 8, 100}},
	{127, 16, []int{48}, []int{16}},
	{128, 272, []int{48, 272}, []int{64, 0}},
	{130, 64, []int{272}, []int{100}},
	{300, 80, []int{16, 48, 16}, []int{128, 128, 128}},
	{5, 1024, []int{272}, []int{16}},
	{1, 1024, []int{48, 48}, []int{4, 1}},
	{300, 272, []int{304, 16}, []int{16, 3}},
	{2, 28672, []int{16}, []int{3}},
	{2049, 16, []int{32}, []int{4}},
}

// TestLinears: each kernel against float64, over rows, widths and ranks that fill tiles
// and that do not, with one, two and three linears, some of them plain.
func TestLinears(t *testing.T) {
	d := ascendtest.Open(t)
	for _, ty := range []cubeType{cubeBF16, cubeF16} {
		for _, s := range linearSizes {
			l := newLinears(newCubeBench(t, d, ty, uint64(s.m)), s.m, s.k, s.n, s.r)
			l.what = fmt.Sprint(ty.name, s)
			l.judge(3)
		}
	}
}

// TestLinearsAnyBlocks: the same bits whatever the number of cores.
func TestLinearsAnyBlocks(t *testing.T) {
	d := ascendtest.Open(t)
	var first [][]float64
	for _, blocks := range []int{1, 3, 7, 20, 24} {
		l := newLinears(newCubeBench(t, d, cubeBF16, 7), 300, 528, []int{272, 48}, []int{16, 3})
		l.each(blocks, func(string) {})
		var all [][]float64
		for _, a := range slices.Concat([]*cubeArray{l.dx}, l.y, l.down, l.up, l.da, l.db) {
			all = append(all, a.get())
		}
		if first == nil {
			first = all
		}
		for i := range all {
			if !slices.Equal(all[i], first[i]) {
				t.Errorf("%d blocks: result %d differs from that of one block", blocks, i)
			}
		}
	}
}

// TestLinearF32: logits, the number of which is any.
func TestLinearF32(t *testing.T) {
	d := ascendtest.Open(t)
	for _, ty := range []cubeType{cubeBF16, cubeF16} {
		for _, s := range [][3]int{{1, 37, 64}, {17, 301, 272}, {130, 16, 16}, {2, 128256, 16}} {
			m, n, k := s[0], s[1], s[2]
			b := newCubeBench(t, d, ty, uint64(n))
			x, w, y := b.normal(m*k), b.normal(n*k), b.empty(m*n, true)
			b.run("linear_f32", 3, y, x, w, m, n, k)
			y.near(fmt.Sprint("logits", s), newCubeSum(m*n).nt(m, n, k, x.v, w.v))
		}
	}
}

// TestLinears7B: widths of a 7B model, a few tokens.
func TestLinears7B(t *testing.T) {
	testkit.Slow(t, "ascend")
	d := ascendtest.Open(t)
	newLinears(newCubeBench(t, d, cubeBF16, 4096), 3, 4096, []int{4096}, []int{16}).judge(20)
}

// TestLinearBands: so many rows of so wide an x that its tiles go in two bands.
func TestLinearBands(t *testing.T) {
	testkit.Slow(t, "ascend")
	b := newCubeBench(t, ascendtest.Open(t), cubeBF16, 28672)
	const m, k, n = 1300, 28672, 16
	x, w, y := b.normal(m*k), b.normal(n*k), b.empty(m*n, false)
	b.run("lora_linear", 3, filled(18, []any{x, m, k, y, w, 0, 0, packed(n, 0)})...)
	y.near("y", newCubeSum(m*n).nt(m, n, k, x.v, w.v))
}

// TestRowsApart: what overflows in one row stays in it.
func TestRowsApart(t *testing.T) {
	b := newCubeBench(t, ascendtest.Open(t), cubeF16, 3)
	const m, k, n, bad = 19, 32, 48, 16
	x, w, y := b.normal(m*k), b.normal(n*k), b.empty(m*n, false)
	b.run("lora_linear", 2, filled(18, []any{x, m, k, y, w, 0, 0, packed(n, 0)})...)
	want := y.get()
	for i := range k {
		x.v[bad*k+i] = math.Copysign(65504, float64(i%2)-0.5)
		w.v[i] = math.Copysign(65504, float64(i%2)-0.5)
	}
	x.set(x.v)
	w.set(w.v)
	b.run("lora_linear", 2, filled(18, []any{x, m, k, y, w, 0, 0, packed(n, 0)})...)
	got := y.get()
	if !math.IsInf(got[bad*n], 1) {
		t.Errorf("32 products of 65504 by itself sum up to %g, not to infinity", got[bad*n])
	}
	for i := range got {
		if i/n != bad && i%n != 0 && got[i] != want[i] {
			t.Fatalf("element %d is %g, not %g as before", i, got[i], want[i])
		}
	}
}
