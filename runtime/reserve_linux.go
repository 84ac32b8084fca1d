package rt

import "syscall"

// reserve gives zeroed memory that takes room only where it is touched, in
// huge pages where the system has them.
func reserve(n int) ([]byte, error) {
	m, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err == nil {
		syscall.Madvise(m, syscall.MADV_HUGEPAGE)
	}
	return m, err
}
