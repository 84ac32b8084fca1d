//go:build unix

package rt

import (
	"os/signal"
	"syscall"
)

// ignoreFileSizeLimit makes a file size limit what a full disk is: an error of
// the write, not the end of the process.
func ignoreFileSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }
