package program

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"lorac/cmd/lorac/cache"
	"lorac/codegen/toolchain"
)

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
	for _, name := range []string{"main.go", "module.mod", "module.sum"} {
		h.Write(p.source(name))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

func (p *Program) source(name string) []byte {
	text, err := fs.ReadFile(p.Sources, p.Name+"/"+name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

// build compiles the program to a path, at once or not at all.
func (p *Program) build(path string) error {
	return cache.Once(path, func(dir string) (string, error) {
		if _, err := exec.LookPath("go"); err != nil {
			return "", errors.New("`go` is not in PATH")
		}
		fmt.Fprintf(os.Stderr, "building %s, once; it takes up to a minute\n", p.Name)
		return p.compile(dir)
	})
}

// compile builds the program in a directory and returns its path.
func (p *Program) compile(dir string) (string, error) {
	for from, to := range map[string]string{"main.go": "main.go", "module.mod": "go.mod", "module.sum": "go.sum"} {
		if err := os.WriteFile(filepath.Join(dir, to), p.source(from), 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("go", "build", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w", "-o", p.file(), ".")
	cmd.Dir = dir
	cmd.Env = toolchain.Fetching(toolchain.Here().Environment(true)) // libraries are modules of others, whose sums are known
	if err := toolchain.CheckPlaces(cmd.Env); err != nil {
		return "", err
	}
	if out, err := toolchain.Run(cmd); err != nil {
		if len(out) == 0 {
			return "", err
		}
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(dir, p.file()), nil
}
