package kernels

import "testing"

// TestAddMatMul: the sum is the same in place and apart, and c stays as it was apart.
func TestAddMatMul(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, rows := range []int{0, 1, 5, 33} {
			c, dy, w := randMat(rows, 19), randMat(rows, 7), dense(7, 19)
			before := append([]float32(nil), c.Data...)
			want := refProduct(rows, 19, 7, at(dy), at2(w))
			for i := range rows {
				for j := range 19 {
					want[i][j] += float64(c.Row(i)[j])
				}
			}
			y := NewMat(rows, 19)
			ctx.AddMatMul(y, c, dy, w.Weight())
			near(t, "apart", y, want, 1e-5)
			for i, x := range before {
				if c.Data[i] != x {
					t.Fatal("c was written to")
				}
			}
			ctx.AddMatMul(c, c, dy, w.Weight())
			near(t, "in place", c, want, 1e-5)
		}
	})
}
