package toolchain

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"lorac/runtime/sys/signals"
)

// endIn is what Go has to remove its files when it is asked to end.
const endIn = 5 * time.Second

// Run runs a command of Go's in a process group of its own and returns what it said.
// A signal that asks this process to end ends the whole group first, compilers and all;
// the error then ends this process by it. Failures that the user's environment makes are
// said in one sentence.
func Run(cmd *exec.Cmd) (out []byte, err error) {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	group(cmd)
	cmd.WaitDelay = endIn
	defer signals.Take()()
	came := make(chan os.Signal, 1)
	if list := signals.EndsNow(); len(list) > 0 {
		signal.Notify(came, list...)
		defer signal.Stop(came)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case s := <-came:
		interrupt(cmd)
		select {
		case <-done:
		case <-came: // a second one need not wait
		case <-time.After(endIn):
		}
		kill(cmd)
		return nil, &signals.Ended{Signal: s, Message: "ended by " + signals.Name(s) + " while compiling; nothing is left half built, the same command starts again"}
	}
	if err == nil {
		return said.Bytes(), nil
	}
	if reason := explain(said.String()); reason != "" {
		err = errors.New(reason)
		said.Reset()
	}
	return bytes.TrimSpace(said.Bytes()), err
}
