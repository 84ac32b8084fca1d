package simd

import (
	"os"
	"strings"
)

// The instruction sets that may be used here: those of this processor and
// system, fewer when LORAC_CPU=avx2 or LORAC_CPU=go asks for it, to test the
// other paths. AVX512 stands for F, DQ, BW and VL, and implies AVX2; AVX2 stands
// for AVX2, FMA and F16C; VNNI is VPDPBUSD of 512 bits.
var AVX512, AVX2, VNNI = detect()

func detect() (avx512, avx2, vnni bool) {
	max, _, _, _ := cpuid(0, 0)
	if max < 7 {
		return false, false, false
	}
	_, _, c1, _ := cpuid(1, 0)
	const osxsave, fma, avx, f16c = 1 << 27, 1 << 12, 1 << 28, 1 << 29
	if c1&osxsave == 0 || c1&fma == 0 || c1&avx == 0 || c1&f16c == 0 {
		return false, false, false
	}
	state := xgetbv()
	_, b7, c7, _ := cpuid(7, 0)
	const f, dq, bw, vl, avx2bit, vnnibit = 1 << 16, 1 << 17, 1 << 30, 1 << 31, 1 << 5, 1 << 11
	avx2 = state&6 == 6 && b7&avx2bit != 0
	avx512 = avx2 && state&0xE6 == 0xE6 && b7&f != 0 && b7&dq != 0 && b7&bw != 0 && b7&vl != 0
	switch os.Getenv("LORAC_CPU") {
	case "avx2":
		avx512 = false
	case "go":
		avx512, avx2 = false, false
	}
	return avx512, avx2, avx512 && c7&vnnibit != 0
}

// Lacks names what keeps AVX2 from being used, for people.
func Lacks() string {
	if text := os.Getenv("LORAC_CPU"); text == "go" {
		return "LORAC_CPU=go turns vector instructions off"
	}
	max, _, _, _ := cpuid(0, 0)
	_, _, c1, _ := cpuid(1, 0)
	var list []string
	for _, f := range []struct {
		name string
		bit  uint
	}{{"AVX", 28}, {"FMA", 12}, {"F16C", 29}} {
		if c1>>f.bit&1 == 0 {
			list = append(list, f.name)
		}
	}
	if max < 7 {
		list = append(list, "AVX2")
	} else if _, b7, _, _ := cpuid(7, 0); b7>>5&1 == 0 {
		list = append(list, "AVX2")
	}
	if list == nil {
		return "the system does not save AVX registers"
	}
	return "the processor has no " + strings.Join(list, ", ")
}
