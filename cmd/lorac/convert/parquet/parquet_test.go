package parquet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The module that the program is built in elsewhere has the versions of this one.
func TestModuleOfProgram(t *testing.T) {
	for own, whole := range map[string]string{"module.mod": "go.mod", "module.sum": "go.sum"} {
		text, err := os.ReadFile("../../../../" + whole)
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			have[strings.TrimPrefix(strings.TrimSpace(line), "require ")] = true
		}
		mine, err := sources.ReadFile("lorac-parquet/" + own)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(mine)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
			if strings.HasPrefix(line, "github.com/parquet-go/parquet-go ") {
				n++
			}
			if line != "(" && !strings.HasPrefix(line, "module ") && !have[line] {
				t.Errorf("%s: %s has no line %q; go mod tidy in a copy of the program with the go.mod and go.sum of the root", own, whole, line)
			}
		}
		if n == 0 {
			t.Errorf("%s does not name the library", own)
		}
	}
}

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
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%v is there", list)
	}
}
