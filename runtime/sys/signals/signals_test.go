package signals

import (
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

// Signals that end the process are watched, but for those it was started to
// ignore, as nohup does with SIGHUP; SIGTERM always is.
func TestEnds(t *testing.T) {
	list := Ends()
	if !slices.Contains(list, os.Signal(syscall.SIGTERM)) {
		t.Errorf("SIGTERM is not among %v", list)
	}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if slices.Contains(list, s) == signal.Ignored(s) {
			t.Errorf("%v among %v, ignored: %v", s, list, signal.Ignored(s))
		}
	}
}

// An error that says how a process ends has the code that a shell shows.
func TestEnded(t *testing.T) {
	for s, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		var e interface{ ExitCode() int }
		if err := error(&Ended{Signal: s}); !errors.As(err, &e) || e.ExitCode() != want {
			t.Errorf("%v: %v", s, err)
		}
	}
}
