package signals

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// A process ends by the signal that it raises, one that Go passes over, too.
func TestRaise(t *testing.T) {
	if os.Getenv("RAISE") != "" {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1, syscall.SIGTERM)
		s := map[string]syscall.Signal{"SIGUSR1": syscall.SIGUSR1, "SIGTERM": syscall.SIGTERM}[os.Getenv("RAISE")]
		Raise(s)
	}
	for _, want := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRaise$")
		cmd.Env = append(os.Environ(), "RAISE="+Name(want))
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if w := exit.Sys().(syscall.WaitStatus); !w.Signaled() || w.Signal() != want {
			t.Errorf("%s: %v", Name(want), err)
		}
	}
}
