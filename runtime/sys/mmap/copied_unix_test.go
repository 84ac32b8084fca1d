//go:build unix

package mmap

import (
	"bytes"
	"os"
	"slices"
	"syscall"
	"testing"
)

// failing has mappings of some kinds fail as where a file system has none.
func failing(t *testing.T, with error, kinds ...int) {
	before := mmapFile
	t.Cleanup(func() { mmapFile = before })
	mmapFile = func(fd, size, flags int) ([]byte, error) {
		if slices.Contains(kinds, flags) {
			return nil, with
		}
		return before(fd, size, flags)
	}
}

// Where a file system has no shared mappings, a private one will do; where it has
// none, the file is read, and stays whole whatever is released.
func TestCopied(t *testing.T) {
	want := bytes.Repeat([]byte("abcdefgh"), 1<<13)
	failing(t, syscall.ENODEV, syscall.MAP_SHARED)
	f := open(t, want)
	path := f.Path
	if f.Copied || !bytes.Equal(f.Data, want) || !Can(path) {
		t.Errorf("a private mapping: copied %v", f.Copied)
	}
	f.Close()
	failing(t, syscall.ENODEV, syscall.MAP_SHARED, syscall.MAP_PRIVATE)
	f = open(t, want)
	defer f.Close()
	Release(f.Data)
	ReadApart(f.Data)
	if !f.Copied || !bytes.Equal(f.Data, want) || Can(f.Path) {
		t.Errorf("without mappings: copied %v, or bytes are gone", f.Copied)
	}
	if paths, n := Copied(); !slices.Equal(paths, []string{f.Path}) || n != len(want) {
		t.Errorf("copied are %v, %d bytes", paths, n)
	}
	if err := os.Truncate(f.Path, 1); err != nil {
		t.Fatal(err)
	}
	if _, ok := Shortened(); ok || !bytes.Equal(f.Data, want) {
		t.Error("a copy is shortened with its file")
	}
	if got := make([]byte, 1); Reader(f.Data) != nil {
		if n, _ := Reader(f.Data).ReadAt(got, 0); n != 1 || got[0] != 'a' {
			t.Errorf("read again: %d %q", n, got)
		}
	}
}

// What keeps a file from being mapped for other reasons is an error.
func TestNoMemoryToMap(t *testing.T) {
	f := open(t, []byte("abc"))
	path := f.Path
	f.Close()
	failing(t, syscall.ENOMEM, syscall.MAP_SHARED, syscall.MAP_PRIVATE)
	if f, err := Open(path); err == nil {
		f.Close()
		t.Error("it is opened")
	}
	if !Can(path) {
		t.Error("the file system is blamed")
	}
}
