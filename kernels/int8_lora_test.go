package kernels

import "testing"

// A linear in eight bits with its adapter is the product in eight bits plus
// what the adapter gives over a base of zeros, forward and backward.
func TestInt8LoRA(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, rows := range []int{1, 13, 40} {
			const in, out, rank = 48, 70, 5
			full, _ := randWeight(F32, out, in)
			w, zero := ctx.Int8(full), NewMat(out, in).Weight()
			x, a, b, dy := randMat(rows, in), dense(rank, in), dense(out, rank), randMat(rows, out)
			drop := Drop{}
			sum := func(p, q Mat) [][]float64 {
				g := make([][]float64, p.Rows)
				for i := range g {
					for j := range p.Cols {
						g[i] = append(g[i], float64(p.Row(i)[j])+float64(q.Row(i)[j]))
					}
				}
				return g
			}
			base, delta, xa := NewMat(rows, out), NewMat(rows, out), NewMat(rows, rank)
			ctx.MatMulNT(base, x, w)
			ctx.LoRALinear(x, Adapted{Y: delta, XA: xa, W: zero, A: a, B: b, Scale: 0.5, Drop: drop})
			y, xa8, plain := NewMat(rows, out), NewMat(rows, rank), NewMat(rows, out)
			ctx.LoRALinear(x, Adapted{Y: y, XA: xa8, W: w, A: a, B: b, Scale: 0.5, Drop: drop}, Adapted{Y: plain, W: w})
			near(t, "y", y, sum(base, delta), 1e-5)
			near(t, "xa", xa8, sum(xa, NewMat(rows, rank)), 1e-6)
			near(t, "without an adapter", plain, sum(base, NewMat(rows, out)), 0)

			grads := func(w Weight, dx Mat) (da, db Mat) {
				da, db = NewMat(rank, in), NewMat(out, rank)
				ctx.LoRALinearGrad(dx, x, AdaptedGrad{DY: dy, XA: xa, W: w, A: a, B: b, DA: da, DB: db, Scale: 0.5, Drop: drop}, AdaptedGrad{DY: dy, W: w})
				return da, db
			}
			dx, dx0, dbase := NewMat(rows, in), NewMat(rows, in), NewMat(rows, in)
			da, db := grads(w, dx)
			da0, db0 := grads(zero, dx0)
			ctx.MatMulNN(dbase, dy, w)
			ctx.AddMatMulNN(dbase, dy, w)
			near(t, "dx", dx, sum(dbase, dx0), 1e-5)
			near(t, "da", da, sum(da0, NewMat(rank, in)), 0)
			near(t, "db", db, sum(db0, NewMat(out, rank)), 0)
		}
	})
}
