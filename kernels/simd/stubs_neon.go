//go:build !arm64

package simd

// NEON and DotProduct are false: this is not arm64. What needs them panics.
const NEON, DotProduct = false, false

const noNEON = "simd: no NEON"

var (
	FewRowsDot   [8][5]FewFunc
	Int8TilesDot [7]Int8DotFunc
)

func InterleaveBytesNEON(k int, src *byte, stride int, dst *byte)        { panic(noNEON) }
func MaxAbsNEON(x *float32, n int) float32                               { panic(noNEON) }
func RoundBytesNEON(q *byte, x *float32, n int, by float32, flip uint64) { panic(noNEON) }
