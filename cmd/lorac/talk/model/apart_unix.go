//go:build unix

package model

import (
	"os/exec"
	"syscall"
)

// apart has a command lead a process group of its own.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
