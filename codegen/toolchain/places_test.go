package toolchain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A variable that names a directory which Go cannot use is named in one sentence.
func TestPlaces(t *testing.T) {
	if Here().OS == "windows" {
		t.Skip("there, other variables say where temporary files go")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		env  map[string]string
		want string // "" for none
	}{
		"as it is":                  {nil, ""},
		"no TMPDIR":                 {map[string]string{"TMPDIR": ""}, ""},
		"TMPDIR is not there":       {map[string]string{"TMPDIR": "/nonexistent"}, "TMPDIR: Go cannot make its temporary files in /nonexistent: no such file or directory\n"},
		"TMPDIR is a file":          {map[string]string{"TMPDIR": file}, "TMPDIR: Go cannot make its temporary files in " + file + ": not a directory\n"},
		"GOTMPDIR is not there":     {map[string]string{"GOTMPDIR": "/nonexistent"}, "GOTMPDIR: Go cannot make its temporary files in /nonexistent: "},
		"GOTMPDIR wins":             {map[string]string{"TMPDIR": "/nonexistent", "GOTMPDIR": t.TempDir()}, ""},
		"GOCACHE is off":            {map[string]string{"GOCACHE": "off"}, "GOCACHE=off leaves Go without a cache"},
		"GOCACHE is relative":       {map[string]string{"GOCACHE": "cache"}, "GOCACHE=cache leaves Go without a cache"},
		"GOCACHE is below a file":   {map[string]string{"GOCACHE": file + "/x"}, "GOCACHE: Go cannot make its cache in " + file + "/x: not a directory\n"},
		"GOCACHE is made":           {map[string]string{"GOCACHE": filepath.Join(t.TempDir(), "new")}, ""},
		"no place for a cache":      {map[string]string{"GOCACHE": "", "XDG_CACHE_HOME": "", "HOME": ""}, "there is no place for Go's cache: GOCACHE, XDG_CACHE_HOME and HOME are all unset\n"},
		"the user's cache is wrong": {map[string]string{"GOCACHE": "", "XDG_CACHE_HOME": file}, "HOME or XDG_CACHE_HOME: Go cannot make its cache in " + file + "/go-build: not a directory\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOTMPDIR", "")
			for k, v := range x.env {
				t.Setenv(k, v)
			}
			_, err := Here().Build(dir)
			if x.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), x.want) || strings.Count(err.Error(), "\n  = help: ") != 1 {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
}

// What Go says of the environment is put into a sentence; what it says of the sources
// is not.
func TestExplained(t *testing.T) {
	for said, want := range map[string]string{
		"go: go.mod requires go >= 1.26 (running go 1.21.0; GOTOOLCHAIN=local)\n":          "the Go in PATH is 1.21.0, and a trainer needs 1.26 or newer\n",
		"go: errors parsing go.mod:\n/x/go.mod:3: invalid go version '1.26.0': must match": "the Go in PATH is too old",
		"# trainer\nwrite /tmp/b001/x.a: no space left on device":                          "the disk is full where Go builds: in its temporary directory (TMPDIR, GOTMPDIR) or its cache (GOCACHE) (write /tmp/b001/x.a: no space left on device)\n",
		"fatal error: runtime: cannot allocate memory\n\ngoroutine 1 [running]:":           "Go's compiler did not get the memory",
		"go build x: compile: signal: killed":                                              "Go's compiler did not get the memory",
		"open /c/x: read-only file system":                                                 "a directory that Go builds in is on a file system that is read-only (open /c/x: read-only file system)\n",
		"# trainer\n./main.go:3:1: undefined: x":                                           "",
	} {
		got := explain(said)
		if want == "" && got != "" || !strings.HasPrefix(got, want) || want != "" && strings.Count(got, "\n  = help: ") != 1 {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
