//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package filelock

import (
	"cmp"
	"os"
	"syscall"
)

// File is a file that one process at a time locks.
type File struct {
	path string
	held *os.File
}

// New is the file of a path, not locked yet.
func New(path string) *File { return &File{path: path} }

// Lock waits until the file is this one's.
func (l *File) Lock() error {
	_, err := l.lock(syscall.LOCK_EX)
	return err
}

// TryLock reports whether the file is this one's now.
func (l *File) TryLock() (bool, error) { return l.lock(syscall.LOCK_EX | syscall.LOCK_NB) }

func (l *File) lock(how int) (bool, error) {
	if l.held != nil {
		return true, nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR, 0o600) // over NFS, locking takes the right to write
	if err != nil {
		return false, err
	}
	for {
		switch err = syscall.Flock(int(f.Fd()), how); err {
		case nil:
			l.held = f
			return true, nil
		case syscall.EINTR:
			continue
		case syscall.EWOULDBLOCK:
			f.Close()
			return false, nil
		}
		f.Close()
		return false, &os.PathError{Op: "lock", Path: l.path, Err: err}
	}
}

// Unlock lets another one have the file, which stays.
func (l *File) Unlock() error {
	if l.held == nil {
		return nil
	}
	f := l.held
	l.held = nil
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // a child that is being started may have the file, too
	return cmp.Or(err, f.Close())
}
