package ascend

import (
	"encoding/binary"
	"math"

	"lorac/kernels"
)

// Round is the nearest number of the type, ties to even.
func (d DType) Round(x float32) float32 {
	switch d {
	case BF16:
		return kernels.BFloat(kernels.ToBFloat(x))
	case F16:
		return kernels.Half(kernels.ToHalf(x))
	}
	return x
}

// Put stores numbers as the type has them, b being as long as that takes.
func (d DType) Put(b []byte, x []float32) {
	for i, v := range x {
		switch d {
		case BF16:
			binary.LittleEndian.PutUint16(b[2*i:], kernels.ToBFloat(v))
		case F16:
			binary.LittleEndian.PutUint16(b[2*i:], kernels.ToHalf(v))
		default:
			binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
		}
	}
}

// Get loads numbers that Put stored.
func (d DType) Get(x []float32, b []byte) {
	for i := range x {
		switch d {
		case BF16:
			x[i] = kernels.BFloat(binary.LittleEndian.Uint16(b[2*i:]))
		case F16:
			x[i] = kernels.Half(binary.LittleEndian.Uint16(b[2*i:]))
		default:
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
}
