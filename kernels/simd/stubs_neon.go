//go:build !arm64

package simd

// NEON and DotProduct are false: this is not arm64. What needs them panics.
const NEON, DotProduct = false, false

var FewRowsDot [8][5]FewFunc
