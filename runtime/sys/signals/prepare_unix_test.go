//go:build unix

package signals

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// While training is prepared, the signals of batch systems end it: who answers signals
// has them in the list, else end gets them. After the release they are not asked for.
func TestPrepare(t *testing.T) {
	got := make(chan os.Signal, 1)
	if slices.Contains(EndsNow(), os.Signal(syscall.SIGUSR1)) {
		t.Error("before")
	}
	p := Prepare()
	syscall.Kill(os.Getpid(), syscall.SIGUSR2) // kept
	p.Training(func(s os.Signal) { got <- s })
	if !slices.Contains(EndsNow(), os.Signal(syscall.SIGUSR1)) {
		t.Error("not while it is prepared")
	}
	select {
	case s := <-got:
		if s != syscall.SIGUSR2 {
			t.Errorf("%v", s)
		}
	case <-time.After(10 * time.Second):
		t.Error("nobody got the signal")
	}
	p.Release()
	if slices.Contains(EndsNow(), os.Signal(syscall.SIGUSR1)) {
		t.Error("after")
	}
}
