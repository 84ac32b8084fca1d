package build

import (
	"path/filepath"
	"runtime"
	"testing"
)

func TestCheckSpace(t *testing.T) {
	for _, x := range []struct {
		need, free int
		want       string // "" for none
	}{
		{0, 0, ""}, {1 << 30, -1, ""}, {4096, 4096, ""},
		{4097, 4096, "a file needs 4.0 KiB in out, where 4.0 KiB is free, 1 B less\n  = help: less"},
		{3 << 30, 0, "a file needs 3072.0 MiB in out, where 0 B is free, 3,221,225,472 B less\n  = help: less"},
	} {
		got := ""
		if err := CheckSpace("a file", "out", x.need, x.free, "less"); err != nil {
			got = err.Error()
		}
		if got != x.want {
			t.Errorf("%d of %d: %q, want %q", x.need, x.free, got, x.want)
		}
	}
}

// What is free in a directory is known before it is made.
func TestFreeAt(t *testing.T) {
	dir := t.TempDir()
	known := runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd"
	for _, path := range []string{dir, filepath.Join(dir, "not", "yet"), "not/yet"} {
		if n := FreeAt(path); (n >= 0) != known {
			t.Errorf("%s: %d", path, n)
		}
	}
}
