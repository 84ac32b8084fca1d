package rt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
)

// Join has this process meet the others that a launcher started: comm/mpi.Join.
type Join func(comm.Options) (comm.Transport, error)

// LaunchEnv is the variable by which lorac, which started the launcher, names a
// directory: the first process writes its number there, to which signals go, and how
// the run ended, since launchers change exit codes and add lines of their own.
const LaunchEnv = "LORAC_LAUNCH"

// Files of that directory.
const (
	LaunchPID     = "pid"     // of the first process
	LaunchOutcome = "outcome" // "exit 1" or "signal 15"
)

// one is the world of a process that is alone.
func one() *world { return &world{local: 1} }

// meet is the world of this process: of all that a launcher started, or of one where
// none did. An error is said by the first of them alone, where that can be known.
func meet(join Join, d Device, s *stop) (*world, error) {
	launched := comm.Launched()
	if join == nil || launched.Family == "" {
		return one(), nil
	}
	fail := func(err error) error {
		if launched.Rank > 0 {
			time.Sleep(laterThanFirst)
			os.Exit(exit.Code(err))
		}
		return err
	}
	w := &world{stop: s}
	o := comm.Options{Timeout: timeoutOf(os.Args[1:]), Fault: w.fault}
	t, err := join(o)
	if err != nil {
		return nil, fail(exit.With(exit.Failed, err))
	}
	if l, ok := d.(Linked); ok && t.Size() > 1 {
		o.Vectors = l.Link(t)
	}
	if w.g, err = comm.New(t, o); err != nil {
		return nil, fail(exit.With(exit.Failed, err))
	}
	w.countHere()
	s.many, s.first = w.size() > 1, w.first()
	if w.first() {
		w.write(LaunchPID, strconv.Itoa(os.Getpid()))
	}
	return w, nil
}

// laterThanFirst is what a process waits with an error of its own that the first
// process is likely to have, too, and to say.
const laterThanFirst = 2 * time.Second

// leave ends the process as an error says. Where all processes end alike they leave in
// order; one that fails alone ends the others.
func (w *world) leave(err error) {
	var ended *signals.Ended
	switch {
	case w.g == nil:
		end(err)
	case err == nil || w.failed || errors.As(err, &ended):
		w.leaveTogether(err, ended)
	default:
		w.abort(err)
	}
}

// leaveTogether waits for all: launchers take the end of one for a fault.
func (w *world) leaveTogether(err error, ended *signals.Ended) {
	if e := w.g.Barrier(); e != nil {
		w.abort(e)
	}
	ending.Lock()
	if err != nil && ended == nil && w.first() {
		fmt.Fprintf(os.Stderr, "error: %s\n", human.Printable(err.Error()))
	}
	code := exit.Code(err)
	how := fmt.Sprintf("exit %d", code)
	if ended != nil {
		how = fmt.Sprintf("signal %d", w.stop.code())
	}
	if w.first() {
		w.write(LaunchOutcome, how)
	}
	if os.Getenv(LaunchEnv) != "" { // lorac ends as the outcome says
		w.g.Exit(0)
	}
	if ended != nil && w.g.Close() == nil {
		signals.Raise(ended.Signal)
	}
	w.g.Exit(code)
}

// abort says an error of this process and ends all.
func (w *world) abort(err error) {
	ending.Lock()
	w.say(err)
	w.g.Abort(exit.Code(err))
	os.Exit(exit.Code(err))
}

// fault says what the watch over the processes found, before it ends them.
func (w *world) fault(err error) {
	ending.Lock()
	w.say(err)
}

// say reports an error that ends the job. One of the first process is likely to be
// that of all, so others wait for it to be said.
func (w *world) say(err error) {
	who := ""
	if w.g != nil && !w.first() {
		time.Sleep(laterThanFirst)
		who = fmt.Sprintf("process %d on %s: ", w.rank(), w.g.Host(w.rank()))
	}
	fmt.Fprintf(os.Stderr, "error: %s%s\n", who, human.Printable(err.Error()))
	w.write(LaunchOutcome, fmt.Sprintf("exit %d", exit.Code(err)))
	atomicfile.RemoveTemps()
}

// write writes a file of the launch, where lorac asks for it.
func (w *world) write(name, text string) {
	dir := os.Getenv(LaunchEnv)
	if dir == "" {
		return
	}
	err := atomicfile.WriteFile(filepath.Join(dir, name), func(f io.Writer) error { _, err := io.WriteString(f, text+"\n"); return err })
	if err != nil { // another host has no such directory
		return
	}
}

// timeoutOf is --timeout of a command line, which must be known before its flags are
// read; a wrong one is reported with the other flags.
func timeoutOf(args []string) time.Duration {
	for i, a := range args {
		name, value, has := strings.Cut(a, "=")
		if name != "--timeout" {
			continue
		}
		if !has && i+1 < len(args) {
			value = args[i+1]
		}
		if d, err := parseTime(value); err == nil {
			return d
		}
	}
	return 0 // the package's own
}
