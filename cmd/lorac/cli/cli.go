// Package cli is what the commands of lorac share: how a command line that is
// used wrongly is told from one that fails, and types of flags.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	rt "lorac/runtime"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
)

// Exit codes: 0 done, 1 the user's input is wrong, 2 used wrongly, 3 failed
// while running.

// ErrShown is an error that has been printed.
var ErrShown = errors.New("")

type usageError struct{ error }

// Usage is the error of a command that is used wrongly.
func Usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// UsageOf is the error of Usage that an error wraps, if any.
func UsageOf(err error) (error, bool) {
	var ue usageError
	ok := errors.As(err, &ue)
	return ue, ok
}

// IsUsage reports whether an error wraps one of Usage.
func IsUsage(err error) bool {
	_, ok := UsageOf(err)
	return ok
}

// Exit carries an exit code: that of a trainer.
type Exit struct{ Code int }

func (e Exit) Error() string { return fmt.Sprintf("exit %d", e.Code) }

// Code is the exit code of an error, which is printed unless it has been.
func Code(err error) int {
	var ee Exit
	var ended *signals.Ended
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended): // as the trainer did, which said why
		if ended.Message != "" {
			fmt.Fprintf(os.Stderr, "error: %s\n", human.Printable(ended.Message))
		}
		signals.Raise(ended.Signal)
	case errors.As(err, &ee):
		return ee.Code
	case IsUsage(err):
		fmt.Fprintf(os.Stderr, "error: %s\n", human.Printable(err.Error()))
		return 2
	case !errors.Is(err, ErrShown):
		fmt.Fprintf(os.Stderr, "error: %s\n", human.Printable(err.Error()))
	}
	if exit.Has(err) { // of the runtime: what the trainer would end with
		return exit.Code(err)
	}
	return 1
}

// Bytes is a size on the command line: 16GiB, 500MB, 1024.
type Bytes int

// Decode reads it, and refuses in the words of a trainer.
func (b *Bytes) Decode(c *kong.DecodeContext) error {
	var text string
	if err := c.Scan.PopValueInto("size", &text); err != nil {
		return err
	}
	n, err := rt.ParseBytes(text)
	if err != nil {
		return Usage("--%s %s: %v", c.Value.Name, text, err)
	}
	*b = Bytes(n)
	return nil
}
