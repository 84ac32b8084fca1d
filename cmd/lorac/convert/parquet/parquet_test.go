package parquet

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Without the program and without Go, one sentence says what is missing, and nothing is
// written.
func TestNoProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "a.parquet")
	if err := os.WriteFile(path, []byte("PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !Is(path) || Is(dir) || Is("/dev/zero") {
		t.Error("what is Parquet is told by its first bytes")
	}
	_, err := Cached(path)
	if err == nil || !strings.Contains(err.Error(), "`go` is not in PATH") || strings.Count(err.Error(), "= help: ") != 1 {
		t.Error(err)
	}
	if !errors.Is(err, ErrProgram) || !strings.HasPrefix(err.Error(), "Parquet needs the program lorac-parquet") {
		t.Error(err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%v is there", list)
	}
}

// reads puts a program into PATH, in place of the real one, that runs a line of shell.
func reads(t *testing.T, line string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, reader.Name), []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// Rows lie in a cache that is the user's alone, are made once and again of another file,
// and are there in full or not at all.
func TestCached(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", home)
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := os.WriteFile(path, []byte("PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	reads(t, `echo '{"text": "half of'; echo row 2 is damaged >&2; exit 1`)
	if _, err := Cached(path); err == nil || err.Error() != "row 2 is damaged" {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(home, "lorac", "rows-*", "*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	reads(t, `echo '{"text": "x"}'`)
	out, err := Cached(path)
	if err != nil || !strings.HasPrefix(out, filepath.Join(home, "lorac", "rows-")) {
		t.Fatal(out, err)
	}
	if rows, err := os.ReadFile(out); err != nil || string(rows) != "{\"text\": \"x\"}\n" {
		t.Errorf("%q, %v", rows, err)
	}
	for _, dir := range []string{filepath.Join(home, "lorac"), filepath.Dir(out)} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	reads(t, `echo must not run >&2; exit 1`)
	if again, err := Cached(path); again != out || err != nil {
		t.Errorf("%s, %v", again, err)
	}
	if err := os.WriteFile(path, []byte("PAR1 of more rows"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Cached(path); err == nil {
		t.Error("another file has the rows of the first")
	}
}

// Without a private cache nothing is converted; the error has both ways out.
func TestNoPrivateCache(t *testing.T) {
	reads(t, `echo '{"text": "x"}'`)
	t.Setenv("XDG_CACHE_HOME", "relative")
	dir := t.TempDir()
	path := filepath.Join(dir, "a.parquet")
	if err := os.WriteFile(path, []byte("PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Cached(path)
	if err == nil || strings.Count(err.Error(), "= help: ") != 1 {
		t.Fatal(err)
	}
	for _, want := range []string{"a.parquet", "XDG_CACHE_HOME", "lorac convert rows --data_path " + path} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
