package cxx

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small is a library of one source that needs no twin.
func small(t *testing.T, text string) Library {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("this needs a C++17 compiler: g++ (Debian: apt install g++)")
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	path := filepath.Join(dir, "one.cpp")
	for name, text := range map[string]string{path: text, filepath.Join(dir, "one.h"): "#define N 1\n"} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return Library{Name: "one.so", Include: []string{dir}, Sources: []Source{{path, true}}}
}

// TestCache: the same content gives the same Library, a changed header another.
func TestCache(t *testing.T) {
	l := small(t, "#include \"one.h\"\nextern \"C\" int one() { return N; }\n")
	first, err := l.Build()
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Build()
	if err != nil || again != first {
		t.Errorf("the second build gives %s, %v, not %s", again, err, first)
	}
	if err := os.WriteFile(filepath.Join(l.Include[0], "one.h"), []byte("#define N 2\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if other, err := l.Build(); err != nil || other == first {
		t.Errorf("with another header the build gives %s, %v", other, err)
	}
}

// TestCompilerSays: an error of g++ comes out with its line, and nothing is cached.
func TestCompilerSays(t *testing.T) {
	l := small(t, "int one() { return nothing; }\n")
	for range 2 {
		if path, err := l.Build(); err == nil || !strings.Contains(err.Error(), "one.cpp:1:") || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("the build gives %s, %v", path, err)
		}
	}
}

// TestPrune: the least recently used files go, but none of the last hour.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	for i := range keep + 3 {
		path := filepath.Join(dir, string(rune('A'+i%26))+string(rune('a'+i/26)))
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			old := time.Now().Add(-2 * time.Hour)
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	prune(dir)
	left, _ := os.ReadDir(dir)
	if len(left) != keep+1 {
		t.Errorf("%d files are left of %d, not %d", len(left), keep+3, keep+1)
	}
	if _, err := os.Stat(filepath.Join(dir, "Aa")); err == nil {
		t.Error("the oldest file is still there")
	}
}
