//go:build !unix

package ascend

import "os/exec"

// group does nothing: the context ends the command alone.
func group(*exec.Cmd) {}

func endGroup(*exec.Cmd) {}
