//go:build unix && !solaris && !aix

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// A living writer holds a lock on its temporary file; the system drops the
// lock with the process, however it ends. So "locked" means "in use".

// claim locks a file just created, and reports whether it is still there.
func claim(file *os.File, path string) bool {
	if err := flock(file, syscall.LOCK_EX); err != nil {
		return true // a file system without locks: nobody can prove it stale either
	}
	held, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(held, there)
}

// Hold locks a file for as long as it is open, and reports false if another
// process does.
func Hold(file *os.File) bool {
	return !errors.Is(flock(file, syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// removeIfStale removes a temporary file or directory that no process holds.
func removeIfStale(path string) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer file.Close()
	if flock(file, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		os.RemoveAll(path)
	}
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// finish puts the synced temporary file in place. The rename comes before the
// close, which drops the lock.
func finish(file *os.File, temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	// The data is synced and in place; nothing a close could report undoes that.
	file.Close()
	return nil
}

// syncDir makes a rename in dir last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // this file system does not sync directories
	}
	return err
}
