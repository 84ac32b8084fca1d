package kernels

import (
	"fmt"
	"os"

	"lorac/kernels/simd"
)

// The instruction sets the kernels use: has8 stands for kernels that take eight f32 at
// a time, by AVX2 or NEON, whose names have an 8. They are variables so that tests can
// take every path; nothing else changes them.
var (
	has512, has8 = simd.AVX512, simd.AVX2 || simd.NEON
	hasVNNI      = simd.VNNI       // with has512
	hasNEON      = simd.NEON       // with has8
	hasDot       = simd.DotProduct // with hasNEON
)

// WrongCPU says what is wrong with LORAC_CPU, which chooses among the instruction sets: it
// names none, or one that is missing here; "" if nothing is.
func WrongCPU() string { return wrongCPU(os.Getenv("LORAC_CPU")) }

func wrongCPU(asked string) string {
	here, known := map[string]bool{"": true, "go": true, "avx2": simd.AVX2, "avx512": has512, "neon": hasNEON}[asked]
	switch {
	case !known:
		return fmt.Sprintf("LORAC_CPU is %.40q, must be avx512, avx2, neon or go", asked)
	case !here:
		return fmt.Sprintf("LORAC_CPU is %s, which this processor does not have", asked)
	}
	return ""
}
