package exit

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// The code and the message of an error survive what wraps it; the innermost
// code counts, and an error without one is a failure.
func TestCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		has  bool
		text string
	}{
		{nil, OK, false, ""},
		{errors.New("x"), Failed, false, "x"},
		{Inputf("no %s", "data"), Input, true, "no data"},
		{Usagef("--x"), Usage, true, "--x"},
		{Failedf("disk: %w", fs.ErrPermission), Failed, true, "disk: permission denied"},
		{fmt.Errorf("a step: %w", Inputf("y")), Input, true, "a step: y"},
		{With(Failed, Inputf("z")), Input, true, "z"},
		{With(Usage, errors.New("plain")), Usage, true, "plain"},
		{With(Input, nil), OK, false, ""},
	} {
		if got := Code(c.err); got != c.code {
			t.Errorf("%v: code %d, want %d", c.err, got, c.code)
		}
		if c.err != nil && (Has(c.err) != c.has || c.err.Error() != c.text) {
			t.Errorf("%q has a code: %v; want %q, %v", c.err, Has(c.err), c.text, c.has)
		}
	}
	if !errors.Is(Failedf("disk: %w", fs.ErrPermission), fs.ErrPermission) {
		t.Error("the cause is lost")
	}
}
