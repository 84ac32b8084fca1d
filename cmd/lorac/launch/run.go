package launch

import (
	"os"
	"os/exec"

	"lorac/cmd/lorac/cli"
)

// Run runs the trainer as a child and passes its exit code on.
func Run(bin string, args ...string) error {
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = os.Stdout, os.Stderr, os.Stdin
	err := cmd.Run()
	if e, ok := err.(*exec.ExitError); ok {
		return cli.Exit{Code: e.ExitCode()}
	}
	return err
}
