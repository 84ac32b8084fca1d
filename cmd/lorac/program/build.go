package program

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"lorac/cmd/lorac/cache"
	"lorac/codegen/toolchain"
)

// Files are the files of a tree that a program is built of, by their paths. Those of a
// module have names of their own there, since go:embed passes over other modules.
func Files(tree fs.FS) map[string][]byte {
	files := map[string][]byte{}
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		switch path {
		case "module.mod":
			path = "go.mod"
		case "module.sum":
			path = "go.sum"
		}
		files[path] = text
		return err
	})
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return files
}

// built is the path of the program in a cache. It is built where there is none of
// these sources, or where the one there is not as it was built.
func (p *Program) built(home string) (string, error) {
	dir := filepath.Join(home, p.Name+"-"+p.digest())
	path := filepath.Join(dir, p.file())
	if err := p.build(path); err != nil {
		return "", err
	}
	cache.Used(dir)
	return path, nil
}

// digest names the sources.
func (p *Program) digest() string {
	h := sha256.New()
	files := p.Sources()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%q %d\n%s", name, len(files[name]), files[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// build compiles the program to a path, at once or not at all.
func (p *Program) build(path string) error {
	return cache.Once(path, func(dir string) (string, error) {
		with, err := toolchain.Path()
		if err != nil {
			return "", errors.New("`go` is not in PATH")
		}
		fmt.Fprintf(os.Stderr, "building %s, once; it takes up to a minute\n", p.Name)
		return p.compile(with, dir)
	})
}

// compile builds the program with a Go in a directory and returns its path.
func (p *Program) compile(with, dir string) (string, error) {
	for name, text := range p.Sources() {
		path := filepath.Join(dir, "src", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
	}
	out := filepath.Join(dir, p.file())
	cmd := exec.Command(with, "build", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./"+p.Main)
	cmd.Dir = filepath.Join(dir, "src")
	cmd.Env = toolchain.Fetching(toolchain.Here().Environment(true)) // libraries are modules of others, whose sums are known
	if err := toolchain.CheckPlaces(cmd.Env); err != nil {
		return "", err
	}
	if said, err := toolchain.Run(cmd); err != nil {
		if len(said) == 0 {
			return "", err
		}
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return out, nil
}
