package rt

import (
	"errors"
	"io"
	"os"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
	"lorac/runtime/train"
)

// Main is the process of a trainer: it runs the job under the flags of the
// command line, reports an error on standard error and ends with its exit code.
// Nothing else in the package ends the process.
func Main(j *Job, body func(*Run) error) { MainOn(nil, j, body) }

// MainOn is Main on a device; nil is this processor.
func MainOn(d Device, j *Job, body func(*Run) error) { mainOf(d, nil, j, body) }

// MainOver is Main of a process that may be one of several, which a launcher started:
// join has them meet.
func MainOver(join Join, j *Job, body func(*Run) error) { mainOf(nil, join, j, body) }

// MainOnOver is MainOver on devices, one of each process.
func MainOnOver(d Device, join Join, j *Job, body func(*Run) error) { mainOf(d, join, j, body) }

func mainOf(d Device, join Join, j *Job, body func(*Run) error) {
	dropGODEBUG()
	s := newStop()
	s.end = end
	w, err := meet(join, d, s)
	if err != nil {
		end(err)
	}
	said := os.Stdout
	if serving(os.Args[1:]) { // standard output is for answers
		said = os.Stderr
	}
	out := train.NewReporter(said) // of which meeting others makes a pipe
	console(out)
	s.hush = out.End
	release := s.listen()
	p := process{args: os.Args[1:], out: out, in: os.Stdin, answers: os.Stdout, dev: d, stop: s, world: w, command: resumeCommand(),
		restart: func() { release(); restartProcess() }}
	if !w.alone() { // a process that has met others cannot meet them again
		p.restart = nil
	}
	w.leave(p.run(j, body))
}

// Execute is one run of a job under the given flags. body loads the model and
// does what the run's mode asks for. Runs may share a process and a job: each
// has a copy. Its memory, the model's included, is given back at the end.
func Execute(j *Job, args []string, out io.Writer, body func(*Run) error) error {
	return ExecuteOn(nil, j, args, out, body)
}

// ExecuteOn is Execute on a device; nil is this processor.
func ExecuteOn(d Device, j *Job, args []string, out io.Writer, body func(*Run) error) error {
	atomicfile.RemoveOnSignal()
	p := process{args: args, out: train.NewReporter(out), dev: d, stop: newStop(), world: one(), command: "--resume_training True"}
	return p.run(j, body)
}

// process is what a run is started with.
type process struct {
	args    []string
	out     *train.Reporter
	in      io.Reader // of requests
	answers io.Writer
	dev     Device
	stop    *stop
	world   *world
	command string // that resumes the run
	restart func() // starts the process again, returns where that fails; nil: the process is not the run's
}

func (p *process) run(shared *Job, body func(*Run) error) (err error) {
	prepareProcess()
	j := *shared
	j.Source = human.Line(j.Source) // a dump may say anything
	if !p.world.first() {
		p.out = train.NewReporter(io.Discard)
		p.out.Mute = true
	}
	r := &Run{in: p.in, answers: p.answers, job: &j, world: p.world, out: p.out, dev: p.dev, stop: p.stop, command: p.command, restart: p.restart}
	defer r.close()
	defer func() {
		if e := recover(); e != nil {
			if thrown, ok := e.(error); ok && errors.Is(thrown, ErrAbandoned) {
				err = r.abandoned()
			} else {
				err = r.fault(e)
			}
		}
		r.out.Clear()
		if r.Loop != nil {
			r.Loop.gate.end()
		}
	}()
	defer catchFaults()()
	if err = p.world.form(p.dev); err == nil {
		err = r.start(p.args)
	}
	if errors.Is(err, errHelp) {
		help(p.out, &j)
		return nil
	}
	if err := p.world.together(err); err != nil {
		return err
	}
	if err := p.connect(); err != nil {
		return err
	}
	if err := body(r); err != nil {
		return err
	}
	early := r.Loop != nil && r.stop.requested()
	if early {
		r.Loop.gate.enter() // what is said comes from here or from who gave the step up
	}
	peak := peakMemory()
	if peak > 0 {
		r.out.Say("peak memory %s", mib(peak))
	}
	if !early {
		r.sumUp(peak)
	}
	if early {
		r.Loop.farewell() // the last lines
		return r.stop.err()
	}
	if err := r.out.Err(); err != nil && r.mode != Train { // what the run is for was not said
		return exit.Failedf("cannot write to standard output: %w", err)
	}
	return nil
}

// connect has the devices of several processes find each other.
func (p *process) connect() error {
	l, ok := p.dev.(Linked)
	if p.world.size() == 1 || !ok {
		return nil
	}
	return p.world.together(exit.With(exit.Failed, l.Connect(p.world.g)))
}
