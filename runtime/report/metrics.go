// Package report shows what a run did: metrics.jsonl as numbers, curves (SVG) and a page
// that needs no other file. It must not know the trainer.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
)

// Step is the line of a step.
type Step struct {
	Step     int      `json:"step"`
	Loss     *float64 `json:"loss"`
	LR       float64  `json:"lr"`
	GradNorm *float64 `json:"grad_norm"`
	Tokens   int      `json:"tokens"`
	Overflow bool     `json:"overflow"`
	Speed    float64  `json:"tokens_per_second"`
	Elapsed  float64  `json:"elapsed"`
}

// Evaluation is the line of an evaluation; of F1 and EM alone it has no loss.
type Evaluation struct {
	Step int      `json:"step"`
	Loss *float64 `json:"eval_loss"`
	F1   *float64 `json:"eval_f1"`
}

// Sample is a prompt and how the model continued it.
type Sample struct {
	Prompt string `json:"prompt"`
	Text   string `json:"text"`
}

// Metrics is what a file of metrics holds.
type Metrics struct {
	Steps       []Step
	Evaluations []Evaluation
	Before      []Sample // training
	After       []Sample // the last step
	Stopped     string   // why the run stopped before its end, "" where it did not or has gone further
}

// Read reads a file.
func Read(path string) (*Metrics, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m := &Metrics{}
	for r, n := bufio.NewReader(f), 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF { // a line without an end is being written
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		if err := m.Add(line); err != nil {
			return nil, fmt.Errorf("%s:%d is no line of metrics: %w", path, n, err)
		}
	}
}

// Add adds a line.
func (m *Metrics) Add(line []byte) error {
	var kind struct {
		LR      *float64 `json:"lr"` // only steps have one
		Stopped *string  `json:"stopped"`
		Samples []Sample `json:"samples"`
		Step    int      `json:"step"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return err
	}
	switch {
	case kind.Samples != nil && kind.Step == 0:
		m.Before = kind.Samples
	case kind.Samples != nil:
		m.After = kind.Samples
	case kind.Stopped != nil:
		m.Stopped = *kind.Stopped
	case kind.LR != nil:
		var s Step
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		m.Steps, m.Stopped = append(m.Steps, s), ""
	default:
		var e Evaluation
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		m.Evaluations = append(m.Evaluations, e)
	}
	return nil
}

// Best is the evaluation during or after training with the lowest loss.
func (m *Metrics) Best() (best Evaluation, ok bool) {
	for _, e := range m.Evaluations {
		if e.Step > 0 && e.Loss != nil && (!ok || *e.Loss < *best.Loss) {
			best, ok = e, true
		}
	}
	return best, ok
}

// Speed is tokens a second over all steps: those of a step, each by its own time.
func (m *Metrics) Speed() float64 {
	tokens, seconds := 0.0, 0.0
	for _, s := range m.Steps {
		if s.Speed > 0 {
			tokens, seconds = tokens+float64(s.Tokens), seconds+float64(s.Tokens)/s.Speed
		}
	}
	if seconds == 0 {
		return 0
	}
	return tokens / seconds
}

// Seconds is the time of all steps and what came between them, in every process that took some.
func (m *Metrics) Seconds() (sum float64) {
	last := 0.0
	for _, s := range m.Steps {
		if s.Elapsed < last { // a run that was resumed counts from its own start
			last = 0
		}
		sum, last = sum+s.Elapsed-last, s.Elapsed
	}
	return sum
}

// smooth is a mean that forgets, over what is a number.
func smooth(y []float64, keep float64) []float64 {
	out, mean := make([]float64, len(y)), math.NaN()
	for i, v := range y {
		switch {
		case math.IsNaN(v):
		case math.IsNaN(mean):
			mean = v
		default:
			mean = keep*mean + (1-keep)*v
		}
		out[i] = mean
	}
	return out
}
