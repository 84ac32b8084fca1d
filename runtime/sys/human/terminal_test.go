package human

import (
	"os"
	"strings"
	"testing"
)

// A device of characters counts as a terminal; NO_COLOR and a dumb one have no colours.
func TestColoured(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !Terminal(f) {
		t.Skip(os.DevNull + " is no device of characters here")
	}
	for _, x := range []struct {
		term, noColor     string
		redraws, coloured bool
	}{{"xterm", "", true, true}, {"xterm", "1", true, false}, {"dumb", "", false, false}, {"", "", true, true}} {
		t.Setenv("TERM", x.term)
		t.Setenv("NO_COLOR", x.noColor)
		if Redraws(f) != x.redraws || Coloured(f) != x.coloured {
			t.Errorf("%+v: redraws %v, coloured %v", x, Redraws(f), Coloured(f))
		}
	}
	if Terminal(&strings.Builder{}) {
		t.Error("a text is no terminal")
	}
}
