package simd

// The assembly, one pair of files for each group of functions. The generator for amd64 is a
// module of its own, so that nothing else depends on avo; that for arm64 needs nothing.
//
//go:generate sh -c "cd gen && for g in cpu gemm pack convert half elementwise vector vector256 attention rows quant int8 few; do go run . -group $DOLLAR{g} -out ../asm_$DOLLAR{g}_amd64.s -stubs ../asm_$DOLLAR{g}_amd64.go -pkg simd || exit 1; done"
//go:generate go run ./neongen
