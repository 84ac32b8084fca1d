//go:build !linux

package kernels

import "unsafe"

// acquire allocates memory for n floats that begins at a cache line.
func acquire(n int) []float32 {
	b := make([]byte, 4*n+64)
	off := int(-uintptr(unsafe.Pointer(&b[0])) % 64)
	return floatsOf(b[off : off+4*n])
}

// release leaves the memory to the collector.
func release([]float32) {}
