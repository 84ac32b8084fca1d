package mindindex

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"lorac/cmd/lorac/cache"
	"lorac/codegen/toolchain"
	"lorac/runtime/sys/disk"
)

// sources are the program and its module, as a checkout has them.
//
//go:embed lorac-mindindex/main.go lorac-mindindex/module.mod lorac-mindindex/module.sum
var sources embed.FS

const (
	program  = "lorac-mindindex"
	protocol = "1" // that of lorac-mindindex/main.go
)

// ErrProgram is the error when the program can be neither found nor built.
var ErrProgram = errors.New("the index of MindRecord files needs the program " + program + ", which is neither next to lorac nor in PATH")

// Available finds the program, or builds it once, so that nothing is written
// without it. It returns an ErrProgram otherwise.
func Available() error {
	_, err := find()
	return err
}

// find is the path of the program: next to lorac, in PATH, or built into the
// user's cache.
func find() (string, error) {
	name := program
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		if near := filepath.Join(filepath.Dir(self), name); disk.IsFile(near) {
			return near, nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return filepath.Abs(path)
	}
	home, err := cache.Dir()
	if err != nil {
		return "", fmt.Errorf("%w; it could be built, but %w", ErrProgram, err)
	}
	dir := filepath.Join(home, program+"-"+digest())
	path := filepath.Join(dir, name)
	if !isBuilt(path) {
		if err := build(dir, name); err != nil {
			return "", fmt.Errorf("%w, and it cannot be built: %w\n  = help: put the %s of this release next to lorac, run `go install ./cmd/...` in a checkout, or repeat this once where Go and a network are", ErrProgram, err, program)
		}
	}
	cache.Used(dir)
	return path, nil
}

// digest names the sources.
func digest() string {
	h := sha256.New()
	for _, name := range []string{"main.go", "module.mod", "module.sum"} {
		h.Write(source(name))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

func source(name string) []byte {
	text, err := sources.ReadFile(program + "/" + name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

// build compiles the program into dir, at once or not at all.
func build(dir, name string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("`go` is not in PATH")
	}
	fmt.Fprintf(os.Stderr, "building %s, once; it takes up to a minute\n", program)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for from, to := range map[string]string{"main.go": "main.go", "module.mod": "go.mod", "module.sum": "go.sum"} {
		if err := os.WriteFile(filepath.Join(temp, to), source(from), 0o666); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", "build", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w", "-o", name, ".")
	cmd.Dir = temp
	cmd.Env = toolchain.Fetching(toolchain.Here().Environment(true)) // SQLite is a module of others, whose sums are known
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	sum, err := hashOf(filepath.Join(temp, name))
	if err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(temp, name), filepath.Join(dir, name)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+sumSuffix), []byte(sum), 0o666)
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

// call runs the program; its error is what it wrote to standard error.
func call(in io.Reader, args ...string) (string, error) {
	path, err := find()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, append([]string{protocol}, args...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &said
	out, err := cmd.Output()
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = errors.New(text)
	}
	return string(out), err
}
