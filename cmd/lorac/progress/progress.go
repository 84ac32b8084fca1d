// Package progress shows how far work is that takes more than a second, and when it will
// end. It must not know what the work is.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"lorac/runtime/sys/human"
)

// Meter counts what is done. Any goroutine may use it; a nil one does nothing.
type Meter struct {
	mu     sync.Mutex
	what   string
	unit   func(n int) string
	done   int
	total  int // 0: not known
	out    io.Writer
	redraw bool
	start  time.Time
	next   time.Time // of the next line
	drawn  bool
	now    func() time.Time
}

// Bytes begins to count bytes of total, 0 where it is not known.
func Bytes(what string, total int) *Meter { return begin(what, total, human.Bytes) }

// Things begins to count things of total.
func Things(what string, total int) *Meter { return begin(what, total, human.Thousands) }

func begin(what string, total int, unit func(int) string) *Meter {
	m := &Meter{what: what, unit: unit, total: total, out: os.Stderr, redraw: human.Redraws(os.Stderr), now: time.Now}
	m.begin()
	return m
}

func (m *Meter) begin() {
	m.start = m.now()
	m.next = m.start.Add(time.Second)
}

// Add counts n more.
func (m *Meter) Add(n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	now := m.now()
	if now.Before(m.next) {
		return
	}
	line := m.line(now.Sub(m.start))
	if m.redraw {
		fmt.Fprintf(m.out, "\r\x1b[K%s", line)
		m.next, m.drawn = now.Add(200*time.Millisecond), true
		return
	}
	fmt.Fprintln(m.out, line)
	m.next = now.Add(10 * time.Second)
}

// line is how far the work is after some time.
func (m *Meter) line(passed time.Duration) string {
	if m.total <= 0 || m.done > m.total {
		return fmt.Sprintf("%s: %s, %v", m.what, m.unit(m.done), passed.Round(time.Second))
	}
	left := time.Duration(float64(passed) / float64(max(m.done, 1)) * float64(m.total-m.done)).Round(time.Second)
	return fmt.Sprintf("%s: %s of %s (%d %%), %v left", m.what, m.unit(m.done), m.unit(m.total), 100*m.done/m.total, left)
}

// End takes the line away.
func (m *Meter) End() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drawn {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
	m.next = m.now().Add(1 << 40) // nothing more
}
