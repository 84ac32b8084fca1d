package testkit

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Home gives an empty directory of the same path whenever the tests of this package
// run, and a function that gives it back. Go's build cache knows what is built there by
// its path: in another directory each run would compile it again. Tests that run at the
// same time get others.
func Home() (dir string, done func(), err error) {
	if dir, done, err = fixedHome(); err == nil {
		return dir, done, nil
	}
	dir, err = os.MkdirTemp("", "lorac-test-")
	return dir, func() { os.RemoveAll(dir) }, err
}

func fixedHome() (string, func(), error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", nil, err
	}
	for p := base; p != filepath.Dir(p); p = filepath.Dir(p) { // lorac takes no cache that others may write to
		if info, err := os.Lstat(p); err == nil && (!info.IsDir() || info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0) {
			return "", nil, fmt.Errorf("%s is open to others", p)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(base, "lorac-test-homes", fmt.Sprintf("%x", sha256.Sum256([]byte(here)))[:16])
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", nil, err
	}
	lock := flock.New(dir + ".lock")
	if ok, err := lock.TryLock(); err != nil || !ok {
		return "", nil, fmt.Errorf("%s is taken: %v", dir, err)
	}
	os.RemoveAll(dir) // a run that was killed left it
	if err := os.MkdirAll(dir, 0o700); err != nil {
		lock.Unlock()
		return "", nil, err
	}
	return dir, func() { os.RemoveAll(dir); lock.Unlock() }, nil
}
