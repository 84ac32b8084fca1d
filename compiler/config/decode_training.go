package config

// schedules are the classes and aliases of MindFormers
// (r1.3 core/lr/lr_schedule.py).
var schedules = map[string]string{
	"ConstantWarmUpLR": "constant", "constant_with_warmup": "constant",
	"LinearWithWarmUpLR": "linear", "linear": "linear",
	"CosineWithWarmUpLR": "cosine", "cosine": "cosine",
	"CosineWithRestartsAndWarmUpLR": "cosine_restarts", "cosine_with_restarts": "cosine_restarts",
	"PolynomialWithWarmUpLR": "polynomial", "polynomial": "polynomial",
	"ConstantWithCoolDownLR": "cool_down",           // from r1.5
	"WarmUpStableDecayLR":    "warmup_stable_decay", // from r1.6
	"CosineAnnealingLR":      "cosine_annealing", "cosine_annealing": "cosine_annealing",
	"CosineAnnealingWarmRestarts": "cosine_annealing_warm_restarts", "cosine_annealing_warm_restarts": "cosine_annealing_warm_restarts",
}

// noSchedules are schedule classes that MindFormers' trainer cannot build, with the
// class to use instead.
var noSchedules = map[string]string{
	"LearningRateWiseLayer": "its base_lr is an object, which YAML cannot give; multiply the learning_rate of its schedule by lr_scale",
	"CosineDecayLR":         "take CosineWithWarmUpLR with warmup_steps: 0 (max_lr is learning_rate, min_lr lr_end)",
	"PolynomialDecayLR":     "take PolynomialWithWarmUpLR with warmup_steps: 0 (end_learning_rate is lr_end)",
	"WarmUpLR":              "take ConstantWarmUpLR",
	"ExponentialDecayLR":    "take CosineWithWarmUpLR or PolynomialWithWarmUpLR",
	"NaturalExpDecayLR":     "take CosineWithWarmUpLR or PolynomialWithWarmUpLR",
	"InverseDecayLR":        "take CosineWithWarmUpLR or PolynomialWithWarmUpLR",
	"MegatronLR":            "it is Python code of one project; CosineWithWarmUpLR with decay_ratio follows the same curve",
}

// schedule reads lr_schedule. It reads only the parameters of the type; others keep
// their defaults and are reported as without effect.
func (l *loader) schedule() {
	l.rates()
	if on := l.bool("lr_scale", false); on.V {
		l.rateScale(on.At)
	}
}

// rateScale reads lr_scale: without lr_scale_factor it does nothing, as in r1.3.
func (l *loader) rateScale(at Pos) {
	s := &l.c.Schedule
	if !l.given("lr_scale_factor") {
		l.warnf(at, "no-effect", "`lr_scale` does nothing without `lr_scale_factor`").WithHelp("MindFormers from r1.5 takes 256 where it is missing; r1.3 scales nothing")
		return
	}
	s.ScaleFactor = l.float("lr_scale_factor", 256)
	if !(s.ScaleFactor.V > 0) {
		l.errorf(s.ScaleFactor.At, "range", "`lr_scale_factor` must be positive, not %v", s.ScaleFactor.V)
		s.ScaleFactor.V = 1
	}
}

// rates reads the schedule itself.
func (l *loader) rates() {
	s, o := &l.c.Schedule, &l.c.Optimizer
	const p = "lr_schedule."
	at := l.place(p + "type")
	none := func(v float64) Val[float64] { return Val[float64]{v, at, "default"} }
	zero := func(v int) Val[int] { return Val[int]{v, at, "default"} }
	*s = Schedule{
		LREnd: none(0), WarmupInit: none(0), WarmupRatio: none(-1), WarmupSteps: zero(0), WarmupEpochs: zero(0),
		TotalSteps: zero(-1), DecaySteps: zero(0), DecayRatio: none(-1), DecayStartRatio: none(-1), DecayStart: zero(0),
		KeepSteps: zero(0), FinalSteps: zero(0), LREnd2: none(0), NumCycles: none(0.5), Power: none(1), EtaMin: none(0),
		TMax: zero(1), T0: zero(1), TMult: zero(1),
	}
	if l.root.get("lr_schedule").empty() && l.preset == nil {
		// Without a schedule the optimizer's rate is constant.
		o.LR = l.float("optimizer.learning_rate", 1e-3)
		s.Type, s.LR = Val[string]{"constant", o.LR.At, "default"}, o.LR
		return
	}
	if n := l.root.get(p + "type"); n != nil && noSchedules[n.raw] != "" {
		l.errorf(n.pos, "refused", "the schedule `%s` is not supported", n.raw).WithLabel("MindFormers' trainer cannot build it from a file").
			WithHelp("%s", noSchedules[n.raw])
		l.bad[n.pos] = true
	}
	s.Type = l.meaning(p+"type", "CosineWithWarmUpLR", schedules)
	annealing := s.Type.V == "cosine_annealing" || s.Type.V == "cosine_annealing_warm_restarts"
	s.LR = l.rate(annealing)
	o.LR = s.LR
	if annealing {
		s.EtaMin = l.float(p+"eta_min", 0)
		if s.Type.V == "cosine_annealing" {
			s.TMax = l.int(p+"t_max", 1)
		} else {
			s.T0, s.TMult = l.int(p+"t_0", 1), l.int(p+"t_mult", 1)
		}
		return
	}
	l.warmup()
	s.TotalSteps = l.int(p+"total_steps", -1)
	switch s.Type.V {
	case "cosine", "cosine_restarts":
		s.NumCycles = l.float(p+"num_cycles", map[string]float64{"cosine": 0.5, "cosine_restarts": 1}[s.Type.V])
		s.LREnd, s.DecaySteps = l.float(p+"lr_end", 0), l.int(p+"decay_steps", 0)
		if s.Type.V == "cosine" && l.given(p+"decay_ratio") {
			s.DecayRatio = l.float(p+"decay_ratio", -1)
		}
	case "cool_down":
		s.NumCycles, s.KeepSteps, s.FinalSteps = l.float(p+"num_cycles", 0.5), l.int(p+"keep_steps", 0), l.int(p+"final_steps", 0)
		s.LREnd, s.DecaySteps = l.float(p+"lr_end1", 0), l.int(p+"decay_steps", 0)
		if s.LREnd2 = s.LREnd; l.given(p + "lr_end2") {
			s.LREnd2 = l.float(p+"lr_end2", 0)
		}
		if s.LREnd2.V == 0 {
			s.LREnd2.V = s.LREnd.V // `lr_end2 or lr_end1` in the original
		}
		if l.given(p + "decay_ratio") {
			s.DecayRatio = l.float(p+"decay_ratio", -1)
		}
	case "warmup_stable_decay":
		s.LREnd = l.float(p+"lr_end", 1e-7)
		switch {
		case l.given(p + "decay_start_ratio"):
			s.DecayStartRatio = l.float(p+"decay_start_ratio", -1)
		case l.given(p + "decay_start_steps"):
			s.DecayStart = l.int(p+"decay_start_steps", 0)
		default:
			l.errorf(s.Type.At, "missing", "WarmUpStableDecayLR needs decay_start_steps or decay_start_ratio").
				WithHelp("decay_start_ratio: 0.9 lets the last tenth of the steps decay")
		}
	case "polynomial":
		s.Power = l.float(p+"power", 1)
		s.LREnd, s.DecaySteps = l.float(p+"lr_end", 1e-7), l.int(p+"decay_steps", 0)
	}
}

// rate reads the peak rate: the schedule's wins over the optimizer's
// (r1.3 trainer/base_trainer.py, create_optimizer_scheduler).
func (l *loader) rate(annealing bool) Val[float64] {
	own := "lr_schedule.learning_rate"
	if annealing && l.given("lr_schedule.base_lr") {
		own = "lr_schedule.base_lr"
	}
	if !l.given(own) && l.given("optimizer.learning_rate") {
		return l.float("optimizer.learning_rate", 1e-3)
	}
	return l.float(own, 1e-3)
}

// warmup reads the length of the warm-up: the ratio wins over the epochs, the epochs
// over the steps (r1.3 trainer/base_trainer.py).
func (l *loader) warmup() {
	s := &l.c.Schedule
	const p = "lr_schedule."
	s.WarmupInit = l.float(p+"warmup_lr_init", 0)
	switch {
	case !l.given(p+"warmup_ratio") && l.given(p+"warmup_epochs"):
		s.WarmupEpochs = l.int(p+"warmup_epochs", 0)
	case !l.given(p+"warmup_ratio") && l.given(p+"warmup_steps"):
		s.WarmupSteps = l.int(p+"warmup_steps", 0)
	default:
		if s.WarmupRatio = l.float(p+"warmup_ratio", 0); s.WarmupRatio.Origin == "default" {
			s.WarmupRatio.V = -1 // no warm-up
		}
	}
}
