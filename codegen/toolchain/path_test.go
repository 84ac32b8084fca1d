package toolchain

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The Go beside the program is taken, else that in PATH, else there is one error; a
// directory of that name is no Go.
func TestPath(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		t.Fatal(err)
	}
	beside, inPath := filepath.Join(filepath.Dir(self), "go"), t.TempDir()
	near, far := filepath.Join(beside, "bin", Here().Exe("go")), filepath.Join(inPath, Here().Exe("go"))
	t.Cleanup(func() { os.RemoveAll(beside) })
	t.Setenv("PATH", inPath)
	if path, err := Path(); !errors.Is(err, ErrNone) {
		t.Errorf("%s, %v", path, err)
	}
	for _, x := range []struct {
		make func() error
		want string
	}{
		{func() error { return os.WriteFile(far, nil, 0o700) }, far},
		{func() error { return os.MkdirAll(near, 0o700) }, far},
		{func() error { return errors.Join(os.Remove(near), os.WriteFile(near, nil, 0o700)) }, near},
	} {
		if err := x.make(); err != nil {
			t.Fatal(err)
		}
		if got, err := Path(); err != nil || got != x.want {
			t.Errorf("%s, %v, want %s", got, err, x.want)
		}
	}
}
