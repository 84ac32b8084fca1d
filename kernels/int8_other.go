//go:build !amd64

package kernels

const hasVNNI = false

var int8Tiles [15]func(k int, a, b *byte, bias *int32, scaleB, scaleA, c *float32, ldc int, mask, acc uint64, ahead *byte, step int)

func bias512(k int, b *byte, bias *int32)                          { panic("unreachable") }
func quads512(k int, src *byte, stride int, dst *byte)             { panic("unreachable") }
func bytes512(q *byte, x *float32, n int, by float32, flip uint64) { panic("unreachable") }
func maxAbs512(y, x, mul *float32, n int) float32                  { panic("unreachable") }
