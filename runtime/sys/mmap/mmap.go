// Package mmap maps files into memory for reading. It knows no format.
package mmap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"unsafe"
)

// File is a mapped file. Where it is shortened while it is open, or its disk
// fails, reading Data is a fault (see At).
type File struct {
	Path   string
	Data   []byte // read only, valid until Close
	Copied bool   // it could not be mapped: Data is a copy in memory
	file   *os.File
	unmap  func() error
}

// Open maps a regular file, an empty one too.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, file: file}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no file", path)
	case info.Size() == 0:
	default:
		if f.Data, f.Copied, f.unmap, err = mapFile(file, info.Size()); err != nil {
			err = fmt.Errorf("cannot map %s: %w", path, err)
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	if len(f.Data) > 0 {
		known.Store(&f.Data[0], f)
	}
	return f, nil
}

// Parse opens a file and returns what parse makes of it. The result owns the
// mapping and closes it; where parse fails, Parse does.
func Parse[T any](path string, parse func(f *File) (T, error)) (T, error) {
	var none T
	f, err := Open(path)
	if err != nil {
		return none, err
	}
	parsed, err := parse(f)
	if err != nil {
		f.Close()
		return none, err
	}
	return parsed, nil
}

// known are the open files that have bytes, by their first one.
var known sync.Map

// find is the open file that some bytes are of, and where they begin in it; nil
// for memory that is no part of a mapping.
func find(data []byte) (f *File, at int64) {
	if len(data) == 0 {
		return nil, 0
	}
	return holding(uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
}

// holding is the open file that has n bytes from an address on.
func holding(p, n uintptr) (f *File, at int64) {
	known.Range(func(first, file any) bool {
		begin, all := uintptr(unsafe.Pointer(first.(*byte))), file.(*File)
		if p < begin || p+n > begin+uintptr(len(all.Data)) {
			return true
		}
		f, at = all, int64(p-begin)
		return false
	})
	return f, at
}

// closed are the files that were open before, the last one last: a panic closes
// files on its way to the one who asks At.
var (
	closedMu sync.Mutex
	closed   []gone
)

// gone is where a file was mapped.
type gone struct {
	begin uintptr
	size  int64
	path  string
}

// At is the path of the file whose bytes are at an address. A fault there says
// that the file was shortened, or that its disk failed. A closed file counts
// while it is seen to be shorter than it was.
func At(addr uintptr) (path string, ok bool) {
	if f, _ := holding(addr, 1); f != nil {
		return f.Path, true
	}
	closedMu.Lock()
	defer closedMu.Unlock()
	for _, g := range slices.Backward(closed) {
		if addr-g.begin < uintptr(g.size) {
			info, err := os.Stat(g.path)
			return g.path, err == nil && info.Size() < g.size
		}
	}
	return "", false
}

// Shortened is the path of an open file that is shorter than it was, if there is
// one: what it lacks of its last page reads as zeros, without a fault.
func Shortened() (path string, ok bool) {
	known.Range(func(_, file any) bool {
		f := file.(*File)
		info, err := f.file.Stat()
		path, ok = f.Path, err == nil && !f.Copied && info.Size() < int64(len(f.Data))
		return !ok
	})
	return path, ok
}

// Copied are the open files that could not be mapped, in order, and the bytes that
// their copies take.
func Copied() (paths []string, bytes int) {
	known.Range(func(_, file any) bool {
		if f := file.(*File); f.Copied {
			paths = append(paths, f.Path)
			bytes += len(f.Data)
		}
		return true
	})
	slices.Sort(paths)
	return paths, bytes
}

// Reader reads bytes of an open file again, without the memory of the mapping;
// nil for memory that is no part of one.
func Reader(data []byte) *io.SectionReader {
	f, at := find(data)
	if f == nil {
		return nil
	}
	return io.NewSectionReader(f.file, at, int64(len(data)))
}

// ReadApart says that bytes of an open file will be read by their Reader: use of
// what lies around them does not bring them into memory as well.
func ReadApart(data []byte) {
	if f, _ := find(data); f != nil && !f.Copied {
		part(data)
	}
}

// Release says that bytes of an open file are not needed for now: they no
// longer count as memory of the process, and are read again if asked for. For
// memory that is no part of a mapping it does nothing.
func Release(data []byte) {
	if f, _ := find(data); f != nil && !f.Copied { // of a copy, the bytes would be gone
		drop(data)
	}
}

// Close unmaps the file. A second call does nothing.
func (f *File) Close() error {
	unmap, file := f.unmap, f.file
	if len(f.Data) > 0 {
		known.Delete(&f.Data[0])
		closedMu.Lock()
		closed = append(closed, gone{uintptr(unsafe.Pointer(&f.Data[0])), int64(len(f.Data)), f.Path})
		closedMu.Unlock()
	}
	f.unmap, f.file, f.Data = nil, nil, nil
	var err error
	if unmap != nil {
		err = unmap()
	}
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	return err
}
