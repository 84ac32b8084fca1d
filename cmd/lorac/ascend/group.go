package ascend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"lorac/runtime/sys/signals"
)

// compileLimit is the longest that one command of a toolkit may take unless
// LORAC_COMPILE_TIMEOUT says otherwise. A source takes a minute or two.
const compileLimit = 30 * time.Minute

// compileTime is compileLimit or what LORAC_COMPILE_TIMEOUT says.
func compileTime() (time.Duration, error) {
	text := os.Getenv("LORAC_COMPILE_TIMEOUT")
	if text == "" {
		return compileLimit, nil
	}
	limit, err := time.ParseDuration(text)
	if err != nil || limit <= 0 {
		return 0, fmt.Errorf("LORAC_COMPILE_TIMEOUT=%s is no time: write 90s, 30m or 2h", text)
	}
	return limit, nil
}

// errTooLong is why a command that hangs is ended.
var errTooLong = errors.New("it did not end in time")

// signalled has a signal that asks this process to end cancel the context, with an
// error that ends the process by it once everything is tidied up.
func signalled(parent context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	came := make(chan os.Signal, 1)
	list := signals.EndsNow()
	if len(list) == 0 {
		return ctx, func() { cancel(nil) }
	}
	signal.Notify(came, list...)
	go func() {
		select {
		case s := <-came:
			cancel(&signals.Ended{Signal: s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(came)
		cancel(nil)
	}
}

// runIn runs a command in a directory, in a process group of its own, and returns
// what it said. When the context or the time is over, the whole group is ended: a
// compiler starts others.
func runIn(ctx context.Context, dir string, c command, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	cmd := exec.CommandContext(ctx, c[0], c[1:]...)
	cmd.Dir = dir
	group(cmd)
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		endGroup(cmd) // what the first signal left
		err = context.Cause(ctx)
		if errors.Is(err, errTooLong) {
			err = fmt.Errorf("%w (%v; LORAC_COMPILE_TIMEOUT=2h gives it longer)", errTooLong, limit)
		}
	}
	return string(out), err
}
