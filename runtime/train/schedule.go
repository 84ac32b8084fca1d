package train

import (
	"math"

	"lorac/runtime/job"
)

// Schedule is the learning rate over the steps, as MindFormers r1.3
// core/lr/lr_schedule.py has it; cool_down (ConstantWithCoolDownLR) and
// decay_ratio are of r1.5, warmup_stable_decay is of r1.6. Steps count from 0:
// the updates made so far.
type Schedule job.Schedule

// Resolve fills in what depends on the number of steps of the run and of an epoch.
func (s Schedule) Resolve(total, perEpoch int) Schedule {
	if s.TotalSteps <= 0 {
		s.TotalSteps = total
	}
	switch {
	case s.WarmupRatio >= 0:
		s.WarmupSteps = int(float64(s.TotalSteps) * s.WarmupRatio)
	case s.WarmupEpochs > 0:
		s.WarmupSteps = s.WarmupEpochs * perEpoch
	}
	if s.DecayRatio > 0 {
		s.DecaySteps = max(1, int(float64(s.TotalSteps)*s.DecayRatio))
	}
	if s.DecayStartRatio > 0 {
		s.DecayStart = int(float64(s.TotalSteps) * s.DecayStartRatio)
	}
	return s
}

// At is the rate of step s. Schedules with warm-up give WarmupInit (0) first.
func (s Schedule) At(step int) float64 {
	t, w, n := float64(step), float64(s.WarmupSteps), float64(s.TotalSteps)
	decay := n
	if s.DecaySteps > 0 {
		decay = float64(s.DecaySteps)
	}
	warm := s.WarmupInit + (s.LR-s.WarmupInit)*t/math.Max(w, 1)
	progress := (t - w) / math.Max(1, n-w)
	switch s.Type {
	case "linear":
		if t < w {
			return warm
		}
		return s.LR * math.Max(0, (n-t)/math.Max(1, n-w))
	case "cosine":
		if t >= math.Max(1, decay) { // before the test for warm-up, as the original
			return s.LREnd
		}
		if t < w {
			return warm
		}
		return s.LREnd + (s.LR-s.LREnd)*math.Max(0, 0.5*(1+math.Cos(2*math.Pi*s.NumCycles*progress)))
	case "cosine_restarts":
		if t >= math.Max(1, decay) {
			return s.LREnd
		}
		if t < w {
			return warm
		}
		if progress >= 1 {
			return 0
		}
		return s.LREnd + (s.LR-s.LREnd)*math.Max(0, 0.5*(1+math.Cos(math.Pi*math.Mod(s.NumCycles*progress, 1))))
	case "polynomial":
		if t < w {
			return warm
		}
		if t > n {
			return s.LREnd
		}
		d := n - w
		if s.DecaySteps > 0 {
			d = float64(s.DecaySteps)
		}
		return (s.LR-s.LREnd)*math.Pow(1-(t-w)/math.Max(d, 1), s.Power) + s.LREnd
	case "cool_down":
		if t < w {
			return warm
		}
		switch t -= w + float64(s.KeepSteps); {
		case t < 0:
			return s.LR
		case t < math.Max(1, decay):
			return s.LREnd + (s.LR-s.LREnd)*math.Max(0, 0.5*(1+math.Cos(2*math.Pi*s.NumCycles*t/math.Max(1, decay))))
		case t < math.Max(1, decay)+float64(s.FinalSteps):
			return s.LREnd
		}
		return s.LREnd2
	case "warmup_stable_decay":
		start := float64(s.DecayStart)
		switch {
		case t < w:
			return warm
		case t < start:
			return s.LR
		}
		return s.LR - (s.LR-s.LREnd)*(t-start)/math.Max(1, n-start)
	case "relative": // AdaFactor's own (ir/op/optimizer_factored.go), before the size of a parameter
		return min(1e-2, 1/math.Sqrt(t+1))
	case "relative_warmup":
		return min(1e-6*(t+1), 1/math.Sqrt(t+1))
	case "cosine_annealing":
		return s.EtaMin + (s.LR-s.EtaMin)*0.5*(1+math.Cos(math.Pi*t/float64(s.TMax)))
	case "cosine_annealing_warm_restarts":
		cur, period := s.cycle(t)
		return s.EtaMin + (s.LR-s.EtaMin)*0.5*(1+math.Cos(math.Pi*cur/period))
	}
	if t < w {
		return warm
	}
	return s.LR
}

// cycle is the position in the current cycle of warm restarts and its length.
func (s Schedule) cycle(t float64) (cur, period float64) {
	t0, mult := float64(s.T0), float64(s.TMult)
	switch {
	case t < t0:
		return t, t0
	case s.TMult == 1:
		return math.Mod(t, t0), t0
	}
	n := math.Floor(math.Log(t/t0*(mult-1)+1) / math.Log(mult))
	return t - t0*(1-math.Pow(mult, n))/(1-mult), t0 * math.Pow(mult, n)
}
