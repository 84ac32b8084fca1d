package kernels

import "unsafe"

// noescape hides from escape analysis that a pointer to a local array is given to
// an assembly kernel of a table, which keeps none: an array that escaped would be
// allocated in Go's heap for every tile, faster than the collector can follow.
//
// While the address is an integer the stack must not move. The race detector's
// builds would call a check of pointers there, which can move it. Inlined, the compiler
// may keep the integer for later uses, across calls that move the stack.
//
//go:nocheckptr
//go:noinline
//go:nosplit
func noescape(p *float32) *float32 {
	x := uintptr(unsafe.Pointer(p))
	return *(**float32)(unsafe.Pointer(&x))
}
