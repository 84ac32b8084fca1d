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
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
	"lorac/runtime/train"
)

// Join has this process meet the others that a launcher started: comm/mpi.Join.
type Join func(comm.Options) (comm.Transport, error)

// LaunchEnv is the variable by which lorac, which started the launcher, names a
// directory: processes write their numbers there, the first one how the run ended, and
// all of them their output, since launchers change exit codes and add lines of their own.
const LaunchEnv = "LORAC_LAUNCH"

// Files of that directory.
const (
	LaunchPID     = "pid"     // of the first process, to which signals go, once all have met
	LaunchRank    = "rank."   // and a rank: the number of its process
	LaunchOutcome = "outcome" // "exit 1" or "signal 15"
	LaunchStdout  = "stdout"  // pipes
	LaunchStderr  = "stderr"
	LaunchBar     = "bar" // is there where the output ends at a terminal
)

// console says what out is where a launcher stands between this process and the user:
// lorac knows, of others it is not known, whose pseudoterminals may end in a file.
func console(out *train.Reporter) {
	switch dir, family := os.Getenv(LaunchEnv), comm.Launched().Family; {
	case family == "", family == "lorac": // whose processes have its own output
	case dir != "" && disk.Exists(filepath.Join(dir, LaunchBar)):
		out.EndsAtTerminal()
	default:
		out.Plain = true
	}
}

// one is the world of a process that is alone.
func one() *world { return &world{local: 1, lanes: 1} }

// meet is the world of this process: of all that a launcher started, or of one where
// none did. An error is said by the first of them alone, where that can be known.
func meet(join Join, d Device, s *stop) (*world, error) {
	launched := comm.Launched()
	if join == nil || launched.Family == "" {
		return one(), nil
	}
	w := &world{stop: s}
	if dir := os.Getenv(LaunchEnv); dir != "" {
		outputTo(dir)
		w.write(LaunchRank+strconv.Itoa(launched.Rank), strconv.Itoa(os.Getpid()))
	}
	fail := func(err error) error {
		if launched.Rank > 0 {
			time.Sleep(laterThanFirst) // which ends the others, where it fails, too
			if w.over() {
				os.Exit(exit.Code(err))
			}
			var quiet comm.Quiet
			if errors.As(err, &quiet) && quiet.Err != nil {
				err = quiet.Err
			}
			host, _ := os.Hostname()
			err = exit.With(exit.Code(err), fmt.Errorf("process %d on %s: %w", launched.Rank, host, err))
		}
		w.write(LaunchOutcome, fmt.Sprintf("exit %d", exit.Code(err)))
		return err
	}
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
	s.end = w.endAlone
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
	if e := w.giveUp(0); e != nil {
		w.abort(e)
	}
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

// endAlone ends the job from one process, whose run has been given up.
func (w *world) endAlone(err error) {
	var ended *signals.Ended
	if err != nil && !errors.As(err, &ended) {
		w.abort(err)
	}
	ending.Lock()
	how, code := "exit 0", exit.OK
	if ended != nil {
		how, code = fmt.Sprintf("signal %d", w.stop.code()), signals.Code(ended.Signal)
	}
	w.write(LaunchOutcome, how)
	w.g.Abort(code)
	os.Exit(code)
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
	silence()
}

// over reports whether a process has said how the run ended.
func (w *world) over() bool {
	dir := os.Getenv(LaunchEnv)
	return dir != "" && disk.Exists(filepath.Join(dir, LaunchOutcome))
}

// write writes a file of the launch, where lorac asks for it. The first outcome counts.
func (w *world) write(name, text string) {
	dir := os.Getenv(LaunchEnv)
	if dir == "" || name == LaunchOutcome && w.over() {
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
