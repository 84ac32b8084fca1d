package train

import (
	"fmt"
	"testing"
	"time"

	"lorac/runtime/job"
)

// Steps by hand: rounds = ⌊D/sink_size·epochs⌋, steps = rounds·sink_size.
func TestTotalSteps(t *testing.T) {
	for _, c := range []struct{ d, epochs, sink, total, round int }{
		{7, 3, 0, 21, 0},  // no sink mode: all
		{7, 3, 1, 21, 1},  // every step a round
		{7, 3, 2, 20, 2},  // 10.5 rounds
		{7, 2, 2, 14, 2},  // 7 rounds over the border of an epoch
		{7, 3, -1, 21, 7}, // an epoch a round
		{7, 1, 4, 4, 4},
		{3, 1, 4, 0, 4}, // not one round
		{3, 4, 5, 10, 5},
		{100, 2, 3, 198, 3},
	} {
		if p := NewPlan(c.d, c.epochs, c.sink); p != (Plan{c.total, c.round, c.d}) {
			t.Errorf("%d steps an epoch, %d epochs, sink_size %d: %+v, want %d steps in rounds of %d", c.d, c.epochs, c.sink, p, c.total, c.round)
		}
	}
}

// When callbacks evaluate and save (EvalCallBack, CheckpointMonitor): steps
// counted on paper. In sink mode they see the ends of rounds only.
func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		sink, epoch, steps, epochs, save int
		evals, saves                     string
	}{
		{0, 6, 4, -1, 5, "[4 8 12]", "[5 10]"},
		{0, 6, -1, 1, 0, "[6 12]", "[]"},
		{0, 6, -1, 2, 0, "[12]", "[]"},
		{0, 6, 0, 0, 1, "[]", "[1 2 3 4 5 6 7 8 9 10 11 12]"},
		{2, 6, 3, -1, 3, "[6 12]", "[4 8 12]"}, // every 3 steps: at rounds that are multiples of 3; saved 3 or more after the last
		{2, 6, -1, 2, 2, "[4 8 12]", "[2 4 6 8 10 12]"},
		{4, 12, 100, -1, 10, "[]", "[12]"},
	} {
		p := Plan{Steps: 12, Round: c.sink, Epoch: c.epoch}
		evals, saves := []int{}, []int{}
		for step := 1; step <= 12; step++ {
			if p.EvalDue(step, c.steps, c.epochs) {
				evals = append(evals, step)
			}
			if p.SaveDue(&job.Checkpoint{SaveSteps: c.save}, step, 0) {
				saves = append(saves, step)
			}
		}
		if fmt.Sprint(evals) != c.evals || fmt.Sprint(saves) != c.saves {
			t.Errorf("%+v: evaluates at %v, saves at %v", c, evals, saves)
		}
	}
	c := &job.Checkpoint{SaveSeconds: 60}
	if p := (Plan{}); p.SaveDue(c, 3, 59*time.Second) || !p.SaveDue(c, 3, 61*time.Second) {
		t.Error("a checkpoint every 60 seconds")
	}
	if p := (Plan{Round: 2}); p.SaveDue(c, 3, 61*time.Second) || !p.SaveDue(c, 4, 61*time.Second) {
		t.Error("in sink mode at the ends of rounds only")
	}
}
