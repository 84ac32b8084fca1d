package rt

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
)

// listen has the signals that ask a process to end stop its run. A second one, and
// one before training, when nothing can be lost, end it at once. Either way the
// process ends by the signal, with nothing half written.
func (s *stop) listen() (release func()) {
	came := make(chan os.Signal, 8)
	list := signals.Ends()
	if len(list) == 0 { // Notify would take all
		return func() {}
	}
	signal.Notify(came, list...)
	s.mu.Lock()
	s.came = came
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sig := range came {
			if !s.take(sig) {
				s.endNow(sig)
			}
		}
	}()
	return func() { // a signal that came before is not lost
		s.mu.Lock()
		s.came = nil
		s.mu.Unlock()
		signal.Stop(came)
		close(came)
		<-done
	}
}

// listenUsers has the signals of batch systems stop the run, too. Only training is asked
// by them: a library may have its own use for them in other programs.
func (s *stop) listenUsers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if users := signals.Users(); s.came != nil && len(users) > 0 {
		signal.Notify(s.came, users...)
	}
}

// endNow ends the process by a signal.
func (s *stop) endNow(sig os.Signal) {
	atomicfile.RemoveTemps()
	ignorePipe() // who reads standard error may be gone, too
	s.mu.Lock()
	if s.hush != nil {
		s.hush() // a text that is cut off ends with its line
	}
	text := "ended by " + signals.Name(sig)
	if s.loop != nil {
		text += ", the second signal: what finished since the last checkpoint is lost"
	}
	fmt.Fprintln(os.Stderr, "error: "+text)
	signals.Raise(sig)
}

// ignorePipe has writing to a pipe that nobody reads be an error, and not the end of
// the process.
func ignorePipe() { signal.Ignore(syscall.SIGPIPE) }

// ending is held by who ends the process, for good.
var ending sync.Mutex

// end ends the process as an error says, and reports it.
func end(err error) {
	ending.Lock()
	var ended *signals.Ended
	if errors.As(err, &ended) {
		signals.Raise(ended.Signal)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %s\n", human.Printable(err.Error()))
	}
	os.Exit(exit.Code(err))
}
