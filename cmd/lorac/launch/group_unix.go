//go:build unix && !linux

package launch

import (
	"os/exec"
	"syscall"
)

// ownGroup has a launcher lead a process group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func startBound(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	done := make(chan struct{})
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait() //nolint:errcheck // the state says it
		close(done)
	}()
	return done, nil
}

// runs is false: this system does not say what a process is.
func runs(int, string) bool { return false }
