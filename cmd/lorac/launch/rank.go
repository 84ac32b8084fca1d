package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"lorac/cmd/lorac/cache"
	"lorac/cmd/lorac/cli"
	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
)

// Rank is this process as one of several that a launcher started: mpirun -n 8 lorac
// finetune. One on each host compiles, the others wait for its result; the first of all
// speaks.
type Rank struct {
	comm.Launch
	shared string   // file by which those of a host tell each other the result; "": each compiles
	stderr *os.File // what is silent for now
}

// result is what the process of a host that compiled tells the others there.
type result struct {
	Bin  string
	Args []string
	Code int // that it ended with; 0: it compiled
}

// ranked is the answer to a launcher that started this process.
func (c *Call) ranked(l comm.Launch) (*Processes, error) {
	r := &Rank{Launch: l}
	p := &Processes{Over: "mpi", N: l.Size, Local: max(l.LocalSize, 1), Rank: r}
	if l.Rank > 0 {
		r.silence()
	}
	if c.Mesh != "" && l.Size > 0 && c.Workers != l.Size {
		return nil, cli.Usage("--mesh %s is of %d processes, but the launcher of %s started %d\n  = help: without dp in it, dp follows from the number of processes", c.Mesh, c.Workers, l.Family, l.Size)
	}
	if c.Workers > 0 && l.Size > 0 && c.Workers != l.Size {
		return nil, cli.Usage("--workers %d, but the launcher of %s started %d processes\n  = help: leave --workers out: it has lorac start a launcher itself", c.Workers, l.Family, l.Size)
	}
	if c.Restarts > 0 {
		return nil, cli.Usage("--restarts goes with --workers: under a launcher of your own, start it again with --resume_training True")
	}
	if c.Launch.Hosts {
		return nil, cli.Usage("the launch line (%s) says which host this is, but a launcher of %s started this process: leave one of them out", c.Launch.By, l.Family)
	}
	if b, bound := comm.Bound(); bound && !c.threadsFit(b.Usable) {
		return nil, exit.Inputf("the launcher of %s lets each process use %d of %d cores\n  = help: start it with %s, or say --threads %d if that is meant", l.Family, b.Usable, b.Node, b.Help, b.Usable)
	}
	if l.Size == 1 {
		p.Over = ""
		return p, nil
	}
	if name := comm.LauncherProcess(); name != "" && l.LocalRank >= 0 {
		if dir, err := cache.Dir(); err == nil {
			r.shared = filepath.Join(dir, "launch-"+name)
		}
	}
	if l.Size > 0 {
		p.text = fmt.Sprintf("%d, started by %s", l.Size, l.Family)
	}
	return p, nil
}

// threadsFit reports whether --threads asks for no more than there are.
func (c *Call) threadsFit(usable int) bool {
	for i, a := range c.Rest[:max(len(c.Rest)-1, 0)] {
		if a == "--threads" {
			var n int
			_, err := fmt.Sscan(c.Rest[i+1], &n)
			return err == nil && n <= usable
		}
	}
	return false
}

// silence has this process say nothing until Speak.
func (r *Rank) silence() {
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		r.stderr, os.Stderr = os.Stderr, null
	}
}

// Once compiles on one process of a host and gives the result to all of them.
func (p *Processes) Once(compile func() (bin string, args []string, err error)) (string, []string, error) {
	r := p.Rank
	if r == nil {
		return compile()
	}
	if r.shared != "" && r.LocalRank > 0 {
		return r.await()
	}
	bin, args, err := compile()
	out := result{Bin: bin, Args: args}
	if err != nil {
		out.Code = codeOf(err)
	}
	if r.shared != "" {
		r.tell(out)
	}
	return bin, args, r.alone(err)
}

// codeOf is the exit code of an error of the compiler.
func codeOf(err error) int {
	switch {
	case cli.IsUsage(err):
		return exit.Usage
	case exit.Has(err):
		return exit.Code(err)
	}
	return exit.Input
}

// alone is an error of a process that is not the first: where all are on one host the
// first one says it, too.
func (r *Rank) alone(err error) error {
	if err == nil || r.Rank == 0 {
		return err
	}
	code := codeOf(err)
	time.Sleep(2 * time.Second) // the first one is likely to have it, too, and ends the job
	if r.LocalSize != r.Size && r.stderr != nil {
		host, _ := os.Hostname()
		fmt.Fprintf(r.stderr, "error: process %d on %s: %v\n", r.Rank, host, err)
	}
	return cli.Exit{Code: code}
}

// tell leaves the result for the others, and removes those of launchers of long ago.
func (r *Rank) tell(x result) {
	old, _ := filepath.Glob(filepath.Join(filepath.Dir(r.shared), "launch-*"))
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.Remove(path)
		}
	}
	text, _ := json.Marshal(x)
	atomicfile.WriteFile(r.shared, func(w io.Writer) error { _, err := w.Write(text); return err }) //nolint:errcheck // they stop waiting
}

// compileTime is how long others wait for a result.
const compileTime = 15 * time.Minute

// await is the result of the process of this host that compiles.
func (r *Rank) await() (string, []string, error) {
	launcher := comm.LauncherProcess()
	for end := time.Now().Add(compileTime); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(r.shared)
		if err != nil {
			if comm.LauncherProcess() != launcher {
				return "", nil, cli.Exit{Code: exit.Failed}
			}
			continue
		}
		var x result
		if err := json.Unmarshal(text, &x); err != nil {
			return "", nil, errors.New("another process of this host left a result that cannot be read: " + r.shared)
		}
		if x.Code != 0 {
			time.Sleep(2 * time.Second)
			return "", nil, cli.Exit{Code: x.Code}
		}
		return x.Bin, x.Args, nil
	}
	return "", nil, exit.Failedf("another process of this host did not compile within %v", compileTime)
}
