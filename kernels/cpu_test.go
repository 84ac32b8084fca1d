package kernels

import (
	"testing"

	"lorac/kernels/simd"
)

// A choice of instructions that cannot be followed is named.
func TestWrongCPU(t *testing.T) {
	for asked, want := range map[string]bool{"": false, "go": false, "sse": true, "AVX2": true, "avx2": !simd.AVX2, "avx512": !has512, "neon": !hasNEON} {
		if got := wrongCPU(asked); (got != "") != want {
			t.Errorf("%q: %q", asked, got)
		}
	}
}
