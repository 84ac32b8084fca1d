package progress

import (
	"strings"
	"testing"
	"time"

	"lorac/runtime/sys/human"
)

// Nothing is said within a second; then how much of how much, and the time that is left.
func TestMeter(t *testing.T) {
	var out strings.Builder
	at := time.Unix(0, 0)
	m := &Meter{what: "writing x", unit: human.Thousands, total: 4000, out: &out, now: func() time.Time { return at }}
	m.begin()
	m.Add(500)
	if out.Len() > 0 {
		t.Errorf("said at once: %q", out.String())
	}
	at = at.Add(2 * time.Second)
	m.Add(500)
	m.Add(1)
	if want := "writing x: 1,000 of 4,000 (25 %), 6s left\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	m.redraw = true
	at = at.Add(20 * time.Second)
	m.Add(5000) // more than was expected: no time is known
	if want := "\r\x1b[Kwriting x: 6,001, 22s"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	m.End()
	if !strings.HasSuffix(out.String(), "22s\r\x1b[K") {
		t.Errorf("the line stays: %q", out.String())
	}
	(*Meter)(nil).Add(1)
}
