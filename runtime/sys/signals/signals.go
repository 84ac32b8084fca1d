// Package signals is the signals that ask a process to end. It must not know what
// the process does.
package signals

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// Ends are the signals that ask this process to end, but for those it was started
// to ignore: nohup does so with the one of a terminal that goes, a shell with the
// interrupt of what it runs in the background. SIGTERM is always among them, since
// Go lets nobody hand it down as ignored.
func Ends() (list []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// preparing says that training is prepared.
var preparing atomic.Bool

// Preparation is what a process does before it trains.
type Preparation struct{ came chan os.Signal }

// Prepare keeps Users until it is known whether this process prepares training: then
// they end it, as a batch system sees it trains already.
func Prepare() *Preparation {
	p := &Preparation{make(chan os.Signal, 1)}
	if len(users) > 0 { // Notify would take all
		signal.Notify(p.came, users...)
	}
	return p
}

// Training has Users end this process until Release. end is called with one that comes
// while nobody else answers signals, or came before.
func (p *Preparation) Training(end func(os.Signal)) {
	preparing.Store(true)
	go func() {
		for s := range p.came {
			if !Taken() {
				end(s)
			}
		}
	}()
}

// Release ends the preparation.
func (p *Preparation) Release() {
	preparing.Store(false)
	signal.Stop(p.came)
	close(p.came)
}

// Stops are the signals that ask training to end: Ends, and SIGUSR1 and SIGUSR2, which
// batch systems send some time before they end a job.
func Stops() []os.Signal { return append(Ends(), users...) }

// EndsNow are Stops while training is prepared, else Ends.
func EndsNow() []os.Signal {
	if preparing.Load() {
		return Stops()
	}
	return Ends()
}

// Users are those of Stops that are none of Ends.
func Users() []os.Signal { return users }

// taken counts who answers signals by an Ended of their own.
var taken atomic.Int32

// Take has the caller end the process by an Ended, until release: other handlers of
// this process leave a signal to it.
func Take() (release func()) {
	taken.Add(1)
	return func() { taken.Add(-1) }
}

// Taken reports whether somebody answers signals now.
func Taken() bool { return taken.Load() > 0 }

// Name is a signal as kill -l has it: SIGINT.
func Name(s os.Signal) string {
	switch s {
	case os.Interrupt:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return userName(s)
}

// Code is what a shell shows of a process that a signal ended: 130 for SIGINT.
func Code(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 128 + int(syscall.SIGINT)
}

// Raise ends this process by a signal, as if it had never been caught.
func Raise(s os.Signal) {
	signal.Reset(s)
	if n, ok := s.(syscall.Signal); ok && slices.Contains(users, s) {
		byDefault(n)
	}
	if p, err := os.FindProcess(os.Getpid()); err == nil && p.Signal(s) == nil {
		time.Sleep(time.Second) // the signal comes to any thread
	}
	os.Exit(Code(s))
}

// Ended is the error of a process that is to end by a signal. Message is what has
// been said already or is left to say; it may be empty.
type Ended struct {
	Signal  os.Signal
	Message string
}

// ExitCode is what a shell shows of such a process.
func (e *Ended) ExitCode() int { return Code(e.Signal) }

func (e *Ended) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("ended by %s", Name(e.Signal))
	}
	return e.Message
}
