package train

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"lorac/runtime/sys/human"
)

// Console talks to the user: a bar that redraws itself on a terminal, plain
// lines, no more than one a second, elsewhere.
type Console struct {
	Plain bool // lines even on a terminal

	out   io.Writer
	tty   bool // out is a terminal
	drawn bool
	last  time.Time // of the last bar
}

// NewConsole writes to out, with a bar where that is a terminal.
func NewConsole(out io.Writer) *Console {
	return &Console{Plain: !isTerminal(out), tty: isTerminal(out), out: out}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Clear takes the bar away, so that a line can be written.
func (c *Console) Clear() {
	if c.drawn {
		fmt.Fprint(c.out, "\r\x1b[K")
		c.drawn = false
	}
}

// Say writes a line.
func (c *Console) Say(format string, args ...any) { c.line(fmt.Sprintf(format, args...)) }

func (c *Console) line(s string) {
	c.Clear()
	fmt.Fprintln(c.out, human.Printable(s))
}

// Write writes text, such as that of a prediction: as it is, but on a terminal, which
// would obey its control characters.
func (c *Console) Write(text []byte) (int, error) {
	if c.tty {
		_, err := io.WriteString(c.out, human.Printable(string(text)))
		return len(text), err
	}
	return c.out.Write(text)
}

// progress shows a step of total; the time left follows from what the steps
// before took.
func (c *Console) progress(step, total int, loss, lr, speed float64, elapsed time.Duration) {
	now := time.Now()
	if now.Sub(c.last) < 100*time.Millisecond && step < total || c.Plain && now.Sub(c.last) < time.Second && step < total && step > 1 {
		return
	}
	c.last = now
	left := time.Duration(float64(elapsed) / float64(step) * float64(total-step)).Round(time.Second)
	if c.Plain {
		fmt.Fprintf(c.out, "step %d/%d  loss %.4f  lr %.3g  %.0f tokens/s  %v left\n", step, total, loss, lr, speed, left)
		return
	}
	const width = 28
	full := step * width / total
	fmt.Fprintf(c.out, "\r\x1b[K%s%s %d/%d  loss %.4f  lr %.3g  %.0f tokens/s  %v left",
		strings.Repeat("█", full), strings.Repeat("░", width-full), step, total, loss, lr, speed, left)
	c.drawn = true
}
