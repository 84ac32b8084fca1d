//go:build unix

package signals

import (
	"os"
	"syscall"
)

// users are the signals that a user or a batch system defines: Slurm's
// --signal=USR1@60 asks by one for an end before the limit of time.
var users = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

func userName(s os.Signal) string {
	switch s {
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	}
	return s.String()
}
