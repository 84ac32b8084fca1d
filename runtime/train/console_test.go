package train

import (
	"strings"
	"testing"
	"time"
)

// On a terminal a bar is redrawn and makes way for lines; elsewhere steps are
// lines, the first and the last always, others once a second.
func TestConsole(t *testing.T) {
	var out strings.Builder
	c := NewConsole(&out)
	if !c.Plain {
		t.Error("a writer that is no file is taken for a terminal")
	}
	c.progress(1, 10, 2.5, 1e-3, 100, 2*time.Second)
	c.progress(2, 10, 2.4, 1e-3, 100, 4*time.Second) // within the second
	c.last = time.Now().Add(-2 * time.Second)
	c.progress(3, 10, 2.3, 1e-3, 100, 6*time.Second)
	c.progress(10, 10, 2, 1e-3, 100, 20*time.Second)
	c.Say("%d words", 2)
	want := "step 1/10  loss 2.5000  lr 0.001  100 tokens/s  18s left\n" +
		"step 3/10  loss 2.3000  lr 0.001  100 tokens/s  14s left\n" +
		"step 10/10  loss 2.0000  lr 0.001  100 tokens/s  0s left\n2 words\n"
	if out.String() != want {
		t.Errorf("\n%s, want\n%s", out.String(), want)
	}

	out.Reset()
	c = NewConsole(&out)
	c.Plain = false
	c.progress(5, 10, 2, 1e-3, 100, time.Second)
	c.progress(6, 10, 2, 1e-3, 100, time.Second) // within a tenth of a second
	c.Say("a line")
	c.Clear()
	bar := "\r\x1b[K" + strings.Repeat("█", 14) + strings.Repeat("░", 14) + " 5/10  loss 2.0000  lr 0.001  100 tokens/s  1s left"
	if want := bar + "\r\x1b[Ka line\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	if n, err := c.Write([]byte("as it is")); n != 8 || err != nil || out.String() != "as it is" {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
}

// A terminal shows control characters; a file gets them as they are.
func TestControlCharacters(t *testing.T) {
	var out strings.Builder
	c := &Console{out: &out, tty: true}
	c.Write([]byte("\x1b[2Ja\n"))
	c.tty = false
	c.Write([]byte("\x1b[2Jb\n"))
	c.Say("%s", "\x1b[2Jc")
	if want := "\\x1b[2Ja\n\x1b[2Jb\n\\x1b[2Jc\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// A line that is cut off is ended, a bar is taken away, and nothing follows.
func TestConsoleEnd(t *testing.T) {
	for name, x := range map[string]struct {
		write func(c *Console)
		want  string
	}{
		"in a line":         {func(c *Console) { c.Write([]byte("Once upon")) }, "Once upon\n"},
		"after a line":      {func(c *Console) { c.Say("a line") }, "a line\n"},
		"after a bar":       {func(c *Console) { c.Plain = false; c.progress(1, 2, 2, 1e-3, 100, time.Second) }, "\r\x1b[K"},
		"nothing is there":  {func(*Console) {}, ""},
		"after empty texts": {func(c *Console) { c.Write([]byte("a\n")); c.Write(nil) }, "a\n"},
	} {
		var out strings.Builder
		c := NewConsole(&out)
		x.write(c)
		c.End()
		c.Say("later")
		c.Write([]byte("later"))
		if got := out.String(); !strings.HasSuffix(got, x.want) || strings.Contains(got, "later") {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
	c := NewConsole(nil)
	c.mu.Lock() // a write that hangs
	c.End()
}
