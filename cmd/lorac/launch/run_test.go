package launch

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lorac/cmd/lorac/cli"
	rt "lorac/runtime"
	"lorac/runtime/sys/signals"
)

// A child's end is passed on: its exit code, or the signal.
func TestRunPassesEndsOn(t *testing.T) {
	if err := Run("/bin/sh", "-c", "exit 0"); err != nil {
		t.Error(err)
	}
	if err := Run("/bin/sh", "-c", "exit 3"); err != (cli.Exit{Code: 3}) {
		t.Errorf("%v", err)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGPIPE} {
		var ended *signals.Ended
		if err := Run("/bin/sh", "-c", "kill -"+strconv.Itoa(int(s))+" $$"); !errors.As(err, &ended) || ended.Signal != s {
			t.Errorf("%v: %v", s, err)
		}
	}
	if err := Run("/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A trainer is told how this command resumes, not how another did.
func TestWithCommand(t *testing.T) {
	env := withCommand([]string{"A=1", rt.CommandEnv + "=other"})
	if len(env) != 2 || env[0] != "A=1" || !strings.HasPrefix(env[1], rt.CommandEnv+"=") || !strings.HasSuffix(env[1], " --resume_training True") {
		t.Errorf("%q", env)
	}
}
