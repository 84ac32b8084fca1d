package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
)

// Metrics is metrics.jsonl: one line a step. It is held until it is closed, so
// that two runs never write to one directory.
type Metrics struct{ f *os.File }

// Metric is a line. The fields up to Tokens (and LossScale, Overflow) depend on
// config, data and seed only; the last two on the day.
type Metric struct {
	Step      int     `json:"step"`
	Loss      float64 `json:"loss"`
	LR        float64 `json:"lr"`
	GradNorm  float64 `json:"grad_norm"`
	Tokens    int     `json:"tokens"`
	LossScale float64 `json:"loss_scale,omitempty"` // with a scale_sense only
	Overflow  bool    `json:"overflow,omitempty"`   // the step was skipped; its loss is 0 when it was not finite
	Speed     float64 `json:"tokens_per_second"`
	Elapsed   float64 `json:"elapsed"` // seconds
}

// CheckUnused refuses a metrics file that another run writes to.
func CheckUnused(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return hold(f)
}

func hold(f *os.File) error {
	if !atomicfile.Hold(f) {
		return exit.Inputf("another run writes to %s\n  = help: wait for it, or give another --output_dir", filepath.Dir(f.Name()))
	}
	return nil
}

// OpenMetrics opens the file to continue after the given step: later lines, as
// a run that was killed left them, are cut off.
func OpenMetrics(path string, step int) (*Metrics, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, exit.Inputf("cannot make the output directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, exit.Inputf("cannot write the metrics: %w", err)
	}
	if err := hold(f); err != nil {
		f.Close()
		return nil, err
	}
	var keep int64
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		var m Metric
		if err != nil || json.Unmarshal(bytes.TrimSpace(line), &m) != nil || m.Step > step {
			break
		}
		keep += int64(len(line))
	}
	if err = f.Truncate(keep); err == nil {
		_, err = f.Seek(keep, 0)
	}
	if err != nil {
		f.Close()
		return nil, exit.Inputf("cannot cut %s: %w", path, err)
	}
	return &Metrics{f}, nil
}

// Add writes a line.
func (m *Metrics) Add(x Metric) error {
	if x.Overflow && !finite(x.Loss) {
		x.Loss = 0 // JSON has no NaN
	}
	line, err := json.Marshal(x)
	if err == nil {
		_, err = m.f.Write(append(line, '\n'))
	}
	if err != nil {
		return exit.Failedf("cannot write the metrics: %w", err)
	}
	return nil
}

// Sync brings the lines to the disk.
func (m *Metrics) Sync() error {
	if err := m.f.Sync(); err != nil {
		return exit.Failedf("cannot write the metrics: %w", err)
	}
	return nil
}

// Close lets other runs have the file.
func (m *Metrics) Close() error { return m.f.Close() }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
