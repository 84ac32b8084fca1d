package launch

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// ownGroup has a launcher lead a process group of its own and end with this process.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startBound starts a command from a thread that lives as long as it: the system takes
// the end of that thread for the end of the parent.
func startBound(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() //nolint:errcheck // the state says it
			close(done)
		}
	}()
	return done, <-started
}

// runs reports whether a process is one of a program.
func runs(pid int, bin string) bool {
	return programOf(pid) == bin
}

// programOf is the file that a process runs, "" where it has ended.
func programOf(pid int) string {
	path, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return path
}
