package cache

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lorac/codegen/filelock"
)

// sumSuffix ends the name of the file with the hash of another.
const sumSuffix = ".sha256"

// Once makes a file of the cache, unless it is there as it was made. make writes into
// a directory of its own and returns the file, which is moved to its place. Of
// processes that want it at the same time, one makes it and the others wait.
func Once(path string, make func(dir string) (file string, err error)) error {
	if Intact(path) {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock := filelock.New(filepath.Join(dir, ".lock"))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Unlock()
	if Intact(path) {
		return nil
	}
	old, _ := filepath.Glob(filepath.Join(dir, ".new-*")) // of a process that was killed
	for _, d := range old {
		for try := 0; os.RemoveAll(d) != nil && try < 5; try++ { // what it started may still write there
			time.Sleep(50 * time.Millisecond)
		}
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	made, err := make(temp)
	if err != nil {
		return err
	}
	sum, err := hashOf(made)
	if err != nil {
		return err
	}
	for _, there := range []string{path, path + sumSuffix} { // a directory does not give way to a file
		if info, err := os.Lstat(there); err == nil && info.IsDir() {
			if err := os.RemoveAll(there); err != nil {
				return fmt.Errorf("the cache is damaged: %s is a directory, and it cannot be removed: %w\n  = help: remove %s by hand", there, err, dir)
			}
		}
	}
	if err := os.Rename(made, path); err != nil {
		return fmt.Errorf("the cache cannot be written: %w\n  = help: remove %s by hand", err, dir)
	}
	return os.WriteFile(path+sumSuffix, []byte(sum), 0o600)
}

// Intact reports whether a file is as Once made it.
func Intact(path string) bool {
	want, err := os.ReadFile(path + sumSuffix)
	if err != nil {
		return false
	}
	sum, err := hashOf(path)
	return err == nil && sum == string(want)
}

func hashOf(path string) (string, error) {
	content, err := os.ReadFile(path)
	return fmt.Sprintf("%x", sha256.Sum256(content)), err
}
