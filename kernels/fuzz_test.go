package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// FuzzProduct compares the three products with their twin at any size, any
// stride, any stored type, on every instruction set.
func FuzzProduct(f *testing.F) {
	f.Add(uint16(14), uint16(32), uint16(256), uint8(0), uint64(1), false)
	f.Add(uint16(15), uint16(17), uint16(257), uint8(1), uint64(2), true)
	f.Add(uint16(230), uint16(1), uint16(1), uint8(2), uint64(3), true)
	f.Fuzz(func(t *testing.T, m, n, k uint16, d uint8, seed uint64, acc bool) {
		rows, cols, terms := int(m%300), int(n%200), int(k%600)+1
		if rows*cols*terms > 1<<21 {
			t.Skip("too large")
		}
		rng = rand.New(rand.NewPCG(seed, 0))
		w, wm := randWeight(DType(d%3), cols, terms)
		x, y0 := randMat(rows, terms), randMat(rows, cols)
		want := refProduct(rows, cols, terms, at(x), at(wm))
		dy, dx0, dw0 := randMat(rows, cols), randMat(rows, terms), randMat(cols, terms)
		wantX := refProduct(rows, terms, cols, at(dy), at2(wm))
		wantW := refProduct(cols, terms, rows, at2(dy), at2(x))
		paths(t, func(t *testing.T) {
			y, dx, dw := clone(y0), clone(dx0), clone(dw0)
			if acc {
				ctx.AddMatMulNT(y, x, w)
				ctx.AddMatMulNN(dx, dy, w)
				ctx.AddMatMulTN(dw, dy, x)
				near(t, "y += x·wᵀ", y, plus(want, y0), 1e-4)
				near(t, "dx += dy·w", dx, plus(wantX, dx0), 1e-4)
				near(t, "dw += dyᵀ·x", dw, plus(wantW, dw0), 1e-4)
				return
			}
			ctx.MatMulNT(y, x, w)
			ctx.MatMulNN(dx, dy, w)
			ctx.MatMulTN(dw, dy, x)
			near(t, "y = x·wᵀ", y, want, 1e-4)
			near(t, "dx = dy·w", dx, wantX, 1e-4)
			near(t, "dw = dyᵀ·x", dw, wantW, 1e-4)
		})
	})
}

// FuzzAttention makes sequences and supervised rows out of a seed and compares
// output and gradients with the twin.
func FuzzAttention(f *testing.F) {
	f.Add(uint16(20), uint8(2), uint8(1), uint8(4), uint64(1), false, float32(0.5))
	f.Add(uint16(300), uint8(3), uint8(0), uint8(7), uint64(2), true, float32(2))
	f.Fuzz(func(t *testing.T, n uint16, group, kv, half uint8, seed uint64, picked bool, scale float32) {
		tokens, kvHeads := int(n%400)+1, int(kv%3)+1
		heads, hd := kvHeads*(int(group%4)+1), int(half%20)+1
		if tokens*tokens*heads*hd > 1<<22 || !(math.Abs(float64(scale)) < 8) {
			t.Skip("too large")
		}
		rng = rand.New(rand.NewPCG(seed, 0))
		starts, rows := []int32{0}, []int32(nil)
		for i := 1; i < tokens; i++ {
			if rng.IntN(12) == 0 {
				starts = append(starts, int32(i))
			}
		}
		if picked {
			rows = []int32{}
			for i := range tokens {
				if rng.IntN(3) == 0 {
					rows = append(rows, int32(i))
				}
			}
		}
		nq := tokens
		if picked {
			nq = len(rows)
		}
		q, do, k, v := randMat(nq, heads*hd), randMat(nq, heads*hd), randMat(tokens, kvHeads*hd), randMat(tokens, kvHeads*hd)
		wo, wl, wq, wk, wv := refAttention(q, k, v, starts, rows, heads, kvHeads, float64(scale), &do)
		paths(t, func(t *testing.T) {
			o, lse := randMat(nq, heads*hd), randMat(nq, heads)
			dq, dk, dv := randMat(nq, heads*hd), randMat(tokens, kvHeads*hd), randMat(tokens, kvHeads*hd)
			ctx.Attention(o, lse, q, k, v, starts, rows, heads, kvHeads, scale)
			ctx.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, starts, rows, heads, kvHeads, scale)
			near(t, "o", o, wo, 1e-4)
			near(t, "lse", lse, wl, 1e-4)
			near(t, "dq", dq, wq, 1e-3)
			near(t, "dk", dk, wk, 1e-3)
			near(t, "dv", dv, wv, 1e-3)
		})
	})
}

// FuzzWeightFromBytes takes any claim about any bytes and reads what it accepts.
func FuzzWeightFromBytes(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63}, uint8(0), int64(1), int64(1))
	f.Add([]byte{}, uint8(1), int64(1)<<32, int64(1)<<32)
	f.Add([]byte{1, 2, 3}, uint8(2), int64(-1), int64(3))
	f.Add([]byte{}, uint8(2), int64(1)<<62, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, d uint8, rows, cols int64) {
		w, err := WeightFromBytes(b, DType(d%3), int(rows), int(cols))
		if err != nil {
			return
		}
		if got := len(w.Float32s()) * w.DType.Size(); got != len(b) {
			t.Fatalf("%s was taken for %d bytes", w, len(b))
		}
	})
}
