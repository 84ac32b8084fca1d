// Package program finds and runs the programs that lorac does without in its own
// binary, because what they link makes them expensive to build: next to lorac, in PATH, or
// built once into the user's cache, from sources that lorac carries. It must not know
// what they do.
package program

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lorac/cmd/lorac/cache"
	"lorac/codegen/toolchain"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/signals"
)

// Err is the error when a program can be neither found nor built.
var Err = errors.New("neither next to lorac nor in PATH")

// Program is one of them.
type Program struct {
	Name     string                   // of the program
	Protocol string                   // its first argument, which the program compares with its own
	Needs    string                   // what needs it, for messages
	Sources  func() map[string][]byte // its module, by paths
	Main     string                   // the directory of its package there, if not the first
}

// Find is the path of the program, which is built where it is not found. Its error is
// an Err.
func (p *Program) Find() (string, error) {
	if self, err := os.Executable(); err == nil {
		if near := filepath.Join(filepath.Dir(self), p.file()); disk.IsFile(near) {
			return near, nil
		}
	}
	if path, err := exec.LookPath(p.Name); err == nil {
		return filepath.Abs(path)
	}
	missing := fmt.Errorf("%s needs the program %s, which is %w", p.Needs, p.Name, Err)
	home, err := cache.Dir()
	if err != nil {
		return "", fmt.Errorf("%w; it could be built, but %w", missing, err)
	}
	path, err := p.built(home)
	var ended *signals.Ended
	if errors.As(err, &ended) { // nothing takes the place of the program then
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("%w, and it cannot be built: %w\n  = help: put the %s of this release next to lorac, run `go install ./cmd/...` in a checkout, or repeat this once where Go and a network are", missing, err, p.Name)
	}
	return path, nil
}

// file is the name of the program's file on this machine.
func (p *Program) file() string { return toolchain.Here().Exe(p.Name) }

// Run runs the program on its input and output; in may be nil. Its error is that of in
// or out, else what the program wrote to standard error, or an Err.
func (p *Program) Run(in io.Reader, out io.Writer, args ...string) error {
	path, err := p.Find()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, append([]string{p.Protocol}, args...)...)
	var said bytes.Buffer
	from, to := &input{r: in}, &output{w: out}
	if in != nil {
		cmd.Stdin = from
	}
	cmd.Stdout, cmd.Stderr = to, &said
	err = cmd.Run()
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		err = errors.New(text)
	}
	return cmp.Or(from.err, to.err, err) // the program knows of a broken pipe at most
}

// input keeps the error of a reader: what runs a program drops it when that fails, too.
type input struct {
	r   io.Reader
	err error
}

func (s *input) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// output keeps the error of a writer.
type output struct {
	w   io.Writer
	err error
}

func (s *output) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.err = err
	return n, err
}
