package kernels

import "unsafe"

// The scratch memory of the kernels lies beside the collector's heap: it is
// large, lives as long as the process, and what is outgrown is given back at once.

// grow returns the first n elements of a scratch buffer at a 64-byte boundary,
// enlarged when need be; its contents are not kept.
func grow(s *[]float32, n int) []float32 {
	if len(*s) < n {
		if *s != nil {
			release(*s)
		}
		*s = acquire(n)
	}
	return (*s)[:n]
}

// bytesOf views numbers as bytes.
func bytesOf(s []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), 4*len(s))
}

// floatsOf views bytes as numbers.
func floatsOf(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}
