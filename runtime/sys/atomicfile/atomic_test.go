package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.bin")
	for _, content := range []string{"first", "", strings.Repeat("second ", 100_000)} {
		if err := writeBytes(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != content {
			t.Fatalf("read %d bytes, wrote %d", len(got), len(content))
		}
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("left over: %q", names)
	}
}

func TestAbortKeepsTheOldVersion(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.bin")
	if err := writeBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	w, err := NewAtomicWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half of the new")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("before Commit a reader finds %q", got)
	}
	w.Abort()
	w.Abort()
	if got := read(t, path); got != "old" {
		t.Errorf("after Abort a reader finds %q", got)
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("left over: %q", names)
	}
	if err := w.Commit(); err == nil {
		t.Error("Commit after Abort succeeded")
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write after Abort succeeded")
	}
}

func TestAbortAfterCommitDoesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.bin")
	w, err := NewAtomicWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, "", filepath.Join(dir, "..")} {
		if err := writeBytes(path, nil); err == nil {
			t.Errorf("wrote to %q", path)
		}
	}
	if err := writeBytes(filepath.Join(dir, "made", "f"), nil); err != nil {
		t.Errorf("a directory that lacks is made: %v", err)
	}
	if err := writeBytes(filepath.Join(dir, "made", "f", "g"), nil); err == nil || !strings.Contains(err.Error(), "made") {
		t.Errorf("error does not name the place: %v", err)
	}
}

func TestLivingWritersKeepTheirTemps(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.bin")
	one, err := NewAtomicWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewAtomicWriter(path) // tidies up, and must spare the first
	if err != nil {
		t.Fatal(err)
	}
	RemoveStaleTemps(dir)
	one.Write([]byte("one"))
	two.Write([]byte("two"))
	if err := one.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := two.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "two" {
		t.Errorf("the last Commit wins, found %q", got)
	}
}

func TestRemoveStaleTempsSparesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	keep := []string{"state.bin", ".state.bin.lorac-tmp", ".state.bin.x.lorac-tmp", ".state.0.tmp", "a.0.lorac-tmp", "..0.lorac-tmp"}
	for _, name := range append(keep, ".state.bin.3.lorac-tmp") {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	RemoveStaleTemps(dir)
	if got := list(t, dir); len(got) != len(keep) {
		t.Errorf("left %q, want %q", got, keep)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func writeBytes(path string, data []byte) error {
	return WriteFile(path, func(w io.Writer) error { _, err := w.Write(data); return err })
}

func TestProducerFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.bin")
	if err := writeBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("tensor 7 is not there")
	err := WriteFile(path, func(w io.Writer) error { w.Write([]byte("half")); return broken })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "untouched") {
		t.Errorf("error %v", err)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("found %q", got)
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("left over: %q", names)
	}
}

// A full disk is an error with a way out; others speak for themselves.
func TestFullDiskHelp(t *testing.T) {
	for err, helps := range map[error]bool{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}: true, syscall.EIO: false} {
		got := WriteFile(filepath.Join(t.TempDir(), "x"), func(io.Writer) error { return err })
		if !errors.Is(got, err) || strings.HasSuffix(got.Error(), "\n  = help: free space on that disk, or write to another") != helps {
			t.Errorf("%v", got)
		}
	}
}

// A file is held by one who has it open, in this process or another; the next
// may hold it when it is closed.
func TestHold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files are not locked there")
	}
	path := filepath.Join(t.TempDir(), "held")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := open(), open()
	for range 2 {
		if !Hold(first) {
			t.Error("nobody else holds the file, and it cannot be held")
		}
	}
	if Hold(second) {
		t.Error("two hold a file")
	}
	first.Close()
	if !Hold(second) {
		t.Error("a file that was closed is still held")
	}
	second.Close()
	if err := SyncDir(filepath.Dir(path)); err != nil {
		t.Error(err)
	}
	if err := SyncDir(filepath.Join(path, "below a file")); err == nil {
		t.Error("a directory that is not there is synced")
	}
}

// The first error of a writer sticks, and names the file; what write returns
// comes back with it. Directories that lack are made, where they can be.
func TestErrorsStick(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "state.bin")
	if err := writeBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no more numbers")
	err := WriteFile(path, func(w io.Writer) error { io.WriteString(w, "half"); return cause })
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "the version that was there before is untouched") {
		t.Errorf("%v", err)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("a failed write leaves %q", got)
	}
	w, err := NewAtomicWriter(filepath.Join(dir, "new"))
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close() // the disk is gone
	big := make([]byte, 1<<19)
	_, first := w.Write(big)
	_, second := w.Write(big)
	if first == nil || second != first || w.Commit() != first || !strings.Contains(first.Error(), "nothing was written") {
		t.Errorf("%v, then %v", first, second)
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("left over: %q", names)
	}
	w, err = NewAtomicWriter(filepath.Join(dir, "new"))
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close()
	if err := w.Commit(); err == nil {
		t.Error("a file whose disk is gone is committed")
	}
	if err := writeBytes(filepath.Join(path, "below a file"), nil); err == nil {
		t.Error("a file below a file is written")
	}
	w, err = NewAtomicWriter(filepath.Join(dir, "twice"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Error(err)
	}
	if err := w.Commit(); err == nil || !strings.Contains(err.Error(), "already finished") {
		t.Errorf("a second Commit: %v", err)
	}
}

// Who asks is told how many bytes are written.
func TestWritten(t *testing.T) {
	n := 0
	Written = func(k int) { n += k }
	defer func() { Written = nil }()
	if err := WriteText(filepath.Join(t.TempDir(), "f"), "twelve bytes"); err != nil || n != 12 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
