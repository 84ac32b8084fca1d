//go:build !amd64

package kernels

func deqBlocks(d DType, n int, src *byte, stride int, dst *float32)          { panic("unreachable") }
func nibbles512(src *byte, shift uint64, d, m float32, dst *float32)         { panic("unreachable") }
func sixes512(lo, hi *byte, down, over uint64, d0, d1 float32, dst *float32) { panic("unreachable") }
func fit4x512(sxq, sqq, x, by *float32)                                      { panic("unreachable") }
