//go:build unix

package launch

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"lorac/cmd/lorac/cli"
	"lorac/runtime/comm/star"
	"lorac/runtime/exit"
	"lorac/runtime/sys/signals"
)

// cardsJob is processes that lorac started itself, one a card.
type cardsJob struct {
	hub     *star.Hub
	list    []*exec.Cmd
	exited  chan int    // ranks, as they end
	lost    chan int    // ranks whose connection ended before they left
	aborted chan [2]int // a rank that ends the job, and the exit code
	ended   []bool
	code    int  // that the job ends with, 0 while nothing has gone wrong
	stopped bool // by a signal, before the processes could end in order
	asked   os.Signal
	since   time.Time
}

// runCards starts the processes and returns how the run ended.
func (p *Processes) runCards(bin string, args []string) error {
	return p.repeat(cardArgs(args), func(args []string) error {
		j := &cardsJob{exited: make(chan int, p.N), lost: make(chan int, p.N), aborted: make(chan [2]int, 8*p.N), ended: make([]bool, p.N)}
		var err error
		j.hub, err = star.NewHub(p.N, "", "", star.Events{
			Lost:  func(rank int) { j.lost <- rank },
			Abort: func(rank, code int) { j.aborted <- [2]int{rank, code} },
		})
		if err != nil {
			return fmt.Errorf("the processes cannot meet: %w", err)
		}
		defer j.hub.Close()
		came := make(chan os.Signal, 8)
		if list := signals.Stops(); len(list) > 0 {
			signal.Notify(came, list...)
			defer signal.Stop(came)
		}
		for r := range p.N {
			cmd := exec.Command(bin, args...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			cmd.Env = cardEnv(os.Environ(), append(star.Env(j.hub.Address, j.hub.Token, r, p.N, r, p.N), deviceID(p.first+r))...)
			cmd.SysProcAttr = ownGroup()
			ended, err := startBound(cmd)
			if err != nil {
				j.kill()
				return err
			}
			j.list = append(j.list, cmd)
			go func() { <-ended; j.exited <- r }()
		}
		return j.wait(came)
	})
}

// wait returns when all processes have ended.
func (j *cardsJob) wait(came <-chan os.Signal) error {
	var late <-chan time.Time
	for left := len(j.list); left > 0; {
		select {
		case s := <-came:
			j.signal(s)
		case x := <-j.aborted: // who ends the job has said why
			j.fail(x[1])
		case <-j.lost: // the system says soon how it ended
			if j.code == 0 && late == nil {
				late = time.After(lastProcess)
			}
		case r := <-j.exited:
			left--
			j.ended[r] = true
			j.blame(r)
			if j.code != 0 && late == nil {
				late = time.After(lastProcess)
			}
		case <-late:
			if j.code == 0 {
				j.fail(exit.Failed)
			}
			j.kill()
			late = nil
		}
	}
	switch {
	case j.stopped:
		return &signals.Ended{Signal: j.asked}
	case j.code != 0:
		return cli.Exit{Code: j.code}
	}
	return how(j.state(0))
}

// fail has all processes end.
func (j *cardsJob) fail(code int) {
	if j.code == 0 {
		j.code = max(code, 1)
		j.hub.Abort(j.code)
	}
}

// blame looks at a process that has ended: one that has not left in order ends the job.
func (j *cardsJob) blame(r int) {
	if j.code != 0 {
		return
	}
	j.hub.Settle(r)
	select { // what it said before its end
	case x := <-j.aborted:
		j.fail(x[1])
	default:
	}
	if j.code != 0 || j.hub.Left(r) {
		return
	}
	state := j.list[r].ProcessState
	s := endedBy(state)
	switch {
	case j.asked != nil && s != nil: // a signal before the processes met
		j.code, j.stopped = exit.Failed, true
		j.kill()
	case s != nil:
		host, _ := os.Hostname()
		fmt.Fprintf(os.Stderr, "error: process %d on %s, with %s, was ended by %s%s\n", r, host, deviceOf(j.list[r]), nameOf(s), help)
		j.fail(exit.Failed)
	case state.ExitCode() != 0: // it has said why
		j.fail(state.ExitCode())
	}
}

// deviceOf is the card of a process.
func deviceOf(cmd *exec.Cmd) string {
	for _, e := range cmd.Env {
		var n int
		if _, err := fmt.Sscanf(e, "DEVICE_ID=%d", &n); err == nil {
			return fmt.Sprintf("card %d", n)
		}
	}
	return "no card"
}

// signal passes a signal on to the first process, which ends the run with all others; a
// second one ends all at once.
func (j *cardsJob) signal(s os.Signal) {
	again := j.asked != nil && (s != j.asked || time.Since(j.since) > repeated)
	if j.asked == nil {
		j.asked, j.since = s, time.Now()
	}
	if again || j.hub.Came() < len(j.list) {
		if !j.ended[0] {
			j.list[0].Process.Signal(s) //nolint:errcheck // it may have ended
		}
		time.AfterFunc(time.Second, j.kill) // the first process has a word to say
		return
	}
	j.list[0].Process.Signal(s) //nolint:errcheck // it may have ended
}

// kill ends what is left.
func (j *cardsJob) kill() {
	for _, cmd := range j.list {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
	}
}

// state is how a process ended, as exec tells it.
func (j *cardsJob) state(r int) error {
	if s := j.list[r].ProcessState; !s.Success() {
		return &exec.ExitError{ProcessState: s}
	}
	return nil
}
