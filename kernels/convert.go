package kernels

import (
	"math"
	"unsafe"

	"lorac/kernels/simd"
)

// Half converts an IEEE 754 binary16 to f32.
func Half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exp {
	case 0:
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7F800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// BFloat converts a bfloat16 to f32.
func BFloat(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

func cvtF16(dst []float32, src []uint16) {
	if has512 && len(dst) > 0 {
		simd.Widen512F16(&dst[0], (*byte)(unsafe.Pointer(&src[0])), len(dst))
		return
	}
	done := 0
	if has8 && len(dst) >= 8 {
		done = len(dst) &^ 7
		simd.Widen8F16(&dst[0], (*byte)(unsafe.Pointer(&src[0])), done)
	}
	for i, h := range src[done:] {
		dst[done+i] = Half(h)
	}
}

func cvtBF16(dst []float32, src []uint16) {
	if has512 && len(dst) > 0 {
		simd.Widen512BF16(&dst[0], (*byte)(unsafe.Pointer(&src[0])), len(dst))
		return
	}
	done := 0
	if has8 && len(dst) >= 8 {
		done = len(dst) &^ 7
		simd.Widen8BF16(&dst[0], (*byte)(unsafe.Pointer(&src[0])), done)
	}
	for i, h := range src[done:] {
		dst[done+i] = BFloat(h)
	}
}
