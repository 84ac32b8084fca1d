// Package exit is the errors that end a process and the exit codes they end it
// with. It must not know what went wrong, nor call os.Exit.
package exit

import (
	"errors"
	"fmt"
)

// The exit codes.
const (
	OK     = 0
	Input  = 1 // the user's input is wrong: config, data, weights
	Usage  = 2 // the command line is wrong
	Failed = 3 // it failed while running
)

// A process that a signal ends has no exit code: a shell shows 128 and its number,
// 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.

// Error is an error with the exit code it calls for. Its message is for
// people: what is wrong, then, on lines of its own, "= help:" and "= note:".
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is the error below.
func (e *Error) Unwrap() error { return e.Err }

// Inputf is an error of code Input.
func Inputf(format string, args ...any) error { return &Error{Input, fmt.Errorf(format, args...)} }

// Usagef is an error of code Usage.
func Usagef(format string, args ...any) error { return &Error{Usage, fmt.Errorf(format, args...)} }

// Failedf is an error of code Failed.
func Failedf(format string, args ...any) error { return &Error{Failed, fmt.Errorf(format, args...)} }

// With gives an error a code, unless it is nil or has one.
func With(code int, err error) error {
	if err == nil || Has(err) {
		return err
	}
	return &Error{code, err}
}

// Has reports whether an error says its exit code.
func Has(err error) bool { return errors.As(err, new(*Error)) }

// Code is the exit code of an error: OK for nil, Failed for one without a code, and
// for one with a method ExitCode what that says: 130 of a process that SIGINT ends.
func Code(err error) int {
	var e *Error
	var own interface{ ExitCode() int }
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &own):
		return own.ExitCode()
	}
	return Failed
}
