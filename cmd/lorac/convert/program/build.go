package program

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gofrs/flock"

	"lorac/cmd/lorac/cache"
	"lorac/codegen/toolchain"
)

// built is the path of the program in a cache. It is built where there is none of
// these sources, or where the one there is not as it was built.
func (p *Program) built(home string) (string, error) {
	dir := filepath.Join(home, p.Name+"-"+p.digest())
	path := filepath.Join(dir, p.file())
	if !isBuilt(path) {
		if err := p.build(dir, path); err != nil {
			return "", err
		}
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

// build compiles the program to a path in dir, at once or not at all. Of processes
// that want it at the same time, one builds it and the others wait.
func (p *Program) build(dir, path string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("`go` is not in PATH")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Unlock()
	if isBuilt(path) {
		return nil
	}
	fmt.Fprintf(os.Stderr, "building %s, once; it takes up to a minute\n", p.Name)
	old, _ := filepath.Glob(filepath.Join(dir, ".new-*")) // of a process that was killed
	for _, d := range old {
		os.RemoveAll(d)
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	made, err := p.compile(temp)
	if err != nil {
		return err
	}
	sum, err := hashOf(made)
	if err != nil {
		return err
	}
	if err := os.Rename(made, path); err != nil {
		return err
	}
	return os.WriteFile(path+sumSuffix, []byte(sum), 0o600)
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

// sumSuffix ends the name of the file with a program's hash.
const sumSuffix = ".sha256"

// isBuilt reports whether a program of the cache is as it was built.
func isBuilt(path string) bool {
	want, err := os.ReadFile(path + sumSuffix)
	if err != nil {
		return false
	}
	sum, err := hashOf(path)
	return err == nil && sum == string(want)
}

func hashOf(path string) (string, error) {
	content, err := os.ReadFile(path)
	return fmt.Sprintf("%x", sha256.Sum256(content)), err
}
