package rt

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/infer"
)

// world is the processes that execute a run together. They compute what one process
// would, each a part of the units of a step (microbatch.Divide); the first of them
// speaks and writes. All functions but rank and its like are called by all of them, in
// the same order.
type world struct {
	g     *comm.Group // nil: this process is alone
	stop  *stop
	local int // processes on this host, this one included

	// Where several processes share each step's work on a row (package mesh), they are a
	// lane. Lanes divide what lanes of one process would.
	lane, lanes int
	own         *comm.Group // the processes of this lane; nil: this one alone
	shares      int         // lanes that have shares of the optimizer's states; 1: each has them whole
	set         bool        // this process is of the first lanes that together have them
	aside       *comm.Group // the processes of such lanes, for goroutines beside the run (world_aside.go)
	listening   bool        // some wait for the first process to give a step up
	shape       string      // how they share a row
	rounds      bool        // which changes bits
	across      *comm.Group // the processes of all lanes that have the part of this one; nil: there is one lane

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

// spread is the work of package infer over the processes: piece i is that of lane i
// modulo their number.
func (w *world) spread() infer.Spread {
	if w.alone() {
		return nil
	}
	return func(n int, work func(i int) ([]byte, error)) ([][]byte, error) {
		o := outcome{}
		var own error
		for i := w.lane; i < n && own == nil; i += w.lanes {
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
		out, wide := make([][]byte, n), w.size()/w.lanes
		for i := range out { // of the last process of the lane: it has the last layers
			out[i] = all[i%w.lanes*wide+wide-1].Parts[i/w.lanes]
		}
		return out, nil
	}
}

// lead is what the first process of the lane says: all of them do the same then. Where
// one is lost they end what they do, and what comes next tells why.
func (w *world) lead(own bool) bool {
	if w.own == nil {
		return own
	}
	said, err := w.own.Broadcast(0, []byte(strconv.FormatBool(own)))
	return err != nil || string(said) == "true"
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

// sharing is a device of which one is several processes.
type sharing interface {
	Ranks() int
	// Shards is how many of such devices have shares of the optimizer's states; 1: each has
	// all of them. Owners says of a vector of the gradients which of them steps which part.
	Shards() int
	Owners(n int) comm.Ranges
	Meet(g *comm.Group) // those of all of them, in order
	// Shape is how they share it, as users write it: pp=2,mp=4; exact where no bit of the
	// result depends on it.
	Shape() (text string, exact bool)
	// Aside has Pull go by ways of its own, past what the run is in the middle of.
	Aside()
	// Loss is the loss of the step on all of them, given what each computed of it.
	Loss(own float64) (float64, error)
}

// form makes lanes of the processes: each of one, or of as many as share a device.
func (w *world) form(d Device) error {
	w.lane, w.lanes, w.across = w.rank(), w.size(), w.g
	s, ok := d.(sharing)
	if !ok {
		return nil
	}
	wide := s.Ranks()
	all := wide * s.Shards()
	if all == 1 {
		return nil
	}
	if w.alone() || w.size()%all != 0 {
		return exit.Inputf("%d processes share each step in this trainer, and %d were started\n  = help: start a multiple of %d: lorac finetune --mesh does, or mpirun -n %d", all, w.size(), all, all)
	}
	shape, exact := s.Shape()
	w.shape, w.rounds, w.shares = shape, !exact, s.Shards()
	w.lane, w.lanes = w.rank()/wide, w.size()/wide
	var own, set, across []int
	for i := range wide {
		own = append(own, w.lane*wide+i)
	}
	for i := range all {
		set = append(set, w.rank()/all*all+i)
	}
	for i := range w.lanes {
		across = append(across, w.rank()%wide+i*wide)
	}
	w.set = w.rank() < all
	if w.own = w.g.Sub(own); wide == 1 {
		w.own = nil
	}
	w.aside = w.g.Sub(set)
	s.Meet(w.g.Sub(set))
	if w.across = w.g.Sub(across); w.lanes == 1 {
		w.across = nil
	}
	return nil
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
