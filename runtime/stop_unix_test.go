//go:build unix

package rt

import (
	"syscall"
	"testing"
	"time"
)

// SIGUSR1, which batch systems send before they end a job, stops a run that trains.
func TestUserSignal(t *testing.T) {
	s := newStop()
	release := s.listen()
	defer release()
	s.listenUsers()
	s.training(&Loop{}, &Options{Grace: new(time.Duration)})
	s.mu.Lock()
	s.armed = true // there is nothing to save
	s.mu.Unlock()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for i := 0; !s.requested(); i++ {
		if i == 1000 {
			t.Fatal("the run is not asked to stop")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if s.by() != "SIGUSR1" {
		t.Errorf("it is stopped by %s", s.by())
	}
}
