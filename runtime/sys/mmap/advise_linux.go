package mmap

import (
	"os"
	"syscall"
	"unsafe"
)

// drop lets the system take whole pages back.
func drop(data []byte) { advise(data, syscall.MADV_DONTNEED) }

// part makes a mapping of its own of whole pages: the system maps pages around
// the one that is asked for, but never beyond a mapping.
func part(data []byte) { advise(data, syscall.MADV_RANDOM) }

// advise says something of the whole pages among some bytes.
func advise(data []byte, what int) {
	page := os.Getpagesize()
	at := int(uintptr(unsafe.Pointer(unsafe.SliceData(data))))
	from, to := -at&(page-1), len(data)-(at+len(data))&(page-1)
	if from < to {
		syscall.Madvise(data[from:to], what)
	}
}
