//go:build !amd64

package kernels

// The assembly of other processors; never called here.

func add512(y, a, b *float32, n int)                                     { panic("unreachable") }
func mul512(y, a, b *float32, n int)                                     { panic("unreachable") }
func scale512(y, x *float32, n int, by float32)                          { panic("unreachable") }
func sumSquares512(x, soon *float32, n int) float64                      { panic("unreachable") }
func norm512(y, x, w, soon *float32, n int, r float32)                   { panic("unreachable") }
func dot3x512(d, w, x, soon *float32, n int) float64                     { panic("unreachable") }
func normGrad512(dx, d, w, x, soon, later *float32, n int, r, s float32) { panic("unreachable") }
func normGradAdd512(dx, res, d, w, x, soon, later *float32, n int, r, s float32) {
	panic("unreachable")
}
func max512(x *float32, n int) float32                                        { panic("unreachable") }
func sumExp512(x *float32, n int, shift float32) float64                      { panic("unreachable") }
func rope512(y, x, cos, sin *float32, half, heads int, sign float32)          { panic("unreachable") }
func normGradW512(sum *float64, d, x, soon, later *float32, n int, r float64) { panic("unreachable") }
func swiglu256(h, g, u *float32, n int)                                       { panic("unreachable") }
func swigluGrad256(dg, du, dh, g, u *float32, n int)                          { panic("unreachable") }
func expSum256(dst, src *float32, n int, shift float32) float32               { panic("unreachable") }
