//go:build unix

package launch

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lorac/cmd/lorac/cli"
	rt "lorac/runtime"
	"lorac/runtime/exit"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
)

// job is a launcher that runs. Its processes tell how they do in a directory (see
// rt.LaunchEnv).
type job struct {
	name   string // of the launcher
	bin    string // what it starts
	dir    string
	pipes  []*pipe
	noise  noise
	n      int              // processes that it starts
	first  int              // rank of the process that ended first; -1: not known
	near   []int            // ranks of which one may have ended before it
	killed bool             // the launcher, by us
	gone   <-chan string    // hosts that are lost; nil: there is one
	lost   string           // the first of them
	asked  <-chan os.Signal // signals that come by others than the system; nil: none do
}

func newJob(name, bin string, n int) (*job, error) {
	dir, err := os.MkdirTemp("", "lorac-launch-")
	if err != nil {
		return nil, err
	}
	j := &job{name: filepath.Base(name), bin: bin, dir: dir, n: n, first: -1}
	if human.Redraws(os.Stdout) {
		if err := os.WriteFile(filepath.Join(dir, rt.LaunchBar), nil, 0o600); err != nil {
			j.close()
			return nil, err
		}
	}
	for _, p := range []struct {
		name string
		to   *os.File
	}{{rt.LaunchStdout, os.Stdout}, {rt.LaunchStderr, os.Stderr}} {
		pipe, err := openPipe(filepath.Join(dir, p.name), p.to)
		if err != nil {
			j.close()
			return nil, err
		}
		j.pipes = append(j.pipes, pipe)
	}
	return j, nil
}

func (j *job) close() {
	for _, p := range j.pipes {
		p.close()
	}
	os.RemoveAll(j.dir)
}

// pipe is a named pipe whose bytes go to a file.
type pipe struct {
	read, hold *os.File // hold keeps it open until the job has ended
	done       chan struct{}
}

func openPipe(path string, to *os.File) (p *pipe, err error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	p = &pipe{done: make(chan struct{})}
	if p.read, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
		return nil, err
	}
	if p.hold, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil {
		p.read.Close()
		return nil, err
	}
	go func() {
		defer close(p.done)
		io.Copy(to, p.read) //nolint:errcheck // see below
		p.read.Close()      // so that who writes learns that nobody reads
	}()
	return p, nil
}

// close returns when all that was written has been read.
func (p *pipe) close() {
	p.hold.Close()
	select {
	case <-p.done:
	case <-time.After(lastOutput):
		p.read.Close()
	}
}

const (
	lastOutput  = 2 * time.Second
	lastProcess = 5 * time.Second  // of ranks, after the launcher's end
	lastWord    = 15 * time.Second // of a launcher, after the outcome of the run or a second signal
)

// noise is what the launcher says itself. It is bounded: a launcher may repeat itself.
type noise struct {
	mu   sync.Mutex
	text strings.Builder
	part string            // of a line
	said func(line string) // nil: nobody is told
}

func (n *noise) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.text.Len() < 1<<20 {
		n.text.Write(b)
	}
	if n.said != nil {
		lines := strings.Split(n.part+string(b), "\n")
		for _, line := range lines[:len(lines)-1] {
			n.said(line)
		}
		n.part = lines[len(lines)-1]
	}
	return len(b), nil
}

func (n *noise) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// run starts the launcher and returns how the run ended: its exit code or its signal.
// Signals go to the first process, which ends the run with all others; a second one
// ends all at once. The launcher has a process group of its own: a terminal would send
// its signals to it, too. It reads nothing, since such a group must not read a terminal.
func (j *job) run(line, env []string) error {
	came := make(chan os.Signal, 8)
	if list := signals.Stops(); len(list) > 0 {
		signal.Notify(came, list...)
		defer signal.Stop(came)
	}
	lost := make(chan os.Signal, 1)
	signal.Notify(lost, syscall.SIGPIPE) // nobody reads our output: the processes learn it by theirs
	defer signal.Stop(lost)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = &j.noise, &j.noise
	cmd.Env = append(withCommand(os.Environ()), append(env, rt.LaunchEnv+"="+j.dir)...)
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = lastOutput
	ended, err := startBound(cmd)
	if err != nil {
		return err
	}
	w := watchRanks(j.ranks)
	asked := j.wait(cmd, came, ended, w.done)
	j.first, j.near = w.end()
	j.endRanks()
	for _, p := range j.pipes {
		p.close()
	}
	if disk.Exists(filepath.Join(j.dir, rt.LaunchBar)) && j.read(rt.LaunchOutcome) == "" {
		fmt.Print("\r\x1b[K") // a bar that was not ended
	}
	return j.outcome(cmd, asked)
}

// wait returns when the launcher has ended, with the signal that asked it to.
// A launcher that does not end although a process has is killed.
func (j *job) wait(cmd *exec.Cmd, came <-chan os.Signal, ended, one <-chan struct{}) (asked os.Signal) {
	var since time.Time
	var late <-chan time.Time
	over := "" // outcome that was seen
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	take := func(s os.Signal) {
		again := asked != nil && (s != asked || time.Since(since) > repeated)
		if asked == nil {
			asked, since = s, time.Now()
		}
		first := j.number(rt.LaunchPID)
		if first > 0 {
			syscall.Kill(first, s.(syscall.Signal)) //nolint:errcheck // it may have ended
		}
		if (again || first == 0) && late == nil {
			late = time.After(time.Second) // the first process has a word to say
		}
	}
	for {
		select {
		case <-ended:
			return asked
		case s := <-came:
			take(s)
		case s := <-j.asked:
			take(s)
		case <-look.C:
			if text := j.read(rt.LaunchOutcome); text != over {
				over = text
				late = time.After(lastWord)
				if strings.HasPrefix(over, "exit") && over != "exit 0" {
					late = time.After(lastProcess)
				}
			}
		case j.lost = <-j.gone:
			if late == nil {
				late = time.After(lastProcess)
			}
		case <-one:
			one = nil
			if late == nil {
				late = time.After(lastProcess)
			}
		case <-late:
			j.killed = true
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
			late = nil
		}
	}
}

// nearby is how close two ends may be for their order to be chance: a process closes its
// files, by which a launcher learns of its end, before the system counts it as ended.
const nearby = 20 * time.Millisecond

// repeated is how close two signals of a kind are one request, as for the trainer.
const repeated = 200 * time.Millisecond

// read is a file of the directory, "" where it is not there.
func (j *job) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(j.dir, name))
	return strings.TrimSpace(string(text))
}

// number is the number of a process in a file of the directory; 0 where it is not there.
func (j *job) number(name string) int {
	n, _ := strconv.Atoi(j.read(name))
	return n
}

// ranks are the processes on this host, by rank.
func (j *job) ranks() map[int]int {
	out := map[int]int{}
	list, _ := filepath.Glob(filepath.Join(j.dir, rt.LaunchRank+"*"))
	for _, path := range list {
		name := filepath.Base(path)
		if r, err := strconv.Atoi(strings.TrimPrefix(name, rt.LaunchRank)); err == nil {
			out[r] = j.number(name)
		}
	}
	return out
}

// endRanks ends what a launcher leaves that was killed itself.
func (j *job) endRanks() {
	for end := time.Now().Add(lastProcess); ; time.Sleep(20 * time.Millisecond) {
		var left []int
		for _, pid := range j.ranks() {
			if runs(pid, j.bin) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
			}
			if time.Now().After(end.Add(lastProcess)) {
				return
			}
		}
	}
}

// outcome is how the run ended, by what its processes wrote, and without that by what
// the launcher says.
func (j *job) outcome(cmd *exec.Cmd, asked os.Signal) error {
	if text := j.read(rt.LaunchOutcome); text != "" {
		err := parseOutcome(text)
		if missing := j.missing(); missing != "" && isFault(err) {
			fmt.Fprintf(os.Stderr, "  = note: %s\n", missing)
		}
		return err
	}
	if asked != nil {
		return &signals.Ended{Signal: asked}
	}
	said := j.noise.String()
	fmt.Fprintln(os.Stderr, "error: "+j.blame(said, cmd.ProcessState))
	if said = strings.TrimSpace(said); said != "" {
		fmt.Fprintf(os.Stderr, "  %s says:\n    %s\n", j.name, strings.ReplaceAll(said, "\n", "\n    "))
	}
	return cli.Exit{Code: exit.Failed}
}

// blame says which process of the run was lost, as far as the launcher says it.
func (j *job) blame(said string, state *os.ProcessState) string {
	if j.lost != "" {
		return j.lost + help
	}
	host, _ := os.Hostname()
	ranks := j.ranks()
	l, told := lostOf(said)
	if told && l.rank < 0 {
		for rank, pid := range ranks {
			if pid == l.pid {
				l.rank = rank
			}
		}
	}
	if l.host == "" {
		l.host = host
	}
	if told && (j.first < 0 || l.rank == j.first) {
		if l.rank >= 0 {
			return fmt.Sprintf("process %d on %s %s%s%s", l.rank, l.host, l.how(), j.others(), help)
		}
		return fmt.Sprintf("a process on %s (number %d) %s%s", l.host, l.pid, l.how(), help)
	}
	if s := endedBy(state); s != nil && !j.killed {
		return fmt.Sprintf("%s on %s, which started the processes, was ended by %s%s", j.name, host, nameOf(s), help)
	}
	if missing := j.missing(); missing != "" {
		return missing + help
	}
	if j.first >= 0 {
		return fmt.Sprintf("process %d on %s ended before the run was done%s%s", j.first, host, j.others(), help)
	}
	return fmt.Sprintf("%s on %s ended with code %d before the run was done", j.name, host, state.ExitCode())
}

// others names those that may have ended before the process which was seen to end first.
func (j *job) others() string {
	if len(j.near) == 0 {
		return ""
	}
	var list []string
	for _, rank := range j.near {
		list = append(list, strconv.Itoa(rank))
	}
	return fmt.Sprintf(" (or %s: they ended within %v of each other)", strings.Join(list, ", "), nearby)
}

// missing says which processes have not started, where others have.
func (j *job) missing() string {
	host, _ := os.Hostname()
	ranks := j.ranks()
	var list []string
	for rank := range j.n {
		if ranks[rank] == 0 {
			list = append(list, strconv.Itoa(rank))
		}
	}
	if len(list) == 0 || len(list) == j.n {
		return ""
	}
	return fmt.Sprintf("process %s on %s did not start", strings.Join(list, " and process "), host)
}

// parseOutcome reads how a run ended.
func parseOutcome(text string) error {
	var n int
	if _, err := fmt.Sscanf(text, "signal %d", &n); err == nil && n > 0 { // else --max_time
		return &signals.Ended{Signal: syscall.Signal(n)}
	}
	if _, err := fmt.Sscanf(text, "exit %d", &n); err == nil && n != 0 {
		return cli.Exit{Code: n}
	}
	return nil
}

const help = "\n  = help: the run continues from its last checkpoint with --resume_training True; --restarts N does so by itself"

func nameOf(s os.Signal) string {
	if n, ok := s.(syscall.Signal); ok {
		if name := signalNames[n]; name != "" {
			return name
		}
	}
	return s.String()
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGKILL: "SIGKILL (killed by somebody, or memory was short)", syscall.SIGSEGV: "SIGSEGV", syscall.SIGABRT: "SIGABRT",
	syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGHUP: "SIGHUP", syscall.SIGBUS: "SIGBUS", syscall.SIGXFSZ: "SIGXFSZ",
}
