package rt

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// reporter talks to the user: a bar that redraws itself on a terminal, plain
// lines, no more than one a second, elsewhere.
type reporter struct {
	quiet bool
	plain bool
	drawn bool
	last  time.Time
}

func newReporter() *reporter { return &reporter{plain: !isTerminal(os.Stdout)} }

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// clear takes the bar away, so that a line can be written.
func (r *reporter) clear() {
	if r.drawn {
		fmt.Print("\r\x1b[K")
		r.drawn = false
	}
}

func (r *reporter) line(s string) {
	if r.quiet {
		return
	}
	r.clear()
	fmt.Println(s)
}

func (r *reporter) progress(step, total int, loss, lr, speed float64, elapsed time.Duration) {
	now := time.Now()
	if now.Sub(r.last) < 100*time.Millisecond && step < total || r.plain && now.Sub(r.last) < time.Second && step < total && step > 1 {
		return
	}
	r.last = now
	left := time.Duration(float64(elapsed) / float64(step) * float64(total-step)).Round(time.Second)
	if r.plain {
		fmt.Printf("step %d/%d  loss %.4f  lr %.3g  %.0f tokens/s  %v left\n", step, total, loss, lr, speed, left)
		return
	}
	const width = 28
	full := step * width / total
	fmt.Printf("\r\x1b[K%s%s %d/%d  loss %.4f  lr %.3g  %.0f tokens/s  %v left",
		strings.Repeat("█", full), strings.Repeat("░", width-full), step, total, loss, lr, speed, left)
	r.drawn = true
}
