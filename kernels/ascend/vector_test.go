package ascend_test

import (
	"math"
	"testing"

	"lorac/ir"
)

// rowShapes has one row and many, widths above and below what a repeat and a tile
// take, and tails of each.
var rowShapes = [][2]int{{1, 16}, {37, 48}, {130, 64}, {9, 256}, {50, 1040}, {5, 2032}, {6, 2048}, {13, 2720}, {5, 4096}, {9, 4112}, {8, 8192}}

var rowBlocks = []int{1, 7, 48}

func TestRMSNorm(t *testing.T) {
	const eps = 1e-5
	each(t, rowShapes, func(r *rig, l lowType, rows, cols int) {
		x, b, g := l.random(1, rows, cols), l.random(2, rows, cols), normals(3, cols, 1)
		n := 2 * rows * cols
		y, rstd, sum := r.result(n), r.result(4*rows), r.result(n)
		got := r.run("rmsnorm_"+l.name, rowBlocks, []result{y, rstd}, y.ptr, rstd.ptr, r.low(l, x), r.f32(g), rows, cols, float32(eps))
		wy, wr := empty(rows, cols), empty(rows, 1)
		evaluate("rmsnorm", ir.Attrs{"eps": eps}, []*ir.Array{wy, wr}, matrix(rows, cols, x), vector(g))
		l.within(r.t, "y", l.values(got[0]), wy.F, 0.51, nil)
		near(r.t, "rstd", f32Values(got[1]), wr.F, 1e-6, nil)

		got = r.run("add_rmsnorm_"+l.name, rowBlocks, []result{sum, y, rstd}, sum.ptr, y.ptr, rstd.ptr, r.low(l, x), r.low(l, b), r.f32(g), rows, cols, float32(eps))
		s := make([]float64, len(x))
		for i := range s {
			s[i] = l.round(float64(float32(x[i]) + float32(b[i])))
		}
		l.within(r.t, "sum", l.values(got[0]), s, 0, nil)
		evaluate("rmsnorm", ir.Attrs{"eps": eps}, []*ir.Array{wy, wr}, matrix(rows, cols, s), vector(g))
		l.within(r.t, "y", l.values(got[1]), wy.F, 0.51, nil)
		near(r.t, "rstd", f32Values(got[2]), wr.F, 1e-6, nil)

		// in place: y over a, the sum over b
		pa, pb := r.low(l, x), r.low(l, b)
		r.ok(r.d.Launch("add_rmsnorm_"+l.name, 3, pb, pa, rstd.ptr, pa, pb, r.f32(g), rows, cols, float32(eps)))
		r.ok(r.d.Sync())
		l.within(r.t, "sum in place", l.values(r.read(pb, n)), l.values(got[0]), 0, nil)
		l.within(r.t, "y in place", l.values(r.read(pa, n)), l.values(got[1]), 0, nil)
	})
}

func TestRMSNormGrad(t *testing.T) {
	each(t, rowShapes, func(r *rig, l lowType, rows, cols int) {
		x, res, g := l.random(1, rows, cols), l.random(2, rows, cols), normals(3, cols, 1)
		d := make([]float64, rows*cols)
		for i, v := range normals(4, rows*cols, 1) {
			d[i] = l.round(v)
		}
		wr := empty(rows, 1)
		evaluate("rmsnorm", ir.Attrs{"eps": 1e-5}, []*ir.Array{empty(rows, cols), wr}, matrix(rows, cols, x), vector(g))
		for i, v := range wr.F {
			wr.F[i] = float64(float32(v))
		}
		dx, px, pd, pr, pg := r.result(2*rows*cols), r.low(l, x), r.low(l, d), r.f32(wr.F), r.f32(g)
		want := empty(rows, cols)
		// f32 keeps 24 bits of the terms that cancel.
		terms := make([]float64, rows)
		for i := range d {
			terms[i/cols] += math.Abs(d[i] * g[i%cols] * x[i])
		}
		slack := func(i int) float64 {
			rs := wr.F[i/cols]
			return 1e-6 * (math.Abs(rs*d[i]*g[i%cols]) + math.Abs(x[i])*rs*rs*rs*terms[i/cols]/float64(cols))
		}
		got := r.run("rmsnorm_grad_"+l.name, rowBlocks, []result{dx}, dx.ptr, 0, pd, px, pr, pg, rows, cols)
		evaluate("rmsnorm_grad", nil, []*ir.Array{want}, matrix(rows, cols, d), matrix(rows, cols, x), vector(wr.F), vector(g))
		l.within(r.t, "dx", l.values(got[0]), want.F, 0.51, func(i int) float64 {
			if l.name == "f16" && math.Abs(want.F[i]) > 65504 { // too large to be stored, where rstd is large
				return math.Inf(1)
			}
			return slack(i)
		})
		pres := r.low(l, res)
		got = r.run("rmsnorm_grad_"+l.name, rowBlocks, []result{dx}, dx.ptr, pres, pd, px, pr, pg, rows, cols)
		evaluate("rmsnorm_grad_add", nil, []*ir.Array{want}, matrix(rows, cols, res), matrix(rows, cols, d), matrix(rows, cols, x), vector(wr.F), vector(g))
		l.within(r.t, "dx", l.values(got[0]), want.F, 0.51, slack)
		r.ok(r.d.Launch("rmsnorm_grad_"+l.name, 3, pres, pres, pd, px, pr, pg, rows, cols))
		r.ok(r.d.Sync())
		l.within(r.t, "dx in place", l.values(r.read(pres, 2*rows*cols)), l.values(got[0]), 0, nil)
	})
}

func TestRope(t *testing.T) {
	for _, headDim := range []int{16, 48, 64, 128} {
		each(t, [][2]int{{1, headDim}, {70, 2 * headDim}, {5, 8192 / headDim * headDim}, {300, headDim}}, func(r *rig, l lowType, rows, cols int) {
			const positions = 50
			x := l.random(1, rows, cols)
			cos, sin := make([]float64, positions*headDim/2), make([]float64, positions*headDim/2)
			for i := range cos {
				a := float64(i/(headDim/2)) * math.Pow(1e4, -2*float64(i%(headDim/2))/float64(headDim))
				cos[i], sin[i] = float64(float32(math.Cos(a))), float64(float32(math.Sin(a)))
			}
			pos := make([]int, rows)
			for i := range pos {
				pos[i] = (i + i/9*31) % positions // runs of nine
			}
			y, px := r.result(2*rows*cols), r.low(l, x)
			args := []any{r.i32(pos), r.f32(cos), r.f32(sin), rows, cols, headDim}
			want := empty(rows, cols)
			slack := func(i int) float64 {
				return 1e-7 * (math.Abs(x[i]) + math.Abs(x[i/headDim*headDim+(i+headDim/2)%headDim]))
			}
			for inverse := range 2 {
				got := r.run("rope_"+l.name, rowBlocks, []result{y}, append(append([]any{y.ptr, px}, args...), inverse)...)
				evaluate("rope", ir.Attrs{"head_dim": headDim, "inverse": inverse == 1}, []*ir.Array{want}, matrix(rows, cols, x), integers(pos), matrix(positions, headDim/2, cos), matrix(positions, headDim/2, sin))
				l.within(r.t, "y", l.values(got[0]), want.F, 0.51, slack)
				// in place
				r.ok(r.d.Upload(y.ptr, r.read(px, 2*rows*cols)))
				r.ok(r.d.Launch("rope_"+l.name, 3, append(append([]any{y.ptr, y.ptr}, args...), inverse)...))
				r.ok(r.d.Sync())
				l.within(r.t, "y in place", l.values(r.read(y.ptr, 2*rows*cols)), l.values(got[0]), 0, nil)
			}
		})
	}
}

// gates has what σ must survive: large and small numbers of both signs.
func (l lowType) gates(seed uint64, n int) []float64 {
	x := normals(seed, n, 4)
	for i, v := range []float64{0, math.Copysign(0, -1), 1e4, -1e4, 88.5, -88.5, 103, -103, 17, -17, 1e-30, -1e-30, l.largest / 4, -l.largest / 4} {
		if i < n {
			x[i] = v
		}
	}
	for i := range x {
		x[i] = l.round(x[i])
	}
	return x
}

func TestElementwise(t *testing.T) {
	each(t, [][2]int{{1, 1}, {1, 16}, {3, 336}, {1, 8192}, {7, 4112}, {1, 8193}}, func(r *rig, l lowType, rows, cols int) {
		n := rows * cols
		g, u, d := l.gates(1, n), l.random(2, n, 1), l.random(3, n, 1)
		if l.name == "f16" {
			for i := range u { // products stay below the largest number
				u[i], d[i] = l.round(math.Mod(u[i], 2)), l.round(math.Mod(d[i], 2))
			}
		}
		h, dg, du := r.result(2*n), r.result(2*n), r.result(2*n)
		pg, pu, pd := r.low(l, g), r.low(l, u), r.low(l, d)
		want, wantU := empty(1, n), empty(1, n)
		mg, mu, md := matrix(1, n, g), matrix(1, n, u), matrix(1, n, d)
		tiny := func(i int) float64 { return 1e-30 }

		got := r.run("swiglu_"+l.name, rowBlocks, []result{h}, h.ptr, pg, pu, n)
		evaluate("swiglu", nil, []*ir.Array{want}, mg, mu)
		l.within(r.t, "h", l.values(got[0]), want.F, 0.51, tiny)

		got = r.run("swiglu_grad_"+l.name, rowBlocks, []result{dg, du}, dg.ptr, du.ptr, pd, pg, pu, n)
		evaluate("swiglu_grad", nil, []*ir.Array{want, wantU}, md, mg, mu)
		l.within(r.t, "dg", l.values(got[0]), want.F, 0.51, func(i int) float64 { return 1e-30 + 3e-7*math.Abs(d[i]*u[i]) })
		l.within(r.t, "du", l.values(got[1]), wantU.F, 0.51, tiny)
		// in place of the operands
		r.ok(r.d.Launch("swiglu_grad_"+l.name, 3, pg, pu, pd, pg, pu, n))
		r.ok(r.d.Sync())
		l.within(r.t, "dg in place", l.values(r.read(pg, 2*n)), l.values(got[0]), 0, nil)
		l.within(r.t, "du in place", l.values(r.read(pu, 2*n)), l.values(got[1]), 0, nil)

		pu = r.low(l, u)
		got = r.run("add_"+l.name, rowBlocks, []result{h}, h.ptr, pu, pd, n)
		evaluate("add", nil, []*ir.Array{want}, mu, md)
		l.within(r.t, "sum", l.values(got[0]), want.F, 0.5, nil)

		b := normals(4, cols, 1)
		got = r.run("add_bias_"+l.name, rowBlocks, []result{h}, h.ptr, pu, r.f32(b), rows, cols)
		biased := empty(rows, cols)
		evaluate("add_bias", nil, []*ir.Array{biased}, matrix(rows, cols, u), vector(b))
		l.within(r.t, "x + b", l.values(got[0]), biased.F, 0.51, nil)

		x := normals(5, n, 100)
		got = r.run("narrow_"+l.name, rowBlocks, []result{h}, h.ptr, r.f32(x), n, float32(0.3))
		for i := range x {
			x[i] = l.round(float64(float32(x[i]) * 0.3))
		}
		l.within(r.t, "narrow", l.values(got[0]), x, 0, nil)
	})
}
