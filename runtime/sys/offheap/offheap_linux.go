package offheap

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of one, in bytes.
const hugePage = 2 << 20

// Bytes gives n zeroed bytes, in huge pages where the system has them: whole
// ones that hold nothing else, so that it is known which are touched.
func Bytes(n int) ([]byte, error) {
	room := n
	if n >= hugePage {
		room += hugePage
	}
	m, err := memory(room)
	if err != nil || n < hugePage {
		return m, err
	}
	m = m[-uintptr(unsafe.Pointer(&m[0]))%hugePage:][:n]
	syscall.Madvise(m[:n/hugePage*hugePage], syscall.MADV_HUGEPAGE) // where it fails, they are small
	return m, nil
}

// most is how many numbers Ints has room for: of addresses, there are enough.
const most = 1 << (20 + 12*(^uint(0)>>63))

// Ints gives an empty list that takes memory number by number: append does not
// move it. Where the system has no room for that, it is a list like others.
func Ints() []int32 {
	n := most
	m, err := memory(4 * n)
	if err != nil {
		return nil
	}
	syscall.Madvise(m, syscall.MADV_NOHUGEPAGE)
	return unsafe.Slice((*int32)(unsafe.Pointer(&m[0])), n)[:0]
}

// Free gives a list of Ints back, which nobody may use any more.
func Free(x []int32) {
	if cap(x) == most { // else append has moved it
		syscall.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*cap(x)))
	}
}

func memory(n int) ([]byte, error) {
	return syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
}
