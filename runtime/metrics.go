package rt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"lorac/runtime/sys/atomicfile"
)

// metrics is metrics.jsonl: one line a step. The fields up to tokens depend on
// config, data and seed only; the two behind them on the day.
type metrics struct{ f *os.File }

type metric struct {
	Step      int     `json:"step"`
	Loss      float64 `json:"loss"`
	LR        float64 `json:"lr"`
	GradNorm  float64 `json:"grad_norm"`
	Tokens    int     `json:"tokens"`
	LossScale float64 `json:"loss_scale,omitempty"` // with a scale_sense only
	Overflow  bool    `json:"overflow,omitempty"`   // the step was skipped; its loss is 0 when it was not finite
	Speed     float64 `json:"tokens_per_second"`
	Elapsed   float64 `json:"elapsed"`
}

// unused refuses a file that another run writes to, which a living one holds.
func unused(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return hold(f)
}

func hold(f *os.File) error {
	if !atomicfile.Hold(f) {
		return fmt.Errorf("another run writes to %s\n  = help: wait for it, or give another --output_dir", filepath.Dir(f.Name()))
	}
	return nil
}

// openMetrics opens the file to go on behind the given step: later lines, as
// a run that was killed left them, are cut off. It is held until it is closed.
func openMetrics(path string, step int) (*metrics, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fmt.Errorf("cannot make the output directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("cannot write the metrics: %w", err)
	}
	if err := hold(f); err != nil {
		f.Close()
		return nil, err
	}
	var keep int64
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		var m metric
		if err != nil || json.Unmarshal(bytes.TrimSpace(line), &m) != nil || m.Step > step {
			break
		}
		keep += int64(len(line))
	}
	if err := f.Truncate(keep); err != nil {
		return nil, fmt.Errorf("cannot cut %s: %w", path, err)
	}
	if _, err := f.Seek(keep, 0); err != nil {
		return nil, err
	}
	return &metrics{f}, nil
}

func (m *metrics) add(x metric) error {
	if x.Overflow && !finite(x.Loss) {
		x.Loss = 0 // JSON has no NaN
	}
	line, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if _, err := m.f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("cannot write the metrics: %w", err)
	}
	return nil
}

func round(x float64) float64 { return float64(int64(x*1000)) / 1000 }
