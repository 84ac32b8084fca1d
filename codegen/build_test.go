package codegen_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"lorac/codegen"
	gotool "lorac/codegen/toolchain"
	"lorac/ir"
)

// fakeGo puts a go in PATH, alone, that notes how it is called and writes
// what it is to build, so that no build takes its time.
func fakeGo(t *testing.T) (log string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the toolchain of this test is a shell script")
	}
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	script := `#!/bin/sh
if [ "$1" = env ] && [ "$2" = GOCACHE ]; then echo "$GOCACHE"; exit 0; fi
if [ "$1" = env ]; then echo "$TEST_VERSION"; exit 0; fi
echo "args $* in $PWD" >> "$TEST_LOG"
echo "env GOFLAGS=$GOFLAGS GOWORK=$GOWORK GOPROXY=$GOPROXY TMPDIR=$TMPDIR" >> "$TEST_LOG"
echo "pinned $GOOS/$GOARCH $GOAMD64 env=$GOENV exp=$GOEXPERIMENT cgo=$CGO_ENABLED debug=$GODEBUG toolchain=$GOTOOLCHAIN root=$GOROOT fips=$GOFIPS140" >> "$TEST_LOG"
while [ $# -gt 1 ]; do
  if [ "$1" = -o ]; then echo built > "$2"; fi
  shift
done
echo "the compiler's words"
exit $TEST_EXIT
`
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"PATH": dir, "TEST_LOG": log, "TEST_EXIT": "0", "TEST_VERSION": "go1.99", "GOCACHE": t.TempDir(), "GOFLAGS": "-mod=mod"} {
		t.Setenv(name, value)
	}
	return log
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func put(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// A trainer is built where its sources, its toolchain or its binary are not
// those of the last build, and only there.
func TestBuild(t *testing.T) {
	log := fakeGo(t)
	m := compile(t, grouped.yaml())
	dir := filepath.Join(t.TempDir(), "out")
	wd := t.TempDir()
	t.Chdir(wd)
	if err := os.Mkdir("tmp", 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", "tmp") // a relative one is meant from here, not from dir
	builds := 0
	build := func(why string, m *ir.Module, want bool) {
		t.Helper()
		binary, rebuilt, err := codegen.Build(dir, "toy", m, gotool.Here())
		if err != nil || rebuilt != want || binary != filepath.Join(dir, "toy") || read(t, binary) != "built\n" {
			t.Errorf("%s: %s, rebuilt %v, %v", why, binary, rebuilt, err)
		}
		if want {
			builds++
		}
		if n := strings.Count(read(t, log), "args build"); n != builds {
			t.Errorf("%s: %d builds, want %d", why, n, builds)
		}
	}
	if codegen.IsBuilt(dir) {
		t.Error("what is not there is built")
	}
	build("first", m, true)
	if !codegen.IsBuilt(dir) {
		t.Error("what was built is not")
	}
	for _, want := range []string{"args build -mod=vendor -trimpath -buildvcs=false -ldflags=-s -w ", "./trainer in " + dir,
		"env GOFLAGS= GOWORK=off GOPROXY=off TMPDIR=" + filepath.Join(wd, "tmp") + "\n"} {
		if !strings.Contains(read(t, log), want) {
			t.Errorf("%q is not in\n%s", want, read(t, log))
		}
	}
	tree, err := codegen.Tree(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range tree {
		if read(t, dir, name) != string(text) {
			t.Errorf("%s is not written as it was emitted", name)
		}
	}
	build("again", m, false)
	put(t, "stale", dir, "trainer", "old.go")
	build("another module", compile(t, different.yaml()), true)
	if _, err := os.Stat(filepath.Join(dir, "trainer", "old.go")); err == nil {
		t.Error("a source of before is built in")
	}
	build("the first module", m, true)
	t.Setenv("TEST_VERSION", "go1.100")
	build("another toolchain", m, true)
	for name, value := range map[string]string{"GOOS": "plan9", "GOARCH": "arm64", "GOAMD64": "v4", "GOENV": "/nowhere", "GOWORK": "/w", "GOEXPERIMENT": "x", "CGO_ENABLED": "1",
		"GODEBUG": "y=1", "GOTOOLCHAIN": "go1.1", "GOROOT": "/root", "GOFIPS140": "latest", "GOFLAGS": "-race"} {
		t.Setenv(name, value)
	}
	build("an environment that has no say", m, false)
	put(t, "planted\n", dir, "toy")
	build("a binary that was changed", m, true)
	pinned := "pinned " + runtime.GOOS + "/" + runtime.GOARCH + " v1 env=off exp= cgo=0 debug= toolchain=local root= fips=off\n"
	if text := read(t, log); !strings.HasSuffix(text, pinned) {
		t.Errorf("the environment of the build is not %q:\n%s", pinned, text)
	}
	if err := os.Rename(filepath.Join(dir, "toy"), filepath.Join(wd, "toy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(wd, "toy"), filepath.Join(dir, "toy")); err != nil {
		t.Fatal(err)
	}
	build("a link to the binary", m, true)
	if err := os.Remove(filepath.Join(dir, "toy")); err != nil {
		t.Fatal(err)
	}
	build("no binary", m, true)

	t.Setenv("TEST_EXIT", "1")
	t.Setenv("TEST_VERSION", "go1.99")
	if _, _, err := codegen.Build(dir, "toy", m, gotool.Here()); err == nil || !strings.Contains(err.Error(), "building the trainer in "+dir+" failed: exit status 1\nthe compiler's words") {
		t.Errorf("a build that fails: %v", err)
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); codegen.IsBuilt(dir) || len(list) > 0 {
		t.Errorf("a build that failed leaves %v, or counts as built", list)
	}
	t.Setenv("TEST_EXIT", "0")
	builds++
	build("after a failure", m, true)
}

// Names of a program that are those of its sources are given another; what lorac did
// not write is not replaced.
func TestBuildNames(t *testing.T) {
	fakeGo(t)
	m := compile(t, grouped.yaml())
	for name, want := range map[string]string{"trainer": "trainer.bin", "Vendor": "Vendor.bin", "kernels": "kernels.bin", "func": "func", "main": "main"} {
		dir := t.TempDir()
		for range 2 {
			if binary, _, err := codegen.Build(dir, name, m, gotool.Here()); err != nil || binary != filepath.Join(dir, want) {
				t.Errorf("%s: %s, %v", name, binary, err)
			}
		}
	}
	if binary, _, err := codegen.Build(t.TempDir(), "toy", m, gotool.Platform{OS: "windows", Arch: "amd64"}); err != nil || filepath.Base(binary) != "toy.exe" {
		t.Errorf("windows: %s, %v", binary, err)
	}
	for _, name := range []string{"trainer", "vendor", "toy"} {
		dir := t.TempDir()
		put(t, "mine", dir, name)
		if _, _, err := codegen.Build(dir, "toy", m, gotool.Here()); err == nil || !strings.Contains(err.Error(), "holds "+name+", which lorac did not write") {
			t.Errorf("%s: %v", name, err)
		}
		if read(t, dir, name) != "mine" {
			t.Errorf("%s is replaced", name)
		}
	}
}

// What a dump says of itself stays in comments: the program is Go, and the same but
// for them.
func TestCommentsHold(t *testing.T) {
	code := func(m *ir.Module) (list []string) {
		files, err := codegen.Emit(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, files[name], 0)
			if err != nil {
				t.Fatalf("%v in\n%s", err, files[name])
			}
			var b strings.Builder
			for _, d := range f.Decls {
				fmt.Fprintf(&b, "%T ", d)
			}
			list = append(list, name+": "+b.String())
		}
		return list
	}
	m := compile(t, grouped.yaml())
	want := code(m)
	for _, evil := range []string{"x\nfunc init() { panic(1) }", "*/ func init() {} /*", "x\r\nvar y int\u2028//", "\x00\ufeff\xff\x1b[31m", "//line a:1\n//go:embed x"} {
		m := compile(t, grouped.yaml())
		m.Source = evil
		for _, s := range m.Sizes {
			s.Attrs = s.Attrs.Clone()
			s.Attrs["doc"] = evil
		}
		for _, f := range m.Funcs {
			f.Doc = evil
		}
		if got := code(m); !slices.Equal(got, want) {
			t.Errorf("%q changes the program:\n%s\nnot\n%s", evil, got, want)
		}
	}
}

// What cannot be built says why, and leaves what is there alone.
func TestBuildRefuses(t *testing.T) {
	log := fakeGo(t)
	m := compile(t, grouped.yaml())
	dir := t.TempDir()
	const other = "module somebody/else\n"
	put(t, other, dir, "go.mod")
	if _, _, err := codegen.Build(dir, "toy", m, gotool.Here()); err == nil || !strings.Contains(err.Error(), dir+" holds another Go module; give an empty directory with -o") {
		t.Errorf("another's module: %v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 || read(t, dir, "go.mod") != other {
		t.Errorf("another's module has %v now", list)
	}
	file := filepath.Join(dir, "go.mod")
	if _, _, err := codegen.Build(file, "toy", m, gotool.Here()); err == nil {
		t.Error("a file was built in")
	}
	for _, f := range m.Funcs { // as before plan-memory
		f.EachValue(func(v *ir.Value) { v.Place = nil })
	}
	if _, _, err := codegen.Build(t.TempDir(), "toy", m, gotool.Here()); err == nil || !strings.Contains(err.Error(), "has no place in memory: the dump was taken before plan-memory") {
		t.Errorf("no memory is planned: %v", err)
	}
	if _, err := os.Stat(log); err == nil {
		t.Errorf("the toolchain was asked: %s", read(t, log))
	}
	t.Setenv("PATH", t.TempDir())
	if _, _, err := codegen.Build(t.TempDir(), "toy", compile(t, grouped.yaml()), gotool.Here()); err == nil || !strings.Contains(err.Error(), "the Go toolchain is not found: building a trainer needs `go` in PATH") {
		t.Errorf("no toolchain: %v", err)
	}
}

// Trainers of this machine share what they link, of which the four newest
// versions are kept.
func TestBuildHere(t *testing.T) {
	log := fakeGo(t)
	common := filepath.Join(t.TempDir(), "sources")
	for i := range 5 {
		old := filepath.Join(common, fmt.Sprintf("%d%d", i, i))
		if err := os.MkdirAll(old, 0o777); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-9) * time.Hour)
		if err := os.Chtimes(old, at, at); err != nil {
			t.Fatal(err)
		}
	}
	var linked string
	for i, s := range []sizes{grouped, different} {
		dir := t.TempDir()
		binary, rebuilt, err := codegen.BuildHere(dir, "toy", compile(t, s.yaml()), common)
		if err != nil || !rebuilt || read(t, binary) != "built\n" {
			t.Fatalf("%s, %v, %v", binary, rebuilt, err)
		}
		mod := filepath.Join(dir, ".build", "go.mod")
		if want := "args build -mod=mod -modfile=" + mod + " -buildvcs=false"; !strings.Contains(read(t, log), want) {
			t.Errorf("%q is not in\n%s", want, read(t, log))
		}
		_, path, _ := strings.Cut(read(t, mod), "replace lorac => \"")
		path, _, _ = strings.Cut(path, "\"\n")
		if i > 0 && path != linked {
			t.Errorf("two trainers link %s and %s", linked, path)
		}
		linked = path
	}
	if !strings.HasPrefix(read(t, linked, "go.mod"), "module lorac\n\ngo 1.26\n") || read(t, linked, "runtime", "main.go") != read(t, "..", "runtime", "main.go") {
		t.Error("what is linked is not the runtime")
	}
	var names []string
	list, err := os.ReadDir(common)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		names = append(names, d.Name())
	}
	want := []string{"22", "33", "44", filepath.Base(linked)}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%v are kept, want %v", names, want)
	}
}
