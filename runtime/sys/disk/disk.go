// Package disk says what is at a path and how much may be written there. It knows
// no format.
package disk

import (
	"os"
	"path/filepath"
)

// Exists reports whether something can be found at a path, links followed.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// IsFile reports whether a path is a regular file, links followed.
func IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Free is the number of bytes that may be written below a directory, which need
// not exist yet; -1 if that is not known.
func Free(dir string) int {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if Exists(dir) {
			return free(dir)
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return -1
}
