package mindindex

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// TestMain keeps the program that is built in a directory of its own; what Go
// builds stays where it is.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		cache, err := os.MkdirTemp("", "mindindex-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(cache)
		out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
		if err != nil {
			panic(err)
		}
		dirs := strings.Split(strings.TrimSpace(string(out)), "\n")
		os.Setenv("GOCACHE", dirs[0])
		os.Setenv("GOMODCACHE", dirs[1])
		os.Setenv("XDG_CACHE_HOME", cache)
		return m.Run()
	}())
}

// Without the program and without Go, one sentence says what is missing and what
// to do, before anything is written; a check says that it was not made.
func TestNoProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	file := filepath.Join(dir, "a.mindrecord")
	if err := os.WriteFile(file+".db", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"available": Available(), "check": Check(file, 1)} {
		if !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "`go` is not in PATH") || strings.Count(err.Error(), "= help: ") != 1 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A program of another protocol says so; one that is cut off commits nothing.
func TestProtocol(t *testing.T) {
	path, err := sqlite.Find()
	if err != nil {
		t.Fatal(err)
	}
	out, err := testkit.Command(t, path, "0", "read", "x").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "of different releases") {
		t.Errorf("%v: %s", err, out)
	}
	db := filepath.Join(t.TempDir(), "cut.db")
	_, err = call(strings.NewReader("i1\n"), "write", db, "CREATE TABLE INDEXES(A INT)", "x", "INSERT INTO INDEXES(A) VALUES(?)", "1")
	if err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Error(err)
	}
	if _, err := call(nil, "read", db); err == nil {
		t.Error("half an index is there")
	}
}

// Beside lorac stands the one that is taken, else that in PATH.
func TestProgramInPath(t *testing.T) {
	built, err := sqlite.Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(built))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	got, err := sqlite.Find()
	if err != nil || filepath.Dir(got) != dir {
		t.Errorf("%s, %v", got, err)
	}
}
