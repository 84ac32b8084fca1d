package config

// optimizers are the classes and aliases of MindFormers by the rule they
// follow. The alias adamw is AdamWeightDecay, not AdamW: no bias correction.
var optimizers = map[string]string{
	"FP32StateAdamWeightDecay": "mindformers", "fp32_adamw": "mindformers",
	"AdamWeightDecay": "mindformers", "adamw": "mindformers",
	"FusedAdamWeightDecay": "mindformers", "fused_adamw": "mindformers",
	"FusedCastAdamWeightDecay": "mindformers", "AdamWeightDecayX": "mindformers",
	"AdamW": "torch",
}

func (l *loader) optimizer() {
	o := &l.c.Optimizer
	o.Type, o.Rule = l.choice("optimizer.type", "FP32StateAdamWeightDecay", optimizers)
	eps := 1e-6
	if o.Rule == "torch" {
		eps = 1e-8
	}
	if betas := l.root.get("optimizer.betas"); !betas.empty() {
		l.betas(betas)
	} else {
		o.Beta1, o.Beta2 = l.float("optimizer.beta1", 0.9), l.float("optimizer.beta2", 0.999)
	}
	o.Eps, o.WeightDecay = l.float("optimizer.eps", eps), l.float("optimizer.weight_decay", 0)
}

// betas reads the pair that AdamW takes.
func (l *loader) betas(n *node) {
	l.seen("optimizer.betas")
	o := &l.c.Optimizer
	o.Beta1, o.Beta2 = Val[float64]{0.9, n.pos, "default"}, Val[float64]{0.999, n.pos, "default"}
	if len(n.items) != 2 {
		l.wrongType(n, "optimizer.betas", "a list of two numbers")
		return
	}
	for i, b := range []*Val[float64]{&o.Beta1, &o.Beta2} {
		item := n.items[i]
		v, ok := l.asFloat(item)
		if !ok {
			l.wrongType(item, "optimizer.betas", "a list of two numbers")
			continue
		}
		*b = Val[float64]{v, item.pos, "file"}
		if item.origin != "" {
			b.Origin = item.origin
		}
	}
}

// schedules are the classes and aliases of MindFormers
// (r1.3 core/lr/lr_schedule.py).
var schedules = map[string]string{
	"ConstantWarmUpLR": "constant", "constant_with_warmup": "constant",
	"LinearWithWarmUpLR": "linear", "linear": "linear",
	"CosineWithWarmUpLR": "cosine", "cosine": "cosine",
	"CosineWithRestartsAndWarmUpLR": "cosine_restarts", "cosine_with_restarts": "cosine_restarts",
	"PolynomialWithWarmUpLR": "polynomial", "polynomial": "polynomial",
	"CosineAnnealingLR": "cosine_annealing", "cosine_annealing": "cosine_annealing",
	"CosineAnnealingWarmRestarts": "cosine_annealing_warm_restarts", "cosine_annealing_warm_restarts": "cosine_annealing_warm_restarts",
}

// schedule reads lr_schedule. It asks only for the parameters that the type
// has; the others keep their defaults and are reported as without effect.
func (l *loader) schedule() {
	s, o := &l.c.Schedule, &l.c.Optimizer
	const p = "lr_schedule."
	at := l.place(p + "type")
	none := func(v float64) Val[float64] { return Val[float64]{v, at, "default"} }
	zero := func(v int) Val[int] { return Val[int]{v, at, "default"} }
	*s = Schedule{
		LREnd: none(0), WarmupInit: none(0), WarmupRatio: none(-1), WarmupSteps: zero(0), WarmupEpochs: zero(0),
		TotalSteps: zero(-1), DecaySteps: zero(0), NumCycles: none(0.5), Power: none(1), EtaMin: none(0),
		TMax: zero(1), T0: zero(1), TMult: zero(1),
	}
	if l.root.get("lr_schedule").empty() && l.preset == nil {
		// No schedule: the optimizer's rate, constant.
		o.LR = l.float("optimizer.learning_rate", 1e-3)
		s.Type, s.LR = Val[string]{"constant", o.LR.At, "default"}, o.LR
		return
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
	case "polynomial":
		s.Power = l.float(p+"power", 1)
		s.LREnd, s.DecaySteps = l.float(p+"lr_end", 1e-7), l.int(p+"decay_steps", 0)
	}
}

// rate reads the peak rate: the schedule's own wins over the optimizer's
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

// warmup reads the length of the warm-up: the ratio wins over the epochs, and
// those over the steps (r1.3 trainer/base_trainer.py).
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
			s.WarmupRatio.V = -1 // no warm-up was asked for
		}
	}
}
