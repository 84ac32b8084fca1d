package simd

// HalvesInWords is true where Halves8 writes numbers as words, of which Pairs8 makes
// pairs of blocks; elsewhere they are upper and lower bytes.
const HalvesInWords = true

// Functions by the number of rows they multiply; nil where there is none.
var (
	GemmTiles512 = [15]GemmFunc{nil, Gemm512x1, Gemm512x2, Gemm512x3, Gemm512x4, Gemm512x5, Gemm512x6, Gemm512x7,
		Gemm512x8, Gemm512x9, Gemm512x10, Gemm512x11, Gemm512x12, Gemm512x13, Gemm512x14}

	// For panels of B of which 16 columns or fewer exist.
	GemmHalfTiles512 = [15]GemmFunc{nil, Gemm512x1half, Gemm512x2half, Gemm512x3half, Gemm512x4half, Gemm512x5half, Gemm512x6half,
		Gemm512x7half, Gemm512x8half, Gemm512x9half, Gemm512x10half, Gemm512x11half, Gemm512x12half, Gemm512x13half, Gemm512x14half}

	// By element type of the operand as well: f32, f16, bf16. They pack B, a
	// whole panel of 32 columns, on the way. Only the row counts that occur
	// where there are many rows.
	GemmPackingTiles512 = [3][15]GemmPackingFunc{
		{12: Gemm512x12F32, Gemm512x13F32, Gemm512x14F32},
		{12: Gemm512x12F16, Gemm512x13F16, Gemm512x14F16},
		{12: Gemm512x12BF16, Gemm512x13BF16, Gemm512x14BF16},
	}

	GemmTiles8 = [15]GemmFunc8{nil, Gemm8x1, Gemm8x2, Gemm8x3, Gemm8x4, Gemm8x5, Gemm8x6}

	RowTiles512 = [15]RowGemmFunc{nil, RowGemm512x1, RowGemm512x2, RowGemm512x3, RowGemm512x4, RowGemm512x5, RowGemm512x6, RowGemm512x7,
		RowGemm512x8, RowGemm512x9, RowGemm512x10, RowGemm512x11, RowGemm512x12, RowGemm512x13, RowGemm512x14}

	// For 16 columns, or fewer, of a panel of 32.
	RowHalfTiles512 = [15]RowGemmFunc{nil, RowGemm512x1half, RowGemm512x2half, RowGemm512x3half, RowGemm512x4half, RowGemm512x5half,
		RowGemm512x6half, RowGemm512x7half, RowGemm512x8half, RowGemm512x9half, RowGemm512x10half, RowGemm512x11half, RowGemm512x12half,
		RowGemm512x13half, RowGemm512x14half}

	RowTiles8 = [15]RowGemmFunc{nil, RowGemm8x1, RowGemm8x2, RowGemm8x3, RowGemm8x4, RowGemm8x5, RowGemm8x6}

	// By the stored type as well, in the order of kernels.DType.
	FewRows8 = [8][5]FewFunc{
		{nil, Few8F32x1, Few8F32x2, Few8F32x3, Few8F32x4},
		{nil, Few8F16x1, Few8F16x2, Few8F16x3, Few8F16x4},
		{nil, Few8BF16x1, Few8BF16x2, Few8BF16x3, Few8BF16x4},
		{nil, Few8Q8_0x1, Few8Q8_0x2, Few8Q8_0x3, Few8Q8_0x4},
		{nil, Few8Q4_0x1, Few8Q4_0x2, Few8Q4_0x3, Few8Q4_0x4},
		{nil, Few8Q4_1x1, Few8Q4_1x2, Few8Q4_1x3, Few8Q4_1x4},
		{nil, Few8Q4_Kx1, Few8Q4_Kx2, Few8Q4_Kx3, Few8Q4_Kx4},
		{nil, Few8Q6_Kx1, Few8Q6_Kx2, Few8Q6_Kx3, Few8Q6_Kx4},
	}

	Int8Tiles8 = [7]Int8SignedFunc{nil, Int8Gemm8x1, Int8Gemm8x2, Int8Gemm8x3, Int8Gemm8x4, Int8Gemm8x5}

	Int8Tiles512 = [15]Int8GemmFunc{nil, Int8Gemm512x1, Int8Gemm512x2, Int8Gemm512x3, Int8Gemm512x4, Int8Gemm512x5, Int8Gemm512x6,
		Int8Gemm512x7, Int8Gemm512x8, Int8Gemm512x9, Int8Gemm512x10, Int8Gemm512x11, Int8Gemm512x12, Int8Gemm512x13, Int8Gemm512x14}
)
