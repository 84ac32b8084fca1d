package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/cmd/lorac/build"
)

type compileCmd struct {
	source
	baseFlags
	elsewhereFlags
	Target string `help:"Platform of the trainer: linux/amd64, linux/arm64, darwin/arm64 or windows/amd64 (default: this machine's; GOOS and GOARCH have no say)." placeholder:"OS/ARCH"`
	Out    string `short:"o" required:"" help:"Directory for the sources (DIR/trainer) and the binary." placeholder:"DIR"`
}

// Run writes and builds the trainer.
func (c *compileCmd) Run() error {
	s, err := c.source.source()
	if err != nil {
		return err
	}
	p, err := build.PlatformOf(c.Target)
	if err != nil {
		return err
	}
	if set := p.Ignored(); set != "" {
		fmt.Fprintf(os.Stderr, "note: built for %s; %s in the environment has no say, --target does\n", p, set)
	}
	if s.Base, err = c.base(); err != nil {
		return err
	}
	d, err := c.device(s)
	if err != nil {
		return err
	}
	t := c.target(s.Base)
	t.Limit = int(c.Limit)
	if err := c.shared(&t); err != nil {
		return err
	}
	if d != nil {
		fmt.Println(d)
		t.For(d)
	}
	r, err := s.Compile(t)
	if err != nil {
		return err
	}
	bin, rebuilt, err := build.In(c.Out, r.Module, p)
	if err != nil {
		return err
	}
	if rebuilt {
		fmt.Printf("built %s\n", bin)
	} else {
		fmt.Printf("%s is up to date\n", bin)
	}
	if d == nil {
		return nil
	}
	return c.kernels(d, strings.TrimSuffix(filepath.Base(bin), ".exe"))
}

// kernels puts the kernels of the device beside the trainer, or says how.
func (c *compileCmd) kernels(d *build.Device, name string) error {
	file, commands, err := build.KernelsIn(d, c.Out, name)
	if err != nil {
		return err
	}
	if commands == "" {
		if from := os.Getenv("LORAC_ASCEND_KERNELS"); from != "" {
			fmt.Printf("copied %s to %s\n", from, file)
		} else {
			fmt.Printf("compiled %s\n", file)
		}
		return nil
	}
	dir := filepath.Join(c.Out, build.KernelsDir)
	fmt.Printf("no compiler of CANN is here for the kernels: %s has their sources.\nOn a machine with CANN 9 or later, after sourcing its set_env.sh, %s does\n\n%s\nwhich makes %s.\n",
		dir, filepath.Join(dir, "compile.sh"), commands, file)
	return nil
}
