// Package program finds and runs the programs that lorac does without in its own
// binary, because a library makes them expensive to build: next to lorac, in PATH, or
// built once into the user's cache, from sources that lorac carries. It must not know
// what they do.
package program

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
	"time"

	"lorac/runtime/sys/disk"
)

// Err is the error when a program can be neither found nor built.
var Err = errors.New("a program of lorac's is neither next to lorac nor in PATH")

// Program is one of them.
type Program struct {
	Name     string   // of the program, and of the directory of its sources: main.go, module.mod, module.sum
	Protocol string   // its first argument, which the program compares with its own
	Needs    string   // what needs it, for messages
	Sources  embed.FS // a directory Name
}

// Find is the path of the program.
func (p *Program) Find() (string, error) {
	name := p.Name
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		if near := filepath.Join(filepath.Dir(self), name); disk.IsFile(near) {
			return near, nil
		}
	}
	if path, err := exec.LookPath(p.Name); err == nil {
		return filepath.Abs(path)
	}
	home, err := Cache()
	if err != nil {
		return "", fmt.Errorf("%s needs %s: %w, and cannot be built: %w", p.Needs, p.Name, Err, err)
	}
	dir := filepath.Join(home, p.Name+"-"+p.digest())
	path := filepath.Join(dir, name)
	if !disk.IsFile(path) {
		if err := p.build(dir, name); err != nil {
			return "", fmt.Errorf("%s needs %s: %w, and cannot be built: %w\n  = help: put the %s of this release next to lorac, run `go install ./cmd/...` in a checkout, or repeat this once where Go and a network are", p.Needs, p.Name, Err, err, p.Name)
		}
	}
	now := time.Now()
	os.Chtimes(dir, now, now) // when it was used last
	return path, nil
}

// Cache is the user's directory of what lorac can make again.
func Cache() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "lorac"), err
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
	text, err := p.Sources.ReadFile(p.Name + "/" + name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

// build compiles the program into dir, at once or not at all.
func (p *Program) build(dir, name string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("`go` is not in PATH")
	}
	fmt.Fprintf(os.Stderr, "building %s, once; it takes up to a minute\n", p.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for from, to := range map[string]string{"main.go": "main.go", "module.mod": "go.mod", "module.sum": "go.sum"} {
		if err := os.WriteFile(filepath.Join(temp, to), p.source(from), 0o600); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", "build", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w", "-o", name, ".")
	cmd.Dir = temp
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return os.Rename(filepath.Join(temp, name), filepath.Join(dir, name))
}

// Run runs the program on its input and output. Its error is what it wrote to standard
// error.
func (p *Program) Run(in io.Reader, out io.Writer, args ...string) error {
	path, err := p.Find()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, append([]string{p.Protocol}, args...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	err = cmd.Run()
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = errors.New(text)
	}
	return err
}
