//go:build unix

package mmap

import (
	"errors"
	"os"
	"syscall"
)

// mapFile maps size > 0 bytes of a file for reading.
func mapFile(file *os.File, size int64) (data []byte, unmap func() error, err error) {
	if int64(int(size)) != size {
		return nil, nil, errors.New("it is larger than the address space of this machine")
	}
	data, err = syscall.Mmap(int(file.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return syscall.Munmap(data) }, nil
}
