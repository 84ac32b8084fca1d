// Package watch follows a run from another terminal, by the metrics that it writes. It
// must not know what the run computes.
package watch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"lorac/runtime/report"
	"lorac/runtime/sys/human"
	"lorac/runtime/train"
)

// Watch is a run that is followed.
type Watch struct {
	Out    io.Writer
	Redraw bool          // Out is a terminal: the line of a step takes the place of the last
	Every  time.Duration // between two looks at the file
	Idle   time.Duration // without a line, after which it is asked whether the run has ended
	Wait   time.Duration // at most, for a run that has not begun

	path   string
	f      *os.File
	offset int64
	m      *report.Metrics
	drawn  bool
	shown  time.Time // of the last step
}

// Of is the watch of a run that writes to a directory.
func Of(dir string, out *os.File) *Watch {
	return &Watch{Out: out, Redraw: human.Redraws(out), Every: 300 * time.Millisecond, Idle: 3 * time.Second, path: metricsOf(dir)}
}

func metricsOf(dir string) string {
	if filepath.Ext(dir) == ".jsonl" {
		return dir
	}
	return filepath.Join(dir, "metrics.jsonl")
}

// Once says what the run has come to by now.
func (w *Watch) Once() error {
	m, err := report.Read(w.path)
	if err != nil {
		return err
	}
	w.m = m
	if len(m.Steps)+len(m.Evaluations) == 0 {
		fmt.Fprintf(w.Out, "%s has no step yet\n", w.path)
	}
	w.sumUp()
	return nil
}

// Follow shows what there is and what comes, until no run writes any more.
func (w *Watch) Follow() error {
	defer func() {
		if w.f != nil {
			w.f.Close()
		}
	}()
	begun, last := time.Now(), time.Now()
	for said := false; ; time.Sleep(w.Every) {
		n, err := w.look()
		switch {
		case errors.Is(err, fs.ErrNotExist) && time.Since(begun) < w.Wait:
			if !said {
				said = true
				fmt.Fprintf(w.Out, "waiting for a run to write %s\n", w.path)
			}
		case err != nil:
			return err
		case n > 0:
			last = time.Now()
		case time.Since(last) >= w.Idle && !w.written():
			if _, err := w.look(); err != nil { // what came since
				return err
			}
			w.clear()
			w.sumUp()
			return nil
		}
	}
}

// written reports whether a run has the file. Where the system does not tell, the page that
// ends a run does, and a line that says that it stopped.
func (w *Watch) written() bool {
	if runtime.GOOS != "windows" {
		return train.CheckUnused(w.path) != nil
	}
	page, err := os.Stat(filepath.Join(filepath.Dir(w.path), "report.html"))
	lines, err2 := w.f.Stat()
	return w.m.Stopped == "" && (err != nil || err2 != nil || page.ModTime().Before(lines.ModTime()))
}

// look shows the lines that are new. A run that starts again, or resumes before the last
// line, has the file read from its beginning.
func (w *Watch) look() (n int, err error) {
	info, err := os.Stat(w.path)
	if err != nil {
		return 0, err
	}
	if w.f != nil {
		if held, err := w.f.Stat(); err != nil || !os.SameFile(held, info) || info.Size() < w.offset {
			w.f.Close()
			w.f = nil
		}
	}
	first := w.f == nil
	if first {
		if w.f, err = os.Open(w.path); err != nil {
			return 0, err
		}
		w.offset, w.m, w.shown = 0, &report.Metrics{}, time.Time{}
	}
	if _, err := w.f.Seek(w.offset, io.SeekStart); err != nil {
		return 0, err
	}
	for r := bufio.NewReader(w.f); ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
		steps, evaluations := len(w.m.Steps), len(w.m.Evaluations)
		if err := w.m.Add(line); err != nil {
			return n, fmt.Errorf("%s is no file of metrics: %w", w.path, err)
		}
		w.offset += int64(len(line))
		switch {
		case len(w.m.Evaluations) > evaluations:
			w.evaluation(w.m.Evaluations[evaluations])
		case len(w.m.Steps) > steps && !first: // of those before there is the last
			w.step(w.m.Steps[steps], false)
		}
	}
	if k := len(w.m.Steps); first && k > 0 {
		w.step(w.m.Steps[k-1], true)
	}
	return n, nil
}

// step shows a step, no more than one a second where lines stay.
func (w *Watch) step(s report.Step, always bool) {
	if !w.Redraw && !always && time.Since(w.shown) < time.Second {
		return
	}
	w.shown = time.Now()
	loss := "not finite"
	if s.Loss != nil {
		loss = fmt.Sprintf("%.4f", *s.Loss)
	}
	text := fmt.Sprintf("step %d  loss %s  lr %.3g  %.0f tokens/s", s.Step, loss, s.LR, s.Speed)
	if w.clear(); w.Redraw {
		fmt.Fprint(w.Out, text)
		w.drawn = true
		return
	}
	fmt.Fprintln(w.Out, text)
}

func (w *Watch) evaluation(e report.Evaluation) {
	w.clear()
	text := fmt.Sprintf("step %d  evaluation:", e.Step)
	if e.Loss != nil {
		text += fmt.Sprintf(" loss %.4f", *e.Loss)
	}
	if e.F1 != nil {
		text += fmt.Sprintf(" F1 %.2f", *e.F1)
	}
	fmt.Fprintln(w.Out, text)
}

func (w *Watch) clear() {
	if w.drawn {
		fmt.Fprint(w.Out, "\r\x1b[K")
		w.drawn = false
	}
}

// sumUp says what came of the run.
func (w *Watch) sumUp() {
	for _, row := range w.m.Result() {
		fmt.Fprintf(w.Out, "  %-16s %s\n", row[0], row[1])
	}
}
