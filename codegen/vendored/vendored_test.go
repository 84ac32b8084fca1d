package vendored

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// The zip is the one that go.sum names, and its version that of go.mod.
func TestSum(t *testing.T) {
	z, err := zip.NewReader(bytes.NewReader(purego), int64(len(purego)))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			t.Fatal(err)
		}
		lines[f.Name] = fmt.Sprintf("%x  %s\n", h.Sum(nil), f.Name)
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		io.WriteString(h, lines[name])
	}
	want := Purego + " " + Version + " h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil)) + "\n"
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(sum), want) {
		t.Errorf("go.sum does not have %s", want)
	}
}

// The files are those of every package that a program links, and the licence;
// nothing of tests, examples or other systems.
func TestFiles(t *testing.T) {
	names, err := Names()
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	files, _ := Files()
	for _, n := range names {
		size += len(files[n])
		for _, bad := range []string{"_test", "example", "testdata", "windows", "darwin", "freebsd", "riscv64", "objc"} {
			if strings.Contains(n, bad) && !strings.HasSuffix(n, ".h") {
				t.Errorf("%s is not needed", n)
			}
		}
	}
	if !slices.Contains(names, Purego+"/LICENSE") {
		t.Error("the licence is missing")
	}
	if size > 400<<10 {
		t.Errorf("they take %d bytes", size)
	}
}

// A program with these files and nothing else builds, for both kinds of machines.
func TestBuilds(t *testing.T) {
	testkit.Slow(t, "systems")
	dir := t.TempDir()
	text, err := ModulesText()
	if err != nil {
		t.Fatal(err)
	}
	tree := map[string][]byte{
		"go.mod":             []byte("module try\n\ngo 1.26\n\nrequire " + Purego + " " + Version + "\n"),
		"vendor/modules.txt": []byte(text),
		"main.go":            []byte("package main\n\nimport \"" + Purego + "\"\n\nfunc main() {\n\t_, err := purego.Dlopen(\"none.so\", purego.RTLD_NOW)\n\tprintln(err.Error())\n}\n"),
	}
	files, _ := Files()
	for name, text := range files {
		tree["vendor/"+name] = text
	}
	for name, text := range tree {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, arch := range []string{"amd64", "arm64"} {
		cmd := exec.Command("go", "build", "-mod=vendor", "-o", "try-"+arch, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", arch, err, out)
		}
	}
}
