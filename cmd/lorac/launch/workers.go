package launch

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/mpi"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
)

// Processes is who does the work of a run.
type Processes struct {
	Over     string // what they meet over, for the compiler: mpi or hccl; "": there is one
	N        int
	Local    int    // of them on this machine
	Rank     *Rank  // this process is one of them; nil: a launcher is started, or there is one
	text     string // for people; "": one process
	note     string // the same: what has no effect
	line     Launch
	launcher mpi.Launcher
	restarts int
	hosts    int // that take part; 0: this one alone
	perHost  int // processes of each
	first    int // card, where each process has one
}

// Processes decides who does the work: this process alone, as many as --workers says,
// or those of a launcher that started this one. It says so in the first lines.
func (c *Call) Processes() (*Processes, error) {
	if l := comm.Launched(); l.Size > 1 || l.Family != "" && l.Family != "Slurm" {
		return c.ranked(l)
	}
	p := &Processes{N: 1, Local: 1, line: c.Launch, restarts: c.Restarts}
	if c.Launch.severalHosts() {
		return p, p.onHosts(c)
	}
	if c.Workers <= 1 {
		if c.Restarts > 0 {
			p.note = "--restarts has no effect on a run of one process: start it again with --resume_training True"
		}
		return p, nil
	}
	l, found, err := mpi.Find()
	if err != nil {
		return nil, cli.Usage("%w\n  = help: name a launcher, or unset %s to have one found", err, mpi.Variable)
	}
	if !found {
		p.text = fmt.Sprintf("one, with the same result: --workers %d needs MPI, and there is no mpirun on this machine\n  = help: %s", c.Workers, mpi.Install)
		return p, nil
	}
	p.Over, p.N, p.Local, p.launcher = "mpi", c.Workers, c.Workers, l
	p.text = fmt.Sprintf("%d, started by %v", p.N, l)
	return p, nil
}

// Started is how many processes do the work, where --workers or a launcher that started
// this one says it; 0: neither does. Those of several hosts are counted all.
func (c *Call) Started() int {
	if l := &c.Launch; l.severalHosts() {
		return max(c.Workers, 1) * l.HostCount()
	}
	if c.Workers > 0 {
		return c.Workers * c.Launch.HostCount()
	}
	return comm.Launched().Size
}

// Say says who does the work of a job of so many devices, in the first lines.
func (p *Processes) Say(devices int) {
	if text := p.text; text != "" {
		fmt.Fprintln(os.Stderr, "processes: "+text)
	} else if text = Planned(devices); text != "" {
		fmt.Fprintln(os.Stderr, text)
	}
	if p.note != "" {
		fmt.Fprintln(os.Stderr, "note: "+p.note)
	}
}

// Planned is what a launch of a job without --workers would say; "" where there is
// nothing to share.
func Planned(devices int) string {
	if devices <= 1 {
		return ""
	}
	return fmt.Sprintf("processes: one, on %s; --workers N shares the work of the %d devices among N, with the same result", human.Count(rt.DefaultThreads(), "core"), devices)
}

// Run is the run: it replaces this process where that can be, and passes on how the run
// ends otherwise.
func (p *Processes) Run(bin string, args []string) error {
	if p.Rank != nil || p.Over == "" || p.N == 1 {
		return Exec(bin, args)
	}
	if p.startsCards() {
		return p.runCards(bin, args)
	}
	if p.hosts > 0 {
		return p.runHosts(bin, args)
	}
	if !slices.Contains(args, "--threads") {
		args = append(args, "--threads", strconv.Itoa(max(rt.DefaultThreads()/p.N, 1)))
	}
	return p.repeat(args, func(args []string) error {
		line, env := p.launcher.Args(p.N, append([]string{bin}, args...)...)
		j, err := newJob(p.launcher.Path, bin, p.N)
		if err != nil {
			return err
		}
		defer j.close()
		return j.run(line, env)
	})
}

// repeat starts a run again after faults, as often as --restarts allows, from its last
// checkpoint: what it comes to does not depend on where it was disturbed.
func (p *Processes) repeat(args []string, start func(args []string) error) error {
	for n := 1; ; n++ {
		err := start(args)
		if n > p.restarts || !isFault(err) {
			return err
		}
		fmt.Fprintf(os.Stderr, "note: restart %d of %d, from the last checkpoint\n", n, p.restarts)
		args = resumed(args)
	}
}

// isFault reports whether a run ended by what starting again may mend.
func isFault(err error) bool {
	e, ok := err.(cli.Exit)
	return ok && e.Code == exit.Failed
}

// resumed are the arguments of a run that resumes.
func resumed(args []string) (out []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--resume_training" {
			i++
			continue
		}
		out = append(out, args[i])
	}
	return append(out, "--resume_training", "True")
}
