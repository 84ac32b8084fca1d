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
