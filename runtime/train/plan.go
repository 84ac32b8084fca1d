package train

import (
	"time"

	"lorac/runtime/job"
)

// Plan is how many steps a run takes and when its callbacks act.
type Plan struct {
	Steps int // to do in all
	Round int // steps of a sink round, which is all that callbacks see; 0: no sink mode
	Epoch int // steps of an epoch
}

// NewPlan counts the steps of a run over epochs of the given steps: whole
// rounds of sink steps (−1: an epoch), as MindFormers does in sink mode (r1.3
// trainer/base_trainer.py), or all of them (sink 0).
func NewPlan(epoch, epochs, sink int) Plan {
	if sink < 0 {
		sink = epoch
	}
	if sink == 0 {
		return Plan{epoch * epochs, 0, epoch}
	}
	return Plan{int(float64(epoch)/float64(sink)*float64(epochs)) * sink, sink, epoch}
}

// SaveDue reports whether the step that ended calls for a checkpoint, the last
// one being since ago. In sink mode MindFormers sees the ends of rounds only
// and saves at the first one save_checkpoint_steps after the last.
func (p Plan) SaveDue(c *job.Checkpoint, step int, since time.Duration) bool {
	if c.SaveSteps <= 0 {
		return c.SaveSeconds > 0 && since > time.Duration(c.SaveSeconds)*time.Second && (p.Round == 0 || step%p.Round == 0)
	}
	every := c.SaveSteps
	if p.Round > 0 {
		every = (every + p.Round - 1) / p.Round * p.Round
	}
	return step%every == 0
}

// EvalDue reports whether the step that ended calls for an evaluation
// (MindFormers r1.3 core/callback/callback.py, EvalCallBack): every so many
// steps or epochs, below 1 for never. In sink mode callbacks see the ends of
// rounds only, and a round is an epoch to them.
func (p Plan) EvalDue(step, steps, epochs int) bool {
	epoch := p.Epoch
	if p.Round > 0 {
		if step%p.Round != 0 {
			return false
		}
		epoch = p.Round
	}
	return steps > 0 && step%steps == 0 || epochs > 0 && step%epoch == 0 && step/epoch%epochs == 0
}
