package rt

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of one, in bytes.
const hugePage = 2 << 20

// reserve gives zeroed memory that takes room only where it is touched, in
// huge pages where the system has them: whole ones that hold nothing else, so
// that it is known which are touched.
func reserve(n int) ([]byte, error) {
	room := n
	if n >= hugePage {
		room += hugePage
	}
	m, err := syscall.Mmap(-1, 0, room, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil || n < hugePage {
		return m, err
	}
	m = m[-uintptr(unsafe.Pointer(&m[0]))%hugePage:][:n]
	syscall.Madvise(m[:n/hugePage*hugePage], syscall.MADV_HUGEPAGE) // where it fails, they are small
	return m, nil
}
