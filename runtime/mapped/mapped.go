// Package mapped maps files into memory for reading. It knows no format.
package mapped

import (
	"fmt"
	"os"
	"sync"
	"unsafe"
)

// File is a mapped file. It must not be shortened while it is open.
type File struct {
	Path  string
	Data  []byte // read only, valid until Close
	unmap func() error
}

// Open maps a regular file, an empty one too.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f := &File{Path: path}
	if info.Size() == 0 {
		return f, nil
	}
	if f.Data, f.unmap, err = mapFile(file, info.Size()); err != nil {
		return nil, fmt.Errorf("cannot map %s: %w", path, err)
	}
	known.Store(&f.Data[0], len(f.Data))
	return f, nil
}

// known are the open mappings: their lengths by their first byte.
var known sync.Map

// Release says that bytes of an open file are not needed for now: they no
// longer count as memory of the process, and are read again if asked for. For
// memory that is no part of a mapping it does nothing.
func Release(data []byte) {
	if len(data) == 0 {
		return
	}
	at := uintptr(unsafe.Pointer(&data[0]))
	known.Range(func(first, n any) bool {
		begin := uintptr(unsafe.Pointer(first.(*byte)))
		if at < begin || at+uintptr(len(data)) > begin+uintptr(n.(int)) {
			return true
		}
		drop(data)
		return false
	})
}

// Close unmaps the file. A second call does nothing.
func (f *File) Close() error {
	unmap := f.unmap
	if len(f.Data) > 0 {
		known.Delete(&f.Data[0])
	}
	f.unmap, f.Data = nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}
