package launch

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"lorac/cmd/lorac/cli"
	rt "lorac/runtime"
	"lorac/runtime/sys/signals"
)

// withCommand is an environment that tells the trainer how this command resumes.
func withCommand(env []string) (out []string) {
	for _, e := range env {
		if !strings.HasPrefix(e, rt.CommandEnv+"=") {
			out = append(out, e)
		}
	}
	return append(out, rt.CommandEnv+"="+rt.ResumeCommand(os.Args))
}

// Run runs the trainer as a child and passes on how it ends: its exit code, or the
// signal.
func Run(bin string, args ...string) error { return run(bin, args, false) }

// run is Run; resumes says that this command is what the trainer's run resumes by.
func run(bin string, args []string, resumes bool) error {
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = os.Stdout, os.Stderr, os.Stdin
	cmd.Env = os.Environ()
	if resumes {
		cmd.Env = withCommand(cmd.Env)
	}
	// The trainer ends its step and saves before this process ends. A terminal sends
	// its signals to both, others reach this process alone and are passed on; the
	// trainer takes two that come together for one.
	came := make(chan os.Signal, 4)
	if list := signals.Stops(); len(list) > 0 {
		signal.Notify(came, list...)
		defer signal.Stop(came)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-came:
			cmd.Process.Signal(s) //nolint:errcheck // it may have ended by itself
		case err := <-ended:
			return how(err)
		}
	}
}

// how is the error of a child: the code or the signal that it ended by.
func how(err error) error {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return err
	}
	if s := endedBy(e.ProcessState); s != nil {
		return &signals.Ended{Signal: s}
	}
	return cli.Exit{Code: e.ExitCode()}
}
