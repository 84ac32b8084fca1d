package kernels

// deqBlocks converts n blocks of 32 elements, stride bytes apart, to f32.
func deqBlocks(d DType, n int, src *byte, stride int, dst *float32) {
	switch d {
	case Q8_0:
		deq512Q8_0(n, src, stride, dst)
	case Q4_0:
		deq512Q4_0(n, src, stride, dst)
	default:
		deq512Q4_1(n, src, stride, dst)
	}
}
