//go:build unix

package mmap

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// mmapFile maps a file; tests have it fail.
var mmapFile = func(fd, size, flags int) ([]byte, error) {
	return syscall.Mmap(fd, 0, size, syscall.PROT_READ, flags)
}

// unmappable reports whether the file system has no mappings (of this kind).
func unmappable(err error) bool {
	return errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS)
}

// mapFile maps size > 0 bytes of a file for reading. Some file systems (FUSE with
// direct I/O, some of clusters) have private mappings alone, some none: then the file
// is read, and copied is true.
func mapFile(file *os.File, size int64) (data []byte, copied bool, unmap func() error, err error) {
	if int64(int(size)) != size {
		return nil, false, nil, errors.New("it is larger than the address space of this machine")
	}
	data, err = mmapFile(int(file.Fd()), int(size), syscall.MAP_SHARED)
	if err != nil && unmappable(err) {
		data, err = mmapFile(int(file.Fd()), int(size), syscall.MAP_PRIVATE)
	}
	if err != nil && unmappable(err) {
		copied = true
		data, err = readFile(file, int(size))
	}
	if err != nil {
		return nil, false, nil, err
	}
	return data, copied, func() error { return syscall.Munmap(data) }, nil
}

// readFile reads a file into memory of its own, outside of Go's heap.
func readFile(file *os.File, size int) ([]byte, error) {
	data, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, int64(size)), data); err != nil {
		syscall.Munmap(data)
		return nil, err
	}
	return data, syscall.Mprotect(data, syscall.PROT_READ)
}

// Can says whether the file system of a file has mappings: its first byte is mapped.
func Can(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return true // whoever opens it says so
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return true
	}
	for _, flags := range []int{syscall.MAP_SHARED, syscall.MAP_PRIVATE} {
		data, err := mmapFile(int(file.Fd()), 1, flags)
		if err == nil {
			syscall.Munmap(data[:1:1])
			return true
		}
		if !unmappable(err) {
			return true
		}
	}
	return false
}
