package testkit

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lorac/codegen/filelock"
)

// Home gives a directory of the same path whenever the tests of this package run, and a
// function that gives it back. Go's build cache knows what is built there by its path: in
// another directory each run would compile it again. It is empty but for Kept, which
// holds what runs before left. Tests that run at the same time get others.
func Home() (dir string, done func(), err error) {
	if dir, done, err = fixedHome(); err == nil {
		return dir, done, nil
	}
	dir, err = os.MkdirTemp("", "lorac-test-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// Kept is the directory in Home for what the next run may use again and checks before it
// does. What nobody touched for some days is removed.
const Kept = "kept"

const keptFor = 3 * 24 * time.Hour

// empty removes all but Kept.
func empty(dir string) {
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if e.Name() != Kept {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	old, _ := filepath.Glob(filepath.Join(dir, Kept, "*"))
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > keptFor {
			os.RemoveAll(path)
		}
	}
}

// of ends the name of the file that says for which package a directory is.
const of = ".of"

// forget removes the directories of packages that are no more: a clone that was
// deleted leaves gigabytes.
func forget(homes string) {
	list, _ := filepath.Glob(filepath.Join(homes, "*"+of))
	for _, file := range list {
		here, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if _, err := os.Stat(string(here)); !os.IsNotExist(err) {
			continue
		}
		dir := strings.TrimSuffix(file, of)
		lock := filelock.New(dir + ".lock")
		if ok, err := lock.TryLock(); err != nil || !ok {
			continue // its tests still run
		}
		os.RemoveAll(dir)
		os.Remove(file)
		lock.Unlock()
	}
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
	lock := filelock.New(dir + ".lock")
	if ok, err := lock.TryLock(); err != nil || !ok {
		return "", nil, fmt.Errorf("%s is taken: %v", dir, err)
	}
	forget(filepath.Dir(dir))
	os.WriteFile(dir+of, []byte(here), 0o600)
	empty(dir) // a run that was killed may have left something
	if err := os.MkdirAll(dir, 0o700); err != nil {
		lock.Unlock()
		return "", nil, err
	}
	return dir, func() { empty(dir); lock.Unlock() }, nil
}
