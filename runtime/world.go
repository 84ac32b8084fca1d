package rt

import (
	"encoding/json"
	"errors"
	"fmt"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/infer"
)

// world is the processes that execute a run together. They compute what one process
// would, each a part of the units of a step (microbatch.Divide); the first of them
// speaks and writes. All functions but rank and its like are called by all of them, in
// the same order.
type world struct {
	g      *comm.Group // nil: this process is alone
	stop   *stop
	local  int  // processes on this host, this one included
	failed bool // all processes know of an error that ends the run
}

func (w *world) alone() bool { return w.g == nil }

func (w *world) rank() int {
	if w.g == nil {
		return 0
	}
	return w.g.Rank()
}

func (w *world) size() int {
	if w.g == nil {
		return 1
	}
	return w.g.Size()
}

func (w *world) first() bool { return w.rank() == 0 }

// errElsewhere is the error of a process of which another one fails, and says why.
var errElsewhere = errors.New("another process of the run failed")

// failure is an error as processes tell it each other.
type failure struct {
	Text    string
	Code    int
	Stopped bool // the run is to end: infer.ErrStopped
	Asked   int  // what this process is asked to end by, see stop.code
}

// tell is what a process tells of an error.
func (w *world) tell(err error) failure {
	f := failure{Asked: w.stop.code()}
	switch {
	case err == nil:
	case errors.Is(err, infer.ErrStopped):
		f.Stopped = true
	default:
		f.Text, f.Code = err.Error(), exit.Code(err)
	}
	return f
}

// heard is the error of all processes after each has told its own: that of the first
// one that failed. The first process has its text; one of the others that failed alone
// is named.
func (w *world) heard(own error, all []failure) error {
	failed, stopped := -1, false
	for i, f := range all {
		stopped = stopped || f.Stopped
		if f.Text != "" && failed < 0 {
			failed = i
		}
	}
	switch {
	case failed < 0 && stopped:
		for _, f := range all {
			w.stop.adopt(f.Asked)
		}
		return infer.ErrStopped
	case failed < 0:
		return nil
	}
	w.failed = true
	switch {
	case !w.first():
		return &exit.Error{Code: all[failed].Code, Err: errElsewhere}
	case failed == 0:
		return own
	}
	return &exit.Error{Code: all[failed].Code, Err: fmt.Errorf("process %d on %s: %s", failed, w.g.Host(failed), all[failed].Text)}
}

// together ends a stage that all processes take part in: what failed in one has
// failed in all.
func (w *world) together(err error) error {
	if w.alone() {
		return err
	}
	all, e := share(w, w.tell(err))
	if e != nil {
		return e
	}
	return w.heard(err, all)
}

// share gives every process what each of them has, in the order of their ranks.
func share[T any](w *world, own T) ([]T, error) {
	text, err := json.Marshal(own)
	if err != nil {
		panic("BUG: world: " + err.Error())
	}
	parts, err := w.g.Gather(text)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(parts))
	for i, p := range parts {
		if err := json.Unmarshal(p, &out[i]); err != nil {
			return nil, exit.Failedf("process %d on %s sent what cannot be read: %w", i, w.g.Host(i), err)
		}
	}
	return out, nil
}

// outcome is what a process has of pieces of work.
type outcome struct {
	Parts   [][]byte
	Failure failure
}

// spread is the work of package infer over the processes: piece i is that of process
// i modulo their number.
func (w *world) spread() infer.Spread {
	if w.alone() {
		return nil
	}
	return func(n int, work func(i int) ([]byte, error)) ([][]byte, error) {
		o := outcome{}
		var own error
		for i := w.rank(); i < n && own == nil; i += w.size() {
			var x []byte
			x, own = work(i)
			o.Parts = append(o.Parts, x)
		}
		o.Failure = w.tell(own)
		all, err := share(w, o)
		if err != nil {
			return nil, err
		}
		failures := make([]failure, len(all))
		for i := range all {
			failures[i] = all[i].Failure
		}
		if err := w.heard(own, failures); err != nil {
			return nil, err
		}
		out := make([][]byte, n)
		for i := range out {
			out[i] = all[i%w.size()].Parts[i/w.size()]
		}
		return out, nil
	}
}

// says is what the first process says of something that others may see in another way.
func (w *world) says(own bool) (bool, error) {
	if w.alone() {
		return own, nil
	}
	all, err := share(w, own)
	if err != nil {
		return false, err
	}
	return all[0], nil
}

// countHere counts the processes on this host.
func (w *world) countHere() {
	w.local = 0
	for i := range w.size() {
		if w.alone() || w.g.Host(i) == w.g.Host(w.rank()) {
			w.local++
		}
	}
}
