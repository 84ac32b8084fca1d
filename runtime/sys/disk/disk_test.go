package disk

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestExists(t *testing.T) {
	dir := t.TempDir()
	file, gone := filepath.Join(dir, "file"), filepath.Join(dir, "gone")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		path         string
		exists, file bool
	}{{dir, true, false}, {file, true, true}, {gone, false, false}, {filepath.Join(file, "below"), false, false}} {
		if Exists(x.path) != x.exists || IsFile(x.path) != x.file {
			t.Errorf("%s: exists %v, is a file %v", x.path, Exists(x.path), IsFile(x.path))
		}
	}
}

// The free space of a directory is known before it is made.
func TestFree(t *testing.T) {
	dir := t.TempDir()
	known := runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd"
	for _, path := range []string{dir, filepath.Join(dir, "not", "yet"), "not/yet"} {
		if n := Free(path); (n >= 0) != known {
			t.Errorf("%s: %d", path, n)
		}
	}
}
