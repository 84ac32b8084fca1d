package simd

// Functions by the number of rows they multiply; nil where there is none.
var (
	GemmTiles8 = [15]GemmFunc8{nil, Gemm8x1, Gemm8x2, Gemm8x3, Gemm8x4, Gemm8x5, Gemm8x6}
	RowTiles8  = [15]RowGemmFunc{nil, RowGemm8x1, RowGemm8x2, RowGemm8x3, RowGemm8x4, RowGemm8x5, RowGemm8x6}

	// By stored type as well, in the order of kernels.DType.
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

	// The same by the dot product of bytes.
	FewRowsDot = [8][5]FewFunc{
		FewRows8[0], FewRows8[1], FewRows8[2], FewRows8[3],
		{nil, FewDotQ4_0x1, FewDotQ4_0x2, FewDotQ4_0x3, FewDotQ4_0x4},
		{nil, FewDotQ4_1x1, FewDotQ4_1x2, FewDotQ4_1x3, FewDotQ4_1x4},
		{nil, FewDotQ4_Kx1, FewDotQ4_Kx2, FewDotQ4_Kx3, FewDotQ4_Kx4},
		{nil, FewDotQ6_Kx1, FewDotQ6_Kx2, FewDotQ6_Kx3, FewDotQ6_Kx4},
	}

	Int8Tiles8 = [7]Int8SignedFunc{nil, Int8Gemm8x1, Int8Gemm8x2, Int8Gemm8x3, Int8Gemm8x4, Int8Gemm8x5, Int8Gemm8x6}
)
