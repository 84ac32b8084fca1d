//go:build unix

package rt

import (
	"os"
	"syscall"
)

// restartProcess starts the process again with the same arguments, so that what
// it did so far is no part of the memory it takes. Where that fails it returns.
func restartProcess() {
	if self, err := os.Executable(); err == nil {
		syscall.Exec(self, os.Args, os.Environ())
	}
}
