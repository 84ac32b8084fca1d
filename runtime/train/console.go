package train

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"lorac/runtime/sys/human"
)

// Console talks to the user: a bar that redraws itself on a terminal, plain
// lines, no more than one a second, elsewhere. Any goroutine may use it.
type Console struct {
	Plain bool        // lines even on a terminal
	Lost  func(error) // is called once, when nothing can be written any more; may be nil

	mu    sync.Mutex
	out   io.Writer
	tty   bool  // out is a terminal
	err   error // of the first write that failed
	drawn bool
	open  bool      // a line is not ended yet
	over  bool      // what is written from now on is dropped
	last  time.Time // of the last bar
}

// NewConsole writes to out, with a bar where that is a terminal which can draw one.
func NewConsole(out io.Writer) *Console {
	return &Console{Plain: !human.Redraws(out), tty: human.Terminal(out), out: out}
}

// EndsAtTerminal has it write to what is no terminal itself, but ends at one.
func (c *Console) EndsAtTerminal() { c.Plain, c.tty = false, true }

// Clear takes the bar away, so that a line can be written.
func (c *Console) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
}

func (c *Console) clear() {
	if c.drawn {
		c.print("\r\x1b[K")
		c.drawn, c.open = false, false
	}
}

// End ends the line that is being written, and drops what comes later: the process is
// about to say its last words elsewhere. It does not wait long for a write that hangs.
func (c *Console) End() {
	for range 20 {
		if c.mu.TryLock() {
			defer c.mu.Unlock()
			c.clear()
			if c.open {
				c.print("\n")
			}
			c.over = true
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Err is the error of the first write that failed.
func (c *Console) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// print writes. What cannot be written is dropped: a run does not end because
// nobody reads what it says.
func (c *Console) print(s string) (int, error) {
	if c.over {
		return len(s), nil
	}
	n, err := io.WriteString(c.out, s)
	if n > 0 {
		c.open = s[n-1] != '\n'
	}
	if err != nil && c.err == nil {
		c.err = err
		if c.Lost != nil {
			c.Lost(err)
		}
	}
	return n, err
}

// Say writes a line.
func (c *Console) Say(format string, args ...any) { c.line(fmt.Sprintf(format, args...)) }

func (c *Console) line(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	c.print(human.Printable(s) + "\n")
}

// Write writes text, such as that of a prediction: as it is, but on a terminal, which
// would obey its control characters.
func (c *Console) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tty {
		_, err := c.print(human.Printable(string(text)))
		return len(text), err
	}
	return c.print(string(text))
}

// progress shows a step of total; the time left follows from what the steps
// before took.
func (c *Console) progress(step, total int, loss, lr, speed float64, elapsed time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last) < 100*time.Millisecond && step < total || c.Plain && now.Sub(c.last) < time.Second && step < total && step > 1 {
		return
	}
	c.last = now
	left := time.Duration(float64(elapsed) / float64(step) * float64(total-step)).Round(time.Second)
	if c.Plain {
		c.print(fmt.Sprintf("step %d/%d  loss %.4f  lr %.3g  %.0f tokens/s  %v left\n", step, total, loss, lr, speed, left))
		return
	}
	const width = 28
	full := step * width / total
	c.print(fmt.Sprintf("\r\x1b[K%s%s %d/%d  loss %.4f  lr %.3g  %.0f tokens/s  %v left",
		strings.Repeat("█", full), strings.Repeat("░", width-full), step, total, loss, lr, speed, left))
	c.drawn = true
}
