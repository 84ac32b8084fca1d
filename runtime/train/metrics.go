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

// Metrics is metrics.jsonl: a line for each step, each evaluation, and for the end of
// a run that was asked to stop. It is held until it is closed, so that two runs
// never write to one directory.
type Metrics struct {
	f         *os.File
	evaluated int // the last step that has an evaluation, -1 for none
}

// Metric is the line of a step. The fields up to Tokens (and LossScale, Overflow)
// depend on config, data and seed only; the last two on the day. A number that is
// not finite is null, and named in nonfinite: JSON has no NaN.
type Metric struct {
	Step      int
	Loss      float64
	LR        float64
	GradNorm  float64
	Tokens    int
	LossScale float64 // with a scale_sense only
	Overflow  bool    // the step was skipped
	Speed     float64
	Elapsed   float64 // seconds
}

// MarshalJSON writes the line.
func (m Metric) MarshalJSON() ([]byte, error) {
	var n nonfinite
	return json.Marshal(struct {
		Step      int       `json:"step"`
		Loss      *float64  `json:"loss"`
		LR        float64   `json:"lr"`
		GradNorm  *float64  `json:"grad_norm"`
		Tokens    int       `json:"tokens"`
		LossScale infinite  `json:"loss_scale,omitempty"`
		Overflow  bool      `json:"overflow,omitempty"`
		Nonfinite nonfinite `json:"nonfinite,omitempty"`
		Speed     float64   `json:"tokens_per_second"`
		Elapsed   float64   `json:"elapsed"`
	}{m.Step, n.number("loss", m.Loss), m.LR, n.number("grad_norm", m.GradNorm), m.Tokens, infinite(m.LossScale), m.Overflow, n, m.Speed, m.Elapsed})
}

// infinite is a number that may be infinite: then it is written as 1e999, which is
// JSON, and infinity to those who read it as f64.
type infinite float64

func (x infinite) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(x), 1) {
		return []byte("1e999"), nil
	}
	return json.Marshal(float64(x))
}

// nonfinite are the names of numbers that JSON cannot hold.
type nonfinite []string

// number is x, or nil, which is null, with its name noted.
func (n *nonfinite) number(name string, x float64) *float64 {
	if !finite(x) {
		*n = append(*n, name)
		return nil
	}
	return &x
}

// Evaluated is the line of an evaluation after a step; 0 is before training. Numbers
// are in the order in which they are written. It depends on config, data and seed only.
type Evaluated struct {
	Step    int
	Numbers []Number
}

// Number is one that an evaluation measured: eval_loss, eval_f1.
type Number struct {
	Name  string
	Value float64
}

// MarshalJSON writes the line.
func (e Evaluated) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	var n nonfinite
	field := func(name string, x any) error {
		text, err := json.Marshal(x)
		b.WriteString(map[bool]string{true: "{", false: ","}[b.Len() == 0] + `"` + name + `":`)
		b.Write(text)
		return err
	}
	err := field("step", e.Step)
	for _, x := range e.Numbers {
		if err == nil {
			err = field(x.Name, n.number(x.Name, x.Value))
		}
	}
	if err == nil && len(n) > 0 {
		err = field("nonfinite", n)
	}
	b.WriteByte('}')
	return b.Bytes(), err
}

// Sample is a prompt, as the model reads it, and how the model continues it.
type Sample struct {
	Prompt string `json:"prompt"`
	Text   string `json:"text"`
}

// sampled is the line of samples after a step; 0 is before training.
type sampled struct {
	Step    int      `json:"step"`
	Samples []Sample `json:"samples"`
}

// Stopped is the line of a run that was asked to stop after a step, before its end.
type Stopped struct {
	Step    int     `json:"step"`
	By      string  `json:"stopped"` // a signal, as SIGTERM, or max_time
	Elapsed float64 `json:"elapsed"` // seconds
}

// stoppedEarly is the line of a run that its evaluations ended.
type stoppedEarly struct {
	Stopped
	Best int     `json:"best_step"`
	Loss float64 `json:"best_eval_loss"`
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

// read is what a line says that matters to those that follow.
type read struct {
	Step int             `json:"step"`
	Loss json.RawMessage `json:"loss"` // of a step's line
	By   *string         `json:"stopped"`

	Samples json.RawMessage `json:"samples"`
}

// isEvaluation reports whether it is none of a step, of a stop or of samples.
func (r *read) isEvaluation() bool { return r.Loss == nil && r.By == nil && r.Samples == nil }

// scan reads lines up to the last one that belongs to the given step or one before,
// and returns how many bytes they have. Of a run that starts again none belong. Nor
// do samples of the given step, or an evaluation unless it is due: a run that ended
// there, by --steps, made them.
func scan(f *os.File, step int, due bool) (keep int64, evaluated int) {
	evaluated = -1
	for r := bufio.NewReader(f); step > 0; {
		line, err := r.ReadBytes('\n')
		var m read
		if err != nil || json.Unmarshal(bytes.TrimSpace(line), &m) != nil || m.Step > step {
			break
		}
		if m.Samples != nil && m.Step == step {
			break
		}
		if m.isEvaluation() {
			if m.Step == step && !due {
				break
			}
			evaluated = m.Step
		}
		keep += int64(len(line))
	}
	return keep, evaluated
}

// HasEvaluation reports whether the file has the line of an evaluation after a step
// from 1 up.
func HasEvaluation(path string, step int) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	_, evaluated := scan(f, step, true)
	return evaluated == step
}

// OpenMetrics opens the file to continue after the given step: later lines, as
// a run that was killed left them, are cut off.
func OpenMetrics(path string, step int) (*Metrics, error) { return openMetrics(path, step, true) }

func openMetrics(path string, step int, due bool) (*Metrics, error) {
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
	keep, evaluated := scan(f, step, due)
	if err = f.Truncate(keep); err == nil {
		_, err = f.Seek(keep, 0)
	}
	if err != nil {
		f.Close()
		return nil, exit.Inputf("cannot cut %s: %w", path, err)
	}
	return &Metrics{f, evaluated}, nil
}

// Add writes the line of a step.
func (m *Metrics) Add(x Metric) error { return m.line(x) }

// Evaluated writes the line of an evaluation, unless its step has one.
func (m *Metrics) Evaluated(x Evaluated) error {
	if m.evaluated == x.Step {
		return nil
	}
	m.evaluated = x.Step
	return m.line(x)
}

// Stopped writes the line of a run that stops.
func (m *Metrics) Stopped(x Stopped) error { return m.line(x) }

func (m *Metrics) line(x any) error {
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
