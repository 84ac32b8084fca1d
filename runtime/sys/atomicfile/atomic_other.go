//go:build !unix || solaris || aix

package atomicfile

import (
	"os"
	"time"
)

// Without flock a temporary file counts as stale when nobody has written to it
// for a day.
const staleAfter = 24 * time.Hour

func claim(*os.File, string) bool { return true }

// Hold cannot tell: files are not locked here.
func Hold(*os.File) bool { return true }

func removeIfStale(path string) {
	if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > staleAfter {
		os.RemoveAll(path)
	}
}

// finish puts the synced temporary file in place; some systems do not rename
// an open file.
func finish(file *os.File, temp, path string) error {
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// syncDir does nothing: directories cannot be synced here.
func syncDir(string) error { return nil }
