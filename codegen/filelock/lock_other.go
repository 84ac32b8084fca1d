//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package filelock

import "github.com/gofrs/flock"

// File is a file that one process at a time locks.
type File = flock.Flock

// New is the file of a path, not locked yet.
func New(path string) *File { return flock.New(path) }
