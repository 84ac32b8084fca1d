//go:build !amd64

package kernels

// The assembly of other processors; never called here.

func scores512(k int, a, b, c *float32, tiles int, ahead *byte, step int) { panic("unreachable") }
func logSum512(lse, top, sum *float32, c float32)                         { panic("unreachable") }
