package kernels

type tileFunc = func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int, mask, acc uint64, ahead *byte, step int, next *float32)

type packingFunc = func(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, from *float32, ldf int, mask, acc uint64, ahead *byte, step int, next *float32, src *byte, lds int)

var tile512 = [15]tileFunc{nil, gemm512x1, gemm512x2, gemm512x3, gemm512x4, gemm512x5, gemm512x6, gemm512x7,
	gemm512x8, gemm512x9, gemm512x10, gemm512x11, gemm512x12, gemm512x13, gemm512x14}

// The same for panels of B of which 16 columns or fewer are there.
var half512 = [15]tileFunc{nil, gemm512x1half, gemm512x2half, gemm512x3half, gemm512x4half, gemm512x5half, gemm512x6half, gemm512x7half,
	gemm512x8half, gemm512x9half, gemm512x10half, gemm512x11half, gemm512x12half, gemm512x13half, gemm512x14half}

// The same for a panel of 32 columns that is still where the operand lies: the
// tile packs it. Only the sizes that come up where there are rows enough.
var packing512 = [...][15]packingFunc{
	F32:  {12: gemm512x12F32, gemm512x13F32, gemm512x14F32},
	F16:  {12: gemm512x12F16, gemm512x13F16, gemm512x14F16},
	BF16: {12: gemm512x12BF16, gemm512x13BF16, gemm512x14BF16},
}

var tile256 = [15]tileFunc{nil, gemm256x1, gemm256x2, gemm256x3, gemm256x4, gemm256x5, gemm256x6}

// packT transposes up to 16 rows into a panel.
func packT(d DType, cols, rows int, src *byte, stride int, dst *float32, ldd int, lanes uint64) {
	switch d {
	case F32:
		packT512F32(cols, rows, src, stride, dst, ldd, lanes)
	case F16:
		packT512F16(cols, rows, src, stride, dst, ldd, lanes)
	default:
		packT512BF16(cols, rows, src, stride, dst, ldd, lanes)
	}
}

// packN copies 32 columns of k rows into a panel.
func packN(d DType, k int, src *byte, stride int, dst *float32) {
	switch d {
	case F32:
		packN512F32(k, src, stride, dst)
	case F16:
		packN512F16(k, src, stride, dst)
	default:
		packN512BF16(k, src, stride, dst)
	}
}

// packT256 transposes up to 8 rows into a panel, eight columns at a time.
func packT256(d DType, blocks, rows int, src *byte, stride int, dst *float32, ldd int) {
	switch d {
	case F32:
		packT256F32(blocks, rows, src, stride, dst, ldd)
	case F16:
		packT256F16(blocks, rows, src, stride, dst, ldd)
	default:
		packT256BF16(blocks, rows, src, stride, dst, ldd)
	}
}

// packN256 copies 16 columns of k rows into a panel.
func packN256(d DType, k int, src *byte, stride int, dst *float32) {
	switch d {
	case F32:
		packN256F32(k, src, stride, dst)
	case F16:
		packN256F16(k, src, stride, dst)
	default:
		packN256BF16(k, src, stride, dst)
	}
}
