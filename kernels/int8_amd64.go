package kernels

// hasVNNI says whether this processor has VPDPBUSD, beside AVX-512.
var hasVNNI = has512 && vnni()

func vnni() bool {
	_, _, c, _ := cpuid(7, 0)
	return c&(1<<11) != 0
}

var int8Tiles = [15]func(k int, a, b *byte, bias *int32, scaleB, scaleA, c *float32, ldc int, mask, acc uint64, ahead *byte, step int){
	nil, int8x512x1, int8x512x2, int8x512x3, int8x512x4, int8x512x5, int8x512x6, int8x512x7,
	int8x512x8, int8x512x9, int8x512x10, int8x512x11, int8x512x12, int8x512x13, int8x512x14}
