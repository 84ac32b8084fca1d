package kernels

import (
	"math"
	"testing"
)

// Texts of one next row and of several, side by side in the caches, some longer than
// a block of keys: each attends to its own rows alone, in float64.
func TestCachedAttentionOfTexts(t *testing.T) {
	const size = 1500
	paths(t, func(t *testing.T) {
		for _, c := range []struct{ heads, kv, hd int }{{4, 2, 16}, {3, 1, 40}, {2, 2, 7}} {
			texts := []struct{ seen, rows, base int }{{1400, 1, size}, {0, 1, 0}, {3, 5, 3 * size}, {0, 3, 2 * size}, {1030, 1, 4 * size}, {13, 1, 20}}
			keys, values := NewMat(5*size, c.kv*c.hd), NewMat(5*size, c.kv*c.hd)
			var starts, base, pos []int32
			for _, x := range texts {
				starts, base = append(starts, int32(len(pos))), append(base, int32(x.base))
				for i := range x.seen {
					copy(keys.Row(x.base+i), dense(1, keys.Cols).Data)
					copy(values.Row(x.base+i), dense(1, keys.Cols).Data)
				}
				for i := range x.rows {
					pos = append(pos, int32(x.seen+i))
				}
			}
			n := len(pos)
			q, k, v, o := dense(n, c.heads*c.hd), dense(n, c.kv*c.hd), dense(n, c.kv*c.hd), NewMat(n, c.heads*c.hd)
			ctx.CachedAttention(o, q, k, v, pos, keys, values, starts, base, c.heads, c.kv, 0.3)
			row := 0
			for _, x := range texts {
				for i := range x.rows {
					for h := range c.heads {
						g := h / (c.heads / c.kv) * c.hd
						p, sum := make([]float64, x.seen+i+1), 0.0
						for j := range p {
							s := 0.0
							for d := range c.hd {
								s += float64(q.Row(row)[h*c.hd+d]) * float64(keys.Row(x.base + j)[g+d])
							}
							p[j] = math.Exp(0.3 * s)
							sum += p[j]
						}
						nearVec(t, "attention", o.Row(row)[h*c.hd:(h+1)*c.hd], 1e-5, func(d int) (w float64) {
							for j := range p {
								w += p[j] / sum * float64(values.Row(x.base + j)[g+d])
							}
							return w
						})
					}
					row++
				}
			}
		}
	})
}
