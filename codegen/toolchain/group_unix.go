//go:build unix

package toolchain

import (
	"os/exec"
	"syscall"
)

// group has a command lead a process group: the compilers that it starts are in it.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// interrupt asks the group to end: Go removes its files then.
func interrupt(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) } //nolint:errcheck // it may have ended

// kill ends what is left of the group.
func kill(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } //nolint:errcheck // nothing may be left
