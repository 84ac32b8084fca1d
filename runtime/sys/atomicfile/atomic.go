// Package atomicfile writes files that are complete or absent after a crash at
// any instant: temporary file, fsync, rename, fsync of the directory. It must
// not know what the files hold.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A temporary file of report.json is called .report.json.7.lorac-tmp, in the
// same directory, so that the rename stays inside one file system.
const tempSuffix = ".lorac-tmp"

// AtomicWriter writes a file that is there in full or not at all: bytes go to
// a temporary file beside it, and Commit syncs that file, renames it over the
// old one and syncs the directory. Until Commit returns nil the file that was
// there before is what a reader finds.
//
// The first error sticks: later calls return it, and Commit refuses.
type AtomicWriter struct {
	path string
	temp string
	file *os.File
	buf  *bufio.Writer
	err  error
	done bool
}

// NewAtomicWriter starts a new version of path. Temporary files beside it, left
// by processes that died, are removed. Use it as
//
//	w, err := atomicfile.NewAtomicWriter(path)
//	if err != nil { … }
//	defer w.Abort()
//	… w.Write …
//	return w.Commit()
func NewAtomicWriter(path string) (*AtomicWriter, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; give the name of a file", path)
	}
	dir, base := filepath.Split(path)
	if base == "" || base == "." || base == ".." {
		return nil, fmt.Errorf("%q is not the name of a file", path)
	}
	RemoveStaleTemps(dir)
	for n := 0; n < 1000; n++ {
		temp := filepath.Join(dir, "."+base+"."+strconv.Itoa(n)+tempSuffix)
		file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot write %s: %w", path, err)
		}
		if !claim(file, temp) { // someone tidied it away before we held it
			file.Close()
			continue
		}
		writing.Store(temp, nil)
		return &AtomicWriter{path: path, temp: temp, file: file, buf: bufio.NewWriterSize(file, 1<<18)}, nil
	}
	return nil, fmt.Errorf("cannot write %s: too many temporary files *%s beside it; remove them", path, tempSuffix)
}

// Written is told how many bytes go to files, where it is set: before the first of them.
var Written func(n int)

// Write appends to the new version.
func (w *AtomicWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.done {
		return 0, fmt.Errorf("write to %s after it was finished", w.path)
	}
	n, err := w.buf.Write(p)
	if err != nil {
		w.fail(err)
	}
	if Written != nil {
		Written(n)
	}
	return n, w.err
}

// Commit makes the new version the file. If it fails, the version that was
// there before still is, and the temporary file is gone.
func (w *AtomicWriter) Commit() error {
	if w.err != nil {
		return w.err
	}
	if w.done {
		return fmt.Errorf("%s is already finished", w.path)
	}
	err := w.buf.Flush()
	if err == nil {
		err = w.file.Sync()
	}
	if err == nil {
		err = finish(w.file, w.temp, w.path)
	}
	if err != nil {
		w.fail(err)
		return w.err
	}
	w.done = true
	writing.Delete(w.temp)
	if err := syncDir(filepath.Dir(w.path)); err != nil {
		return fmt.Errorf("%s is written, but its directory could not be synced: %w", w.path, err)
	}
	return nil
}

// Abort gives up the new version; after Commit it does nothing.
func (w *AtomicWriter) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.file.Close()
	os.Remove(w.temp)
	writing.Delete(w.temp)
}

func (w *AtomicWriter) fail(err error) {
	w.Abort()
	was := "nothing was written"
	if _, e := os.Lstat(w.path); e == nil {
		was = "the version that was there before is untouched"
	}
	w.err = fmt.Errorf("cannot write %s: %w (%s)", w.path, err, was)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		w.err = fmt.Errorf("%w\n  = help: free space on that disk, or write to another", w.err)
	}
}

// WriteFile replaces the content of path by what write produces, in one step.
// Directories that lack on the way are made.
func WriteFile(path string, write func(w io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	w, err := NewAtomicWriter(path)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := write(w); err != nil {
		if w.err == nil { // not a failure to write, but to produce
			w.fail(err)
		}
		return w.err
	}
	return w.Commit()
}

// WriteText is WriteFile of a text that is there.
func WriteText[T string | []byte](path string, text T) error {
	return WriteFile(path, func(w io.Writer) error { _, err := w.Write([]byte(text)); return err })
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error { return syncDir(dir) }

// RemoveStaleTemps removes the temporary files and directories in dir whose writer has died.
// Files that a living writer holds stay, and so does what cannot be removed: the
// next write tries again.
func RemoveStaleTemps(dir string) {
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if isTemp(e.Name()) && (e.Type().IsRegular() || e.IsDir()) {
			removeIfStale(filepath.Join(dir, e.Name()))
		}
	}
}

// isTemp recognises the names that NewAtomicWriter gives: ., name, ., number, suffix.
func isTemp(name string) bool {
	rest, ok := strings.CutSuffix(name, tempSuffix)
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 2 || rest[0] != '.' {
		return false
	}
	_, err := strconv.ParseUint(rest[dot+1:], 10, 32)
	return err == nil
}
