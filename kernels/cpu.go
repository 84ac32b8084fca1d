package kernels

import "lorac/kernels/simd"

// The instruction sets the kernels use. They are variables so that tests can
// take every path; nothing else changes them.
var (
	has512, has256 = simd.AVX512, simd.AVX2
	hasVNNI        = simd.VNNI // with has512
	hasNEON        = simd.NEON
)
