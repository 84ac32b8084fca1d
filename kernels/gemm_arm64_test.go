package kernels

import "testing"

// The NEON kernels and the plain one sum in the same order; they may differ
// in how the processor rounds a multiplication and an addition together.
func TestNEONTiles(t *testing.T) {
	if !hasNEON {
		t.Skip("LORAC_CPU=go")
	}
	for r := 1; r <= 6; r++ {
		for _, k := range []int{1, 2, 7, 64} {
			for _, n := range []int{1, 15, 16} {
				for _, acc := range []bool{false, true} {
					a, b, c := dense(k, r+2), dense(k, 19), dense(r, 21)
					want := clone(c)
					tileGo(r, k, a.Data, a.Stride, b.Data, b.Stride, want.Data, want.Stride, n, acc)
					tileStrided(r, k, a.Data, a.Stride, b.Data, b.Stride, c.Data, c.Stride, n, acc, hint{})
					for i, x := range c.Data {
						if d := x - want.Data[i]; d > 1e-5 || d < -1e-5 {
							t.Fatalf("%d rows, %d terms, %d columns, acc %v: element %d is %v, not %v", r, k, n, acc, i, x, want.Data[i])
						}
					}
				}
			}
		}
	}
}
