// Package vendored is what emitted programs for a device link of others: purego,
// which opens C libraries without cgo. Trainers for the CPU link nothing of it.
package vendored

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"go/build"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The module, as the Go module proxy gives it:
//
//	go mod download -json github.com/ebitengine/purego@v0.11.3
//
//go:embed purego-v0.11.3.zip
var purego []byte

// Purego's path and version.
const (
	Purego  = "github.com/ebitengine/purego"
	Version = "v0.11.3"
)

// packages are those that a program for Linux links, with cgo or without.
var packages = []string{"", "internal/cgo", "internal/fakecgo", "internal/strings"}

// Files are purego's sources by their paths below vendor/, and the licence: what
// Linux on amd64 and arm64 needs.
var Files = sync.OnceValues(func() (map[string][]byte, error) {
	all, err := unpack()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, text := range all {
		dir := strings.TrimSuffix(path.Dir("/" + name)[1:], "/")
		licence := dir == "" && (strings.HasPrefix(name, "LICENSE") || strings.HasPrefix(name, "NOTICE"))
		if licence || slices.Contains(packages, dir) && needed(name, text) {
			files[Purego+"/"+name] = text
		}
	}
	return files, nil
})

// GoMod is purego's go.mod, for a program that replaces the module by a directory.
func GoMod() ([]byte, error) {
	all, err := unpack()
	return all["go.mod"], err
}

// ModulesText is purego's part of vendor/modules.txt.
func ModulesText() (string, error) {
	mod, err := GoMod()
	if err != nil {
		return "", err
	}
	m := goLine.FindSubmatch(mod)
	if m == nil {
		return "", fmt.Errorf("purego's go.mod names no version of Go")
	}
	text := fmt.Sprintf("# %s %s\n## explicit; go %s\n", Purego, Version, m[1])
	for _, p := range packages {
		text += path.Join(Purego, p) + "\n"
	}
	return text, nil
}

var goLine = regexp.MustCompile(`(?m)^go (\S+)$`)

// unpack is every file of the module by its path in it.
func unpack() (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(purego), int64(len(purego)))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
		files[strings.TrimPrefix(f.Name, Purego+"@"+Version+"/")] = text
	}
	return files, nil
}

// needed reports whether any of the programs has a file.
func needed(name string, text []byte) bool {
	switch path.Ext(name) {
	case ".h":
		return true
	case ".go", ".s":
	default:
		return false
	}
	if strings.HasSuffix(name, "_test.go") {
		return false
	}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, cgo := range []bool{false, true} {
			c := build.Default
			c.GOOS, c.GOARCH, c.CgoEnabled = "linux", arch, cgo
			c.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
			if ok, err := c.MatchFile("", path.Base(name)); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// Names are the paths of Files, in order.
func Names() ([]string, error) {
	files, err := Files()
	return slices.Sorted(maps.Keys(files)), err
}
