package program

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"lorac/cmd/lorac/cache"
	"lorac/codegen/toolchain"
)

// TestMain keeps Go's cache where it is when the user's cache is another.
func TestMain(m *testing.M) {
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		panic(err)
	}
	dirs := strings.Split(strings.TrimSpace(string(out)), "\n")
	os.Setenv("GOCACHE", dirs[0])
	os.Setenv("GOMODCACHE", dirs[1])
	os.Exit(m.Run())
}

// echo writes its arguments, then its input; it fails when told so.
const echo = `package main

import "os"

func main() {
	for _, arg := range os.Args[1:] {
		os.Stdout.WriteString(arg + "\n")
	}
	if len(os.Args) > 2 && os.Args[2] == "fail" {
		os.Stderr.WriteString("cannot do that\n")
		os.Exit(1)
	}
	b := make([]byte, 1<<16)
	for {
		n, err := os.Stdin.Read(b)
		if _, broken := os.Stdout.Write(b[:n]); err != nil || broken != nil {
			return
		}
	}
}
`

// sources are those of a program with this text.
func sources(text string) func() map[string][]byte {
	files := Files(fstest.MapFS{
		"main.go":      {Data: []byte(text)},
		"main_test.go": {Data: []byte("no Go")},
		"module.mod":   {Data: []byte("module echo\n\ngo 1.26\n")},
	})
	return func() map[string][]byte { return files }
}

func sample() *Program {
	return &Program{Name: "lorac-echo", Protocol: "7", Needs: "an echo", Sources: sources(echo)}
}

// privateCache makes a cache of the test's own and returns its directory.
func privateCache(t *testing.T) string {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", home)
	return filepath.Join(home, "lorac")
}

// progress is what fn writes to standard error.
func progress(t *testing.T, fn func()) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	was := os.Stderr
	os.Stderr = f
	defer func() { os.Stderr = was }()
	fn()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find is the path of a program and whether it was built just now.
func find(t *testing.T, p *Program) (path string, built bool) {
	t.Helper()
	said := progress(t, func() {
		var err error
		if path, err = p.Find(); err != nil {
			t.Fatal(err)
		}
	})
	return path, strings.Contains(said, "building "+p.Name+", once")
}

// The program beside lorac is taken, else that in PATH; nothing is built then.
func TestFound(t *testing.T) {
	home := privateCache(t)
	p := sample()
	inPath := filepath.Join(t.TempDir(), p.file())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(self), p.file())
	t.Cleanup(func() { os.Remove(beside) })
	t.Setenv("PATH", filepath.Dir(inPath))
	for _, want := range []string{inPath, beside} {
		if err := os.WriteFile(want, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if got, built := find(t, p); got != want || built {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Error("a cache was made:", err)
	}
}

// Of those who need the program at the same time, one builds it, whatever the
// environment says of Go; it is built again where it was changed or its hash is gone.
func TestBuilt(t *testing.T) {
	home := privateCache(t)
	t.Setenv("GOFLAGS", "-tags=other -mod=vendor")
	t.Setenv("GOOS", "plan9")
	p := sample()
	said := progress(t, func() {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := p.Find(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	if n := strings.Count(said, "building lorac-echo, once"); n != 1 {
		t.Errorf("built %d times", n)
	}
	path, built := find(t, p)
	if built || !cache.Intact(path) || !strings.HasPrefix(path, filepath.Join(home, "lorac-echo-")) {
		t.Fatalf("%s, built: %v", path, built)
	}
	for what, change := range map[string]func() error{
		"another program": func() error { return os.WriteFile(path, []byte("#!/bin/sh\necho planted\n"), 0o700) },
		"no hash":         func() error { return os.Remove(path + ".sha256") },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if _, built := find(t, p); !built || !cache.Intact(path) {
			t.Errorf("%s: built again: %v", what, built)
		}
	}
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(list) != 3 { // the program, its hash, the lock
		t.Errorf("%v, %v", list, err)
	}
	digest := p.digest()
	p.Sources = sources(echo + "\n")
	if p.digest() == digest {
		t.Error("other sources have the same program")
	}
}

// Where the program can be neither found nor built there is one error, with what needs
// it, the reason and one way out, and nothing is left.
func TestMissing(t *testing.T) {
	broken := sample()
	broken.Sources = sources("package main\n\nfunc main() { nowhere() }\n")
	for name, x := range map[string]struct {
		p       *Program
		prepare func(t *testing.T)
		want    []string
	}{
		"no Go":            {sample(), func(t *testing.T) { t.Setenv("PATH", t.TempDir()) }, []string{"`go` is not in PATH", "next to lorac"}},
		"no cache":         {sample(), func(t *testing.T) { t.Setenv("XDG_CACHE_HOME", "relative") }, []string{"no private place", "XDG_CACHE_HOME"}},
		"does not compile": {broken, func(*testing.T) {}, []string{"undefined: nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			home := privateCache(t)
			x.prepare(t)
			var out bytes.Buffer
			err := x.p.Run(nil, &out, "rows")
			if !errors.Is(err, Err) || strings.Count(err.Error(), "= help: ") != 1 || out.Len() > 0 {
				t.Fatalf("%v, output %q", err, &out)
			}
			for _, want := range append(x.want, "an echo needs the program lorac-echo, which is neither next to lorac nor in PATH") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %v", want, err)
				}
			}
			left, _ := filepath.Glob(filepath.Join(home, "*", "*"))
			for _, file := range left {
				if filepath.Base(file) != ".lock" {
					t.Errorf("%s is left", file)
				}
			}
		})
	}
}

// A cache that others may write to is not used, even with a program that has its hash:
// they would have planted both.
func TestCacheOfOthers(t *testing.T) {
	if toolchain.Here().OS == "windows" {
		t.Skip("a cache is private there by its access list")
	}
	home := privateCache(t)
	p := sample()
	path := filepath.Join(home, p.Name+"-"+p.digest(), p.file())
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	planted := []byte("#!/bin/sh\necho planted\n")
	if err := os.WriteFile(path, planted, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(planted))
	if err := os.WriteFile(path+".sha256", []byte(sum), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, built := find(t, p); got != path || built {
		t.Fatalf("a private cache is not used: %s", got)
	}
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Find(); !errors.Is(err, Err) || !strings.Contains(err.Error(), "may be written to by others") {
		t.Errorf("%s, %v", got, err)
	}
}

// The program has the protocol, the arguments and the input. Its error is its text,
// unless the input or the output failed before.
func TestRun(t *testing.T) {
	privateCache(t)
	p := sample()
	var out bytes.Buffer
	if err := p.Run(strings.NewReader("input"), &out, "rows", "x"); err != nil || out.String() != "7\nrows\nx\ninput" {
		t.Errorf("%q, %v", &out, err)
	}
	if err := p.Run(nil, io.Discard, "fail"); err == nil || err.Error() != "cannot do that" {
		t.Error(err)
	}
	full := errors.New("the disk is full")
	if err := p.Run(strings.NewReader(strings.Repeat("x", 1<<20)), failing{full}, "rows"); !errors.Is(err, full) {
		t.Error(err)
	}
	cut := errors.New("row 3 is wrong")
	if err := p.Run(io.MultiReader(strings.NewReader("x"), failing{cut}), io.Discard, "rows"); !errors.Is(err, cut) {
		t.Error(err)
	}
}

// failing fails as an input and as an output.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }
