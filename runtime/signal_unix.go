//go:build unix

package rt

import (
	"os/signal"
	"syscall"
)

// ignoreFileLimit makes a file size limit what a full disk is: an error of the
// write, not the end of the process.
func ignoreFileLimit() { signal.Ignore(syscall.SIGXFSZ) }
