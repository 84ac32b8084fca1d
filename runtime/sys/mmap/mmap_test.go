package mmap

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

func open(t *testing.T, content []byte) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// addr is where a byte is.
func addr(b *byte) uintptr { return uintptr(unsafe.Pointer(b)) }

// An address belongs to the file that is mapped there, up to its last byte; to
// a closed one only while that is shorter than it was.
func TestAt(t *testing.T) {
	f := open(t, make([]byte, 9999))
	path, first, last := f.Path, addr(&f.Data[0]), addr(&f.Data[9998])
	is := func(p uintptr, want bool) {
		t.Helper()
		if at, ok := At(p); ok != want || ok && at != path {
			t.Errorf("%v %q, want %v", ok, at, want)
		}
	}
	is(first, true)
	is(last, true)
	is(first-1, false)
	is(last+1, false)
	is(addr(&make([]byte, 1)[0]), false)
	if _, ok := Shortened(); ok {
		t.Error("nothing was shortened")
	}
	if err := os.Truncate(path, 9998); err != nil {
		t.Fatal(err)
	}
	if at, ok := Shortened(); !ok || at != path {
		t.Errorf("%q was shortened: %v", at, ok)
	}
	f.Close()
	is(last, true)
	if err := os.WriteFile(path, make([]byte, 9999), 0o666); err != nil {
		t.Fatal(err)
	}
	is(last, false)
	if _, ok := Shortened(); ok {
		t.Error("a closed file was shortened")
	}
}

// Released bytes are still those of the file; memory of one's own is left alone.
func TestRelease(t *testing.T) {
	want := bytes.Repeat([]byte("abcdefgh"), 1<<14)
	f := open(t, want)
	own := bytes.Clone(want)
	Release(f.Data)
	Release(f.Data[100:70000])
	Release(f.Data[5:6])
	Release(own)
	Release(nil)
	ReadApart(f.Data[5:70000])
	ReadApart(own)
	if Reader(own) != nil || Reader(nil) != nil {
		t.Error("memory of one's own is no part of a file")
	}
	got := make([]byte, 70000)
	if n, err := Reader(f.Data[3:70003]).ReadAt(got, 0); n != 70000 || !bytes.Equal(got, want[3:70003]) {
		t.Errorf("%d bytes were read, %v, or other ones", n, err)
	}
	if !bytes.Equal(f.Data, want) || !bytes.Equal(own, want) {
		t.Error("bytes changed")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	Release(own)
	if !bytes.Equal(own, want) {
		t.Error("bytes changed after closing")
	}
}

// What is no regular file is refused; an empty file has no bytes, and closing
// twice does nothing.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "nowhere")} {
		if f, err := Open(path); err == nil {
			f.Close()
			t.Errorf("%s is opened", path)
		}
	}
	f := open(t, nil)
	if len(f.Data) != 0 {
		t.Errorf("%d bytes in an empty file", len(f.Data))
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file that cannot be parsed is closed, one that can is the result's.
func TestParse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	var kept *File
	n, err := Parse(path, func(f *File) (int, error) { kept = f; return len(f.Data), nil })
	if err != nil || n != 3 || string(kept.Data) != "abc" {
		t.Fatalf("%d bytes, %v", n, err)
	}
	kept.Close()
	wrong := errors.New("wrong")
	if n, err := Parse(path, func(f *File) (int, error) { kept = f; return 7, wrong }); n != 0 || err != wrong || kept.Data != nil {
		t.Errorf("%d, %v, still mapped %v", n, err, kept.Data != nil)
	}
	if _, err := Parse(path+"x", func(*File) (int, error) { return 0, nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
