package mapped

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Released bytes are still those of the file; memory of one's own is left alone.
func TestRelease(t *testing.T) {
	want := bytes.Repeat([]byte("abcdefgh"), 1<<14)
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, want, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	own := bytes.Clone(want)
	Release(f.Data)
	Release(f.Data[100:70000])
	Release(f.Data[5:6])
	Release(own)
	Release(nil)
	Apart(f.Data[5:70000])
	Apart(own)
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
