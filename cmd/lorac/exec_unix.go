//go:build unix

package main

import (
	"os"
	"syscall"
)

// execute replaces this process by the trainer, so that signals reach it.
func execute(bin string, args []string) error {
	return syscall.Exec(bin, append([]string{bin}, args...), os.Environ())
}
