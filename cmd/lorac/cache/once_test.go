package cache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestOnce: a file is made where there is none, or one that was changed; what fails
// leaves nothing.
func TestOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "place", "file")
	made := 0
	build := func(dir string) (string, error) {
		made++
		file := filepath.Join(dir, "x")
		return file, os.WriteFile(file, []byte("content"), 0o600)
	}
	damage := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, before := range []func(){
		func() {},
		func() { damage(os.WriteFile(path, []byte("other"), 0o600)) },
		func() { damage(os.Remove(path + sumSuffix)) },
		func() { damage(os.Remove(path)) },
		func() { damage(os.Remove(path)); damage(os.MkdirAll(filepath.Join(path, "in"), 0o700)) },
		func() {
			damage(os.Remove(path + sumSuffix))
			damage(os.MkdirAll(filepath.Join(path+sumSuffix, "in"), 0o700))
		},
		func() {
			damage(os.MkdirAll(filepath.Join(filepath.Dir(path), ".new-1"), 0o700))
			damage(os.Remove(path))
		}, // of a killed process
	} {
		before()
		for range 2 {
			if err := Once(path, build); err != nil || !Intact(path) || made != i+1 {
				t.Fatalf("%d: %v, intact %v, made %d times", i, err, Intact(path), made)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	damage(os.Remove(path))
	fails := errors.New("no compiler")
	if err := Once(path, func(string) (string, error) { return "", fails }); !errors.Is(err, fails) || Intact(path) {
		t.Errorf("%v, intact %v", err, Intact(path))
	}
}
