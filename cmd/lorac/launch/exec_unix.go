//go:build unix

package launch

import (
	"os"
	"syscall"
)

// Exec replaces this process by the trainer, so that signals reach it.
func Exec(bin string, args []string) error {
	return syscall.Exec(bin, append([]string{bin}, args...), withCommand(os.Environ()))
}
