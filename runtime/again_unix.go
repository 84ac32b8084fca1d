//go:build unix

package rt

import (
	"os"
	"syscall"
)

// again begins the process anew with the same arguments, so that what it did
// so far is no part of the memory it takes. Where that fails it goes on.
func again() {
	if self, err := os.Executable(); err == nil {
		syscall.Exec(self, os.Args, os.Environ())
	}
}
