package rt

import (
	"path/filepath"
	"syscall"
)

// outputTo has standard output and error go to the pipes of a launch, past the
// launcher, which would drop the last lines of a job that it ends and add lines of its
// own. A process on another host has no such pipes and leaves them as they are.
func outputTo(dir string) {
	for fd, name := range []string{1: LaunchStdout, 2: LaunchStderr} {
		if name == "" {
			continue
		}
		pipe, err := syscall.Open(filepath.Join(dir, name), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if syscall.SetNonblock(pipe, false) == nil {
			syscall.Dup3(pipe, fd, 0) //nolint:errcheck // it stays as it is
		}
		syscall.Close(pipe)
	}
}

// silence ends the output of this process: an MPI library has a word of its own to say
// when it ends a job.
func silence() {
	null, err := syscall.Open("/dev/null", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	for fd := 1; fd <= 2; fd++ {
		syscall.Dup3(null, fd, 0) //nolint:errcheck // it says it
	}
	syscall.Close(null)
}
