package launch

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	rt "lorac/runtime"
	"lorac/runtime/sys/signals"
)

// A child that a signal ends is passed on as that signal.
func TestRunEndedBySignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGPIPE} {
		var ended *signals.Ended
		if err := Run("/bin/sh", "-c", "kill -"+strconv.Itoa(int(s))+" $$"); !errors.As(err, &ended) || ended.Signal != s {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// A trainer is told how this command resumes, not how another did.
func TestWithCommand(t *testing.T) {
	env := withCommand([]string{"A=1", rt.CommandEnv + "=other"})
	if len(env) != 2 || env[0] != "A=1" || !strings.HasPrefix(env[1], rt.CommandEnv+"=") || !strings.HasSuffix(env[1], " --resume_training True") {
		t.Errorf("%q", env)
	}
}
