package offheap

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of one, in bytes.
const hugePage = 2 << 20

// Bytes gives n zeroed bytes, in huge pages where the system has them: whole
// ones that hold nothing else, so that it is known which are touched. What fills
// none is in small ones, also where the system would give huge ones unasked. free
// gives them back; nobody may use them any more.
func Bytes(n int) (m []byte, free func(), err error) {
	size := n
	if n >= hugePage {
		size += hugePage
	}
	all, err := memory(size)
	if err != nil {
		return nil, nil, err
	}
	free = func() { syscall.Munmap(all) }
	if n < hugePage {
		syscall.Madvise(all, syscall.MADV_NOHUGEPAGE)
		return all, free, nil
	}
	m = all[-uintptr(unsafe.Pointer(&all[0]))%hugePage:]
	whole := n / hugePage * hugePage
	syscall.Madvise(m[:whole], syscall.MADV_HUGEPAGE) // where it fails, they are small
	syscall.Madvise(m[whole:], syscall.MADV_NOHUGEPAGE)
	return m[:n], free, nil
}

// most is the capacity of Ints: of addresses, there are enough.
const most = 1 << (20 + 12*(^uint(0)>>63))

// Ints gives an empty list that takes memory number by number: append does not
// move it. Where the system has no space for that, it is a list like others.
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
