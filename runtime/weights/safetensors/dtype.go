package safetensors

import (
	"fmt"
	"math/bits"
)

// dtypes are the element types of the format with their size in bits, in the
// order of the reference implementation: its writer puts later types first.
var dtypes = []struct {
	name string
	bits uint64
}{
	{"BOOL", 8}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8}, {"I8", 8},
	{"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
	{"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16},
	{"I32", 32}, {"U32", 32}, {"F32", 32}, {"C64", 64}, {"F64", 64}, {"I64", 64}, {"U64", 64},
}

// dtypeRank is the place of a type in dtypes, or -1.
func dtypeRank(name string) int {
	for i := range dtypes {
		if dtypes[i].name == name {
			return i
		}
	}
	return -1
}

// byteSize is the number of bytes of a tensor. It rejects an unknown type, a
// negative dimension, a product that overflows, and a number of bits that is not
// a multiple of 8.
func byteSize(dtype string, shape []int) (uint64, error) {
	rank := dtypeRank(dtype)
	if rank < 0 {
		return 0, fmt.Errorf("dtype %q is not defined by the format", dtype)
	}
	n := uint64(1)
	for _, dim := range append([]int{int(dtypes[rank].bits)}, shape...) {
		if dim < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		hi, lo := bits.Mul64(n, uint64(dim))
		if hi != 0 {
			return 0, fmt.Errorf("the size of shape %v overflows", shape)
		}
		n = lo
	}
	if n%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s is not a whole number of bytes", shape, dtype)
	}
	return n / 8, nil
}
