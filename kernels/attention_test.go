package kernels

import (
	"math"
	"testing"
)

// refAttention returns output and, for do given, gradients of q, k and v.
func refAttention(q, k, v Mat, starts, rows []int32, heads, kv int, scale float64, do *Mat) (o, lse, dq, dk, dv [][]float64) {
	hd := q.Cols / heads
	grid := func(r, c int) [][]float64 {
		out := make([][]float64, r)
		for i := range out {
			out[i] = make([]float64, c)
		}
		return out
	}
	o, lse, dq, dk, dv = grid(q.Rows, q.Cols), grid(q.Rows, heads), grid(q.Rows, q.Cols), grid(k.Rows, k.Cols), grid(k.Rows, k.Cols)
	for i := range q.Rows {
		pos := position(rows, i)
		first := 0
		for _, s := range starts {
			if int(s) <= pos {
				first = int(s)
			}
		}
		for h := range heads {
			g := h / (heads / kv) * hd
			s := make([]float64, pos+1)
			sum := 0.0
			for j := first; j <= pos; j++ {
				for c := range hd {
					s[j] += float64(q.Row(i)[h*hd+c]) * float64(k.Row(j)[g+c]) * scale
				}
				sum += math.Exp(s[j])
			}
			lse[i][h] = math.Log(sum)
			delta := 0.0
			for j := first; j <= pos; j++ {
				p := math.Exp(s[j]) / sum
				for c := range hd {
					o[i][h*hd+c] += p * float64(v.Row(j)[g+c])
				}
			}
			if do == nil {
				continue
			}
			for c := range hd {
				delta += o[i][h*hd+c] * float64(do.Row(i)[h*hd+c])
			}
			for j := first; j <= pos; j++ {
				p, dp := math.Exp(s[j])/sum, 0.0
				for c := range hd {
					dp += float64(do.Row(i)[h*hd+c]) * float64(v.Row(j)[g+c])
					dv[j][g+c] += p * float64(do.Row(i)[h*hd+c])
				}
				ds := p * (dp - delta) * scale
				for c := range hd {
					dq[i][h*hd+c] += ds * float64(k.Row(j)[g+c])
					dk[j][g+c] += ds * float64(q.Row(i)[h*hd+c])
				}
			}
		}
	}
	return
}

func TestAttention(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, c := range []struct {
			n, heads, kv, hd int
			starts, rows     []int32
		}{
			{1, 1, 1, 2, []int32{0}, nil},
			{17, 4, 2, 8, []int32{0, 3, 4, 11}, nil},
			{300, 2, 1, 16, []int32{0, 280}, nil},
			{600, 1, 1, 64, []int32{0}, nil},
			{40, 3, 3, 6, []int32{0, 9, 30}, []int32{2, 3, 8, 31, 39}},
			{520, 2, 2, 8, []int32{0, 500}, []int32{0, 255, 256, 257, 499, 519}},
		} {
			nq := c.n
			if c.rows != nil {
				nq = len(c.rows)
			}
			q, do := randMat(nq, c.heads*c.hd), randMat(nq, c.heads*c.hd)
			k, v := randMat(c.n, c.kv*c.hd), randMat(c.n, c.kv*c.hd)
			o, lse := randMat(nq, c.heads*c.hd), NewMat(nq, c.heads)
			scale := float32(1 / math.Sqrt(float64(c.hd)))
			ctx.Attention(o, lse, q, k, v, c.starts, c.rows, c.heads, c.kv, scale)
			wo, wl, wq, wk, wv := refAttention(q, k, v, c.starts, c.rows, c.heads, c.kv, float64(scale), &do)
			near(t, "o", o, wo, 1e-5)
			near(t, "lse", lse, wl, 1e-5)
			dq, dk, dv := randMat(nq, q.Cols), randMat(c.n, k.Cols), randMat(c.n, k.Cols)
			ctx.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, c.starts, c.rows, c.heads, c.kv, scale)
			near(t, "dq", dq, wq, 1e-4)
			near(t, "dk", dk, wk, 1e-4)
			near(t, "dv", dv, wv, 1e-4)
		}
	})
}
