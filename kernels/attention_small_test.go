package kernels

import (
	"fmt"
	"math"
	"testing"
)

// attentionOf runs forward and backward on inputs of a shape and compares them
// with the twin.
func attentionOf(t *testing.T, starts, rows []int32, n, heads, kv, hd int) {
	t.Helper()
	nq := n
	if rows != nil {
		nq = len(rows)
	}
	q, do, k, v := randMat(nq, heads*hd), randMat(nq, heads*hd), randMat(n, kv*hd), randMat(n, kv*hd)
	scale := float32(1 / math.Sqrt(float64(hd)))
	o, lse := randMat(nq, heads*hd), randMat(nq, heads)
	dq, dk, dv := randMat(nq, heads*hd), randMat(n, kv*hd), randMat(n, kv*hd)
	ctx.Attention(o, lse, q, k, v, starts, rows, heads, kv, scale)
	ctx.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, starts, rows, heads, kv, scale)
	wo, wl, wq, wk, wv := refAttention(q, k, v, starts, rows, heads, kv, float64(scale), &do)
	shape := fmt.Sprintf("%d rows, sequences %v, queries %v, %d:%d heads of %d: ", n, starts, rows, heads, kv, hd)
	near(t, shape+"o", o, wo, 1e-5)
	near(t, shape+"lse", lse, wl, 1e-5)
	near(t, shape+"dq", dq, wq, 1e-4)
	near(t, shape+"dk", dk, wk, 1e-4)
	near(t, shape+"dv", dv, wv, 1e-4)
}

// Every length of a sequence up to beyond a panel, every head size up to
// beyond a register, and the sizes at the edges of tiles, panels and blocks.
func TestEverySmallAttention(t *testing.T) {
	paths(t, func(t *testing.T) {
		for n := 1; n <= 36; n++ {
			attentionOf(t, []int32{0}, nil, n, 1, 1, 5)
			attentionOf(t, []int32{0}, nil, n, 2, 1, 16)
		}
		for hd := 1; hd <= 35; hd++ {
			attentionOf(t, []int32{0, 1, 8}, nil, 23, 2, 2, hd)
		}
		for _, hd := range []int{47, 48, 63, 64, 65, 80, 96, 127, 128, 129, 256} {
			attentionOf(t, []int32{0, 17}, nil, 50, 2, 1, hd)
		}
		for _, n := range []int{111, 112, 113, 127, 128, 129, 181, 182, 183, 255, 256, 257} {
			attentionOf(t, []int32{0}, nil, n, 2, 2, 3)
			attentionOf(t, []int32{0, 1}, nil, n, 3, 1, 2)
		}
		// Sequences of one token each, and empty ones between.
		attentionOf(t, []int32{0, 1, 2, 3, 4}, nil, 5, 4, 2, 8)
		attentionOf(t, []int32{0, 0, 3, 3, 3, 5}, nil, 5, 2, 2, 7)
		// Queries of a few rows only, some of no sequence.
		attentionOf(t, []int32{0, 60, 70, 200}, []int32{0, 1, 45, 59, 69, 130, 131, 199, 200, 299}, 300, 4, 2, 9)
		attentionOf(t, []int32{0, 100, 150}, []int32{149}, 200, 2, 1, 33)
		var odd []int32
		for i := int32(1); i < 300; i += 2 {
			odd = append(odd, i)
		}
		attentionOf(t, []int32{0, 20, 53}, odd, 300, 2, 1, 6)
	})
}

// Rows as they lie against packed ones, at every size of a tile.
func TestTileRows(t *testing.T) {
	paths(t, func(t *testing.T) {
		mr, nr := tileSize()
		for n := 1; n <= 2*mr+1; n++ {
			for _, k := range []int{1, 2, 3, 4, 5, 15, 64, 131} {
				for _, cols := range []int{1, nr/2 - 1, nr / 2, nr - 1, nr} {
					for _, acc := range []bool{false, true} {
						a, b, c := randMat(n, k), randMat(1, k*nr).Row(0), randMat(n, cols)
						was := Mat{append([]float32{}, c.Data...), n, cols, c.Stride}
						tileRows(n, k, a.Data, a.Stride, b, c.Data, c.Stride, cols, acc, hint{})
						nearFunc(t, fmt.Sprintf("%d rows, %d terms, %d columns, acc=%v", n, k, cols, acc), c, 1e-5, func(i, j int) float64 {
							sum := 0.0
							if acc {
								sum = float64(was.Row(i)[j])
							}
							for q := range k {
								sum += float64(a.Row(i)[q]) * float64(b[q*nr+j])
							}
							return sum
						})
						for i := range n - 1 { // the gap after a row
							for j := cols; j < c.Stride; j++ {
								if at := i*c.Stride + j; c.Data[at] != was.Data[at] {
									t.Fatalf("%d columns of %d rows: column %d of row %d was written", cols, n, j, i)
								}
							}
						}
					}
				}
			}
		}
	})
}

// A score that is infinite or NaN spoils the rows that see it, and no
// other; one of -∞ is a probability of zero.
func TestAttentionInfinities(t *testing.T) {
	paths(t, func(t *testing.T) {
		const n, hd, bad = 60, 8, 21
		q, k, v := dense(n, hd), dense(n, hd), dense(n, hd)
		for i := range n {
			q.Row(i)[0] = 1
		}
		clean, lse := NewMat(n, hd), NewMat(n, 1)
		ctx.Attention(clean, lse, q, k, v, []int32{0, 40}, nil, 1, 1, 0.3)
		for _, x := range []float32{nan, inf, -inf} {
			spoilt := clone(k)
			spoilt.Row(bad)[0] = x
			o := NewMat(n, hd)
			ctx.Attention(o, lse, q, spoilt, v, []int32{0, 40}, nil, 1, 1, 0.3)
			for i := range n {
				y := float64(o.Row(i)[3])
				switch sees := i >= bad && i < 40; {
				case !sees && float32(y) != clean.Row(i)[3]:
					t.Errorf("a key of %v: row %d is %v, without it %v", x, i, y, clean.Row(i)[3])
				case sees && x == -inf && (math.IsNaN(y) || math.IsInf(y, 0)):
					t.Errorf("a key of %v: row %d is %v", x, i, y)
				case sees && x != -inf && !math.IsNaN(y):
					t.Errorf("a key of %v: row %d is %v", x, i, y)
				}
			}
		}
		// Scores far beyond what exp takes: the greatest wins, nothing overflows.
		for _, huge := range []float32{1e4, 1e9, 1e18} {
			q, k, v := NewMat(2, 1), NewMat(2, 1), NewMat(2, 1)
			q.Data[1], k.Data[0], k.Data[1], v.Data[0], v.Data[1] = huge, huge, huge/2, 5, 7
			o, lse := NewMat(2, 1), NewMat(2, 1)
			ctx.Attention(o, lse, q, k, v, []int32{0}, nil, 1, 1, 1)
			if o.Data[1] != 5 || lse.Data[1] != huge*huge {
				t.Errorf("scores of %v: output %v, not 5; lse %v", huge, o.Data[1], lse.Data[1])
			}
		}
	})
}

// The memory attention takes is what the estimate says.
func TestAttentionScratch(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, c := range []struct{ n, heads, kv, hd int }{{1, 1, 1, 4}, {70, 4, 2, 48}, {40, 8, 1, 64}, {70, 2, 2, 129}} {
			setThreads(ctx.Threads()) // an empty one
			attentionOf(t, []int32{0}, nil, c.n, c.heads, c.kv, c.hd)
			for i := range ctx.workers {
				w := &ctx.workers[i]
				if len(w.attention) != 0 && len(w.attention) != attentionFloats(c.hd, c.heads/c.kv) && ctx.Threads() == 1 || len(w.attention) > attentionFloats(c.hd, c.heads/c.kv) {
					t.Errorf("%v: thread %d has %d floats, estimated %d", c, i, len(w.attention), attentionFloats(c.hd, c.heads/c.kv))
				}
			}
			if len(ctx.delta) != c.n*c.heads {
				t.Errorf("%v: delta is %d floats, estimated %d", c, len(ctx.delta), c.n*c.heads)
			}
		}
	})
}

// A row that does not see itself: as the reference's, of keys without that row.
func TestBlindAttention(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, c := range []struct {
			n            int
			starts, rows []int32
		}{
			{9, []int32{0, ^3, 7}, nil}, {40, []int32{^0}, nil}, {33, []int32{^0}, nil}, {300, []int32{0, ^20}, nil},
			{160, []int32{^0, 128}, []int32{3, 127, 128, 159}}, {5, []int32{0, ^4}, nil}, // which has no other row
		} {
			nq := c.n
			if c.rows != nil {
				nq = len(c.rows)
			}
			q, k, v := randMat(nq, 16), randMat(c.n, 8), randMat(c.n, 8)
			o, lse := randMat(nq, 16), randMat(nq, 2)
			ctx.Attention(o, lse, q, k, v, c.starts, c.rows, 2, 1, 0.35)
			plain := make([]int32, len(c.starts))
			for n, s := range c.starts {
				plain[n] = max(s, ^s)
			}
			wo, wl, _, _, _ := refAttention(q, k, v, plain, c.rows, 2, 1, 0.35, nil)
			for n, s := range c.starts {
				last := int32(c.n - 1)
				if n+1 < len(plain) {
					last = plain[n+1] - 1
				}
				if s >= 0 || last == plain[n] {
					continue
				}
				for i := range nq {
					if position(c.rows, i) != int(last) {
						continue
					}
					wo[i], wl[i] = make([]float64, 16), make([]float64, 2)
					for h := range 2 {
						sum := 0.0
						for j := int(plain[n]); j < int(last); j++ {
							s := 0.0
							for x := range 8 {
								s += 0.35 * float64(q.Row(i)[8*h+x]) * float64(k.Row(j)[x])
							}
							sum += math.Exp(s)
							for x := range 8 {
								wo[i][8*h+x] += math.Exp(s) * float64(v.Row(j)[x])
							}
						}
						for x := range 8 {
							wo[i][8*h+x] /= sum
						}
						wl[i][h] = math.Log(sum)
					}
				}
			}
			near(t, fmt.Sprint(c.starts, " o"), o, wo, 1e-5)
			near(t, fmt.Sprint(c.starts, " lse"), lse, wl, 1e-5)
		}
	})
}
