package train

import (
	"math"
	"testing"
)

// The numbers were worked out by hand from MindFormers r1.3
// core/lr/lr_schedule.py and the published test values of its docstrings.
func TestSchedules(t *testing.T) {
	base := Schedule{LR: 1, WarmupSteps: 10, TotalSteps: 100, NumCycles: 0.5, Power: 1, TMax: 10, T0: 10, TMult: 2, WarmupRatio: -1}
	with := func(f func(s *Schedule)) Schedule { s := base; f(&s); return s }
	typ := func(name string) Schedule { return with(func(s *Schedule) { s.Type = name }) }
	for _, c := range []struct {
		name string
		s    Schedule
		step int
		want float64
	}{
		{"constant warms up from 0", typ("constant"), 0, 0},
		{"constant", typ("constant"), 5, 0.5},
		{"constant", typ("constant"), 10, 1},
		{"linear", typ("linear"), 5, 0.5},
		{"linear", typ("linear"), 55, 0.5},
		{"linear", typ("linear"), 99, 1.0 / 90},
		{"linear", typ("linear"), 100, 0},
		{"cosine", typ("cosine"), 0, 0},
		{"cosine", typ("cosine"), 10, 1},
		{"cosine", typ("cosine"), 55, 0.5},
		{"cosine", typ("cosine"), 99, 3.0458649045e-4},
		{"cosine ends at lr_end", with(func(s *Schedule) { s.Type, s.LREnd = "cosine", 0.1 }), 100, 0.1},
		{"cosine of one step gives lr_end before it warms up", with(func(s *Schedule) { s.Type, s.TotalSteps, s.WarmupSteps = "cosine", 1, 5 }), 1, 0},
		{"docstring: lr .005, 10 of 20", Schedule{Type: "cosine", LR: 0.005, WarmupSteps: 10, TotalSteps: 20, NumCycles: 0.5}, 15, 0.0025},
		{"docstring", Schedule{Type: "cosine", LR: 0.005, WarmupSteps: 10, TotalSteps: 20, NumCycles: 0.5}, 1, 0.0005},
		{"restarts, middle of the second cycle", with(func(s *Schedule) { s.Type, s.NumCycles = "cosine_restarts", 2 }), 10 + 45 + 22, 0.5 * (1 + math.Cos(math.Pi*(2*67.0/90-1)))},
		{"polynomial", with(func(s *Schedule) { s.Type, s.Power, s.LREnd = "polynomial", 2, 0.2 }), 55, 0.8*0.25 + 0.2},
		{"polynomial past the end", with(func(s *Schedule) { s.Type, s.LREnd = "polynomial", 0.2 }), 101, 0.2},
		{"cool down keeps the peak", with(func(s *Schedule) { s.Type, s.KeepSteps, s.DecaySteps = "cool_down", 20, 40 }), 29, 1},
		{"cool down falls over decay_steps", with(func(s *Schedule) { s.Type, s.KeepSteps, s.DecaySteps, s.LREnd = "cool_down", 20, 40, 0.2 }), 50, 0.6},
		{"cool down stays at lr_end1", with(func(s *Schedule) {
			s.Type, s.KeepSteps, s.DecaySteps, s.LREnd, s.FinalSteps, s.LREnd2 = "cool_down", 20, 40, 0.2, 5, 0.1
		}), 74, 0.2},
		{"cool down ends at lr_end2", with(func(s *Schedule) {
			s.Type, s.KeepSteps, s.DecaySteps, s.LREnd, s.FinalSteps, s.LREnd2 = "cool_down", 20, 40, 0.2, 5, 0.1
		}), 75, 0.1},
		{"stable", with(func(s *Schedule) { s.Type, s.DecayStart = "warmup_stable_decay", 60 }), 59, 1},
		{"stable decays linearly", with(func(s *Schedule) { s.Type, s.DecayStart, s.LREnd = "warmup_stable_decay", 60, 0.2 }), 70, 0.8},
		{"decay_steps ends a cosine early", with(func(s *Schedule) { s.Type, s.DecaySteps, s.LREnd = "cosine", 50, 0.3 }), 50, 0.3},
		{"annealing comes back", typ("cosine_annealing"), 20, 1},
		{"annealing", typ("cosine_annealing"), 10, 0},
		{"warm restarts, first cycle", typ("cosine_annealing_warm_restarts"), 5, 0.5},
		{"warm restarts, start of the second", typ("cosine_annealing_warm_restarts"), 10, 1},
		{"warm restarts, middle of the second, twice as long", typ("cosine_annealing_warm_restarts"), 20, 0.5},
		{"warm restarts, third", typ("cosine_annealing_warm_restarts"), 30, 1},
	} {
		if got := c.s.At(c.step); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: step %d gives %v, want %v", c.name, c.step, got, c.want)
		}
	}
}

func TestResolve(t *testing.T) {
	s := Schedule{WarmupRatio: 0.03, TotalSteps: -1}.Resolve(99, 33)
	if s.TotalSteps != 99 || s.WarmupSteps != 2 { // 2.97 is floored
		t.Errorf("99 steps at 0.03: %d of warm-up, %d in all", s.WarmupSteps, s.TotalSteps)
	}
	if s := (Schedule{WarmupRatio: -1, WarmupEpochs: 2}).Resolve(99, 33); s.WarmupSteps != 66 {
		t.Errorf("two epochs of warm-up: %d steps", s.WarmupSteps)
	}
	if s := (Schedule{WarmupRatio: 0, WarmupSteps: 7, TotalSteps: 50}).Resolve(99, 33); s.WarmupSteps != 0 || s.TotalSteps != 50 {
		t.Errorf("the ratio wins over the steps, the config's total over the data's: %+v", s)
	}
	if s := (Schedule{WarmupRatio: 0, TotalSteps: 50, DecayRatio: 0.9, DecayStartRatio: 0.85}).Resolve(99, 33); s.DecaySteps != 45 || s.DecayStart != 42 { // 42.5 is floored
		t.Errorf("ratios of the decay: %+v", s)
	}
}
