package kernels

import "unsafe"

// The buffers of a Context are allocated off the collector's heap: they are
// large and live as long as the Context, and a buffer that is outgrown is
// released at once.

// grow returns the first n elements of a buffer, which begins at a cache line
// and is enlarged when need be; its contents are not kept.
func grow(s *[]float32, n int) []float32 {
	if len(*s) < n {
		if *s != nil {
			release(*s)
		}
		*s = acquire(n)
	}
	return (*s)[:n]
}

// temp is a matrix in a buffer.
func temp(s *[]float32, rows, cols int) Mat { return MatOf(grow(s, rows*cols), rows, cols) }

// carver hands out pieces of a buffer one after the other, each beginning at a
// cache line.
type carver []float32

func (c *carver) take(n int) []float32 {
	out := (*c)[:n:n]
	*c = (*c)[lineFloats(n):]
	return out
}

// lineFloats rounds a number of floats up to whole cache lines.
func lineFloats(n int) int { return (n + 15) &^ 15 }

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// bytesOf views numbers as bytes.
func bytesOf(s []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), 4*len(s))
}

// floatsOf views bytes as numbers.
func floatsOf(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
}
