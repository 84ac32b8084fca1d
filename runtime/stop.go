package rt

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lorac/runtime/exit"
	"lorac/runtime/sys/signals"
)

// stop is a run's way to an early end. A signal or --max_time asks for it; the loop
// sees that between two steps, an evaluation between two micro-batches. What takes
// longer than the grace is given up: the state of the last finished step is then
// saved beside the goroutine that still computes, which must never change that state
// again (see gate).
type stop struct {
	asked  atomic.Bool // this process was
	many   bool        // the run has several processes, which stop together
	first  bool        // this is the one that saves
	agreed atomic.Bool // all of them know that one was asked

	mu      sync.Mutex
	signal  os.Signal // nil: none came
	since   time.Time // of the signal
	loop    *Loop     // that trains; nil before and without training, when nothing can be lost
	grace   time.Duration
	armed   bool             // the grace runs
	maxTime string           // --max_time as it was given
	outcome chan error       // of the state that was saved beside the run
	end     func(error)      // ends the process; nil: the process is not the run's
	came    chan<- os.Signal // of the process; nil: it does not listen
	hush    func()           // ends what the run is writing; may be nil
}

// repeated is how close two signals of a kind are one request: timeout(1) sends its
// signal to the process and then to its group, a shell that loses its terminal
// too.
const repeated = 200 * time.Millisecond

// defaultGrace is what a step has to end in unless --grace says otherwise.
const defaultGrace = 10 * time.Second

func newStop() *stop { return &stop{outcome: make(chan error, 1)} }

// requested reports whether the run is to end early.
func (s *stop) requested() bool {
	if s != nil && s.many {
		return s.agreed.Load()
	}
	return s.wanted()
}

// wanted reports whether this process was asked to have the run end.
func (s *stop) wanted() bool { return s != nil && s.asked.Load() }

// ofTime is the code of an end that --max_time asks for.
const ofTime = -1

// code says to the other processes what asked this one: 0 for nothing, the number of
// a signal, or ofTime.
func (s *stop) code() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n, ok := s.signal.(syscall.Signal); {
	case ok:
		return int(n)
	case s.asked.Load():
		return ofTime
	}
	return 0
}

// adopt has this process end as another one was asked to.
func (s *stop) adopt(code int) {
	if code == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signal == nil && code != ofTime {
		s.signal, s.since = syscall.Signal(code), time.Now()
	}
	s.agreed.Store(true)
	s.ask()
}

// take is the answer to a signal: false if the process must end at once, since
// nothing can be lost or since it was asked before.
func (s *stop) take(sig os.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loop == nil {
		return false
	}
	if s.signal != nil {
		return sig == s.signal && time.Since(s.since) < repeated
	}
	s.signal, s.since = sig, time.Now()
	s.ask()
	return true
}

// expire is the answer to the end of --max_time.
func (s *stop) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask()
}

// ask has the run end, within the grace once it trains.
func (s *stop) ask() {
	s.asked.Store(true)
	if s.loop != nil && !s.armed {
		s.armed = true
		time.AfterFunc(s.grace, s.giveUp)
	}
}

// training tells that there is a state to save from now on.
func (s *stop) training(l *Loop, o *Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loop, s.grace = l, defaultGrace
	if o.Grace != nil {
		s.grace = *o.Grace
	}
	if s.asked.Load() { // --max_time is over already
		s.ask()
	}
}

// by names what asked for the end: SIGTERM or max_time.
func (s *stop) by() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signal != nil {
		return signals.Name(s.signal)
	}
	return "max_time"
}

// err is how the run ends: by the signal, or well if its time is over.
func (s *stop) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signal == nil {
		return nil
	}
	return &signals.Ended{Signal: s.signal}
}

// ErrAbandoned is thrown in a run whose step was given up: by the gate, or by a
// device at its next launch (Abandon).
var ErrAbandoned = errors.New("the step was given up")

// gate is held while the state of a run changes or is written: from the end of the
// gradients of a step until the step is counted, and while it is saved. A step is
// given up only where it is not held, so what is saved is the state that the last
// finished step left, whole. Who finds it closed must not continue.
type gate struct {
	mu     sync.Mutex
	inside bool // the run's own goroutine holds it
	closed bool // the step was given up
	ended  bool // the run is over, and its memory is given back
}

// enter waits for the gate. It does nothing where the run holds it.
func (g *gate) enter() {
	if g.inside {
		return
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		panic(ErrAbandoned)
	}
	g.inside = true
}

// leave gives it back.
func (g *gate) leave() {
	if g.inside {
		g.inside = false
		g.mu.Unlock()
	}
}

// end tells that the run is over. It waits for who saves its state.
func (g *gate) end() {
	if !g.inside {
		g.mu.Lock()
	}
	g.inside, g.ended = false, true
	g.mu.Unlock()
}

// giveUp saves the last finished step beside the step that does not end.
func (s *stop) giveUp() {
	l := s.loop
	if s.many && !s.first { // the first process saves, and ends the job
		return
	}
	l.gate.mu.Lock()
	if l.gate.ended {
		l.gate.mu.Unlock()
		return
	}
	l.gate.closed = true
	s.agreed.Store(true)
	if err := l.world.giveUp(s.code()); err != nil {
		s.end(err)
		return
	}
	if d, ok := l.weights.dev.(sharing); ok {
		d.Aside()
	}
	if d, ok := l.weights.dev.(interface{ Abandon() }); ok { // only the run's own goroutine can read the device
		l.gate.mu.Unlock()
		d.Abandon()
		time.AfterFunc(max(s.grace, minAnswer), s.noAnswer)
		return
	}
	s.finish(l.concludeCaught())
	l.gate.mu.Unlock()
}

// minAnswer is the least time that a device has to end what it computes.
const minAnswer = 10 * time.Second

// noAnswer ends a process whose device does not come back.
func (s *stop) noAnswer() {
	if s.end == nil {
		return
	}
	err := exit.Failedf("the device does not answer: steps after the last checkpoint (step %d) are lost", s.loop.ckpt.last())
	if ended := s.err(); ended != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		err = ended
	}
	s.end(err)
}

// finish ends the process, or leaves the outcome for the run that was given up.
func (s *stop) finish(err error) {
	if err == nil {
		err = s.err()
		s.loop.farewell()
	}
	s.outcome <- err
	if s.end != nil {
		s.end(err)
	}
}

// abandoned is the end of a run whose goroutine learns that its step was given up.
func (r *Run) abandoned() error {
	if _, ok := r.dev.(interface{ Abandon() }); !ok {
		return <-r.stop.outcome
	}
	r.Loop.gate.leave() // where the launch was one of Ready or of the update
	if err := r.Loop.concludeCaught(); err != nil {
		return err
	}
	r.Loop.farewell()
	return r.stop.err()
}

// concludeCaught is conclude; a fault of the device or in a mapped file is its error.
func (l *Loop) concludeCaught() (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = l.fault(e)
		}
	}()
	defer catchFaults()()
	return l.conclude()
}

// conclude writes what the run comes to, once: the last checkpoint and the adapter or
// the model. The metrics say that the run was asked to stop. The gate is held.
func (l *Loop) conclude() error {
	if !l.concluded {
		l.concluded = true
		if err := l.saveLast(); err != nil {
			return err
		}
	}
	if l.stop.requested() && !l.stopSaid {
		l.stopSaid = true
		if !l.out.Opened() {
			if err := l.out.Open(l.metricsPath(), l.job, l.plan, l.step); err != nil {
				return err
			}
		}
		return l.out.Stopped(l.step, l.stop.by())
	}
	return nil
}

func (l *Loop) saveLast() error {
	early := l.stop.requested() && l.step < l.plan.Steps
	if l.step > l.saved {
		if err := l.save(); err != nil {
			return err
		}
	}
	switch {
	case early && l.step == 0: // nothing is there to be saved
	case early && l.stop.by() != "max_time" && l.writesModel(): // a whole model may take minutes, and the checkpoint has it
	case !l.world.first():
		l.weights.pull(false) // as the first does, which may need what is here
	default:
		return l.weights.export()
	}
	return nil
}

// writesModel reports whether a whole model is written: parts of the base train.
func (l *Loop) writesModel() bool {
	_, base := l.weights.trains()
	return base > 0
}

// farewell says, in the last lines, where the run stopped and how it resumes.
func (l *Loop) farewell() {
	if l.farewellSaid.Swap(true) {
		return
	}
	by := "stopped by " + l.stop.by()
	if l.stop.err() == nil {
		by = "stopped: --max_time " + l.stop.maxTime + " is over"
	}
	what := "checkpoint and adapter are saved"
	if l.writesModel() {
		what = "the checkpoint is saved"
	}
	then := "resume with"
	where := fmt.Sprintf("after step %d of %d", l.step, l.plan.Steps)
	if l.gate.closed && l.step < l.plan.Steps {
		where += " (what came next did not end within --grace and was given up)"
	}
	switch {
	case l.step == 0:
		where, what, then = "before a step had finished", "nothing is lost", "start again with"
	case l.step == l.plan.Steps:
		where, what, then = fmt.Sprintf("after all %d steps", l.step), "all is saved but the evaluation is left out", "evaluate with"
	}
	l.out.Say("%s %s; %s; %s\n  %s", by, where, what, then, l.command)
	if err := l.out.Err(); err != nil { // nobody reads standard output
		fmt.Fprintf(os.Stderr, "%s %s; %s; %s\n  %s\n", by, where, what, then, l.command)
	}
}
