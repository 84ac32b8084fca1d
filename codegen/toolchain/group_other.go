//go:build !unix

package toolchain

import "os/exec"

// There are no process groups here: the command itself is ended.
func group(*exec.Cmd)         {}
func interrupt(cmd *exec.Cmd) { cmd.Process.Kill() } //nolint:errcheck // it may have ended
func kill(cmd *exec.Cmd)      { cmd.Process.Kill() } //nolint:errcheck // it may have ended
