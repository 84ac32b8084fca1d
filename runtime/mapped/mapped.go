// Package mapped maps files into memory for reading. It knows no format.
package mapped

import (
	"fmt"
	"os"
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
	return f, nil
}

// Close unmaps the file. A second call does nothing.
func (f *File) Close() error {
	unmap := f.unmap
	f.unmap, f.Data = nil, nil
	if unmap == nil {
		return nil
	}
	return unmap()
}
