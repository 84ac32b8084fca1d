package train

import (
	"bufio"
	"encoding/json"
	"io"
	"math"
	"os"
)

// Best follows the loss of the evaluations during training: the lowest one, and for how
// many in a row none was lower by more than Threshold (transformers,
// EarlyStoppingCallback). What it holds follows from metrics.jsonl, so a run that
// resumes reads it there.
type Best struct {
	Patience  int     // evaluations without a lower loss that end the run; 0: none do
	Threshold float64 // by how much a loss must be lower to count
	Loss      float64 // the lowest
	Step      int     // after which it was; 0: there is none
	Bad       int     // evaluations in a row that did not count
	Last      int     // step of the last evaluation
}

// Take adds the evaluation after a step, once, and reports whether its loss is the lowest.
func (b *Best) Take(step int, loss float64) (lowest bool) {
	if step <= b.Last {
		return false
	}
	b.Last = step
	lowest = finite(loss) && (b.Step == 0 || loss < b.Loss)
	if lowest && (b.Step == 0 || b.Loss-loss > b.Threshold) {
		b.Bad = 0
	} else {
		b.Bad++
	}
	if lowest {
		b.Step, b.Loss = step, loss
	}
	return lowest
}

// Over reports whether the run is to end.
func (b *Best) Over() bool { return b.Patience > 0 && b.Bad >= b.Patience }

// Replay takes the evaluations in the metrics of a run that resumes after a step, those
// that OpenMetrics leaves there. due says that this step has one.
func (b *Best) Replay(metrics string, step int, due bool) error {
	f, err := os.Open(metrics)
	if err != nil {
		return nil // there is none
	}
	defer f.Close()
	keep, _ := scan(f, step, due)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for r := bufio.NewReader(io.LimitReader(f, keep)); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var e struct {
			Step      int      `json:"step"`
			Loss      *float64 `json:"eval_loss"`
			Nonfinite []string `json:"nonfinite"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		for _, name := range e.Nonfinite {
			if nan := math.NaN(); name == "eval_loss" {
				e.Loss = &nan
			}
		}
		if e.Step > 0 && e.Loss != nil {
			b.Take(e.Step, *e.Loss)
		}
	}
}
