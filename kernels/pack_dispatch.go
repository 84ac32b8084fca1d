package kernels

import "lorac/kernels/simd"

// The packers in assembly, by the stored type of the operand: F32, F16 or BF16.

// packT transposes up to 16 rows into a panel.
func packT(d DType, cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	switch d {
	case F32:
		simd.PackT512F32(cols, rows, src, stride, dst, ldd, lanes)
	case F16:
		simd.PackT512F16(cols, rows, src, stride, dst, ldd, lanes)
	default:
		simd.PackT512BF16(cols, rows, src, stride, dst, ldd, lanes)
	}
}

// packN copies 32 columns of k rows into a panel.
func packN(d DType, k int, src *byte, stride int, dst *float32) {
	switch d {
	case F32:
		simd.PackN512F32(k, src, stride, dst)
	case F16:
		simd.PackN512F16(k, src, stride, dst)
	default:
		simd.PackN512BF16(k, src, stride, dst)
	}
}

// packT8 transposes up to 8 rows into a panel, eight columns at a time.
func packT8(d DType, blocks, rows int, src *byte, stride int, dst *float32, ldd int) {
	switch d {
	case F32:
		simd.PackT8F32(blocks, rows, src, stride, dst, ldd)
	case F16:
		simd.PackT8F16(blocks, rows, src, stride, dst, ldd)
	default:
		simd.PackT8BF16(blocks, rows, src, stride, dst, ldd)
	}
}

// packN8 copies 16 columns of k rows into a panel.
func packN8(d DType, k int, src *byte, stride int, dst *float32) {
	switch d {
	case F32:
		simd.PackN8F32(k, src, stride, dst)
	case F16:
		simd.PackN8F16(k, src, stride, dst)
	default:
		simd.PackN8BF16(k, src, stride, dst)
	}
}
