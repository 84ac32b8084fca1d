//go:build !linux

package kernels

import "unsafe"

func acquire(n int) []float32 {
	b := make([]byte, 4*n+64)
	off := int(-uintptr(unsafe.Pointer(&b[0])) % 64)
	return floatsOf(b[off : off+4*n])
}

func release([]float32) {}
