package kernels

import (
	"syscall"
	"unsafe"
)

func acquire(n int) []float32 {
	b, err := syscall.Mmap(-1, 0, 4*max(n, 1), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic("kernels: no memory: " + err.Error())
	}
	if len(b) >= 2<<20 { // a smaller piece would share a huge page with others
		syscall.Madvise(b, syscall.MADV_HUGEPAGE)
	}
	return floatsOf(b)
}

func release(s []float32) {
	syscall.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), 4*len(s)))
}
