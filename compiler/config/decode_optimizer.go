package config

import (
	"slices"
	"strings"
)

// optimizers are the classes and aliases of MindFormers (r1.3
// core/optim/build_optim.py) by the rule they follow. The alias adamw is
// AdamWeightDecay, not AdamW: no bias correction.
var optimizers = map[string]string{
	"FP32StateAdamWeightDecay": "mindformers", "fp32_adamw": "mindformers",
	"AdamWeightDecay": "mindformers", "adamw": "mindformers",
	"FusedAdamWeightDecay": "mindformers", "fused_adamw": "mindformers",
	"FusedCastAdamWeightDecay": "mindformers", "AdamWeightDecayX": "mindformers",
	"AdamW": "torch", "FusedAdamW": "torch",
	"Adam": "adam", "adam": "adam", "AdamOffload": "adam", "LazyAdam": "adam",
	"SGD": "sgd", "sgd": "sgd", "Momentum": "momentum",
	"Adagrad": "adagrad", "adagrad": "adagrad",
	"Lamb":      "lamb",
	"AdaFactor": "adafactor", "adafactor": "adafactor",
	"Came": "came",
}

// Class is the first name, in alphabetical order, of the classes that follow the
// optimizer's rule: the same for all spellings of one optimizer.
func (o *Optimizer) Class() string {
	for _, name := range sortedKeys(optimizers) {
		if optimizers[name] == o.Rule {
			return name
		}
	}
	return o.Type.V
}

// noOptimizers are optimizer classes of MindFormers that are not supported, with
// the reason.
var noOptimizers = map[string]string{
	"ASGD": onlySmall, "Adadelta": onlySmall, "AdaMax": onlySmall, "FTRL": onlySmall, "ProximalAdagrad": onlySmall,
	"RMSProp": onlySmall, "Rprop": onlySmall,
	"LARS": "it wraps another optimizer, which YAML cannot give it", "AdaSumByGradWrapCell": "it wraps another optimizer, which YAML cannot give it",
	"AdaSumByDeltaWeightWrapCell": "it wraps another optimizer, which YAML cannot give it",
	"thor":                        "it needs second-order statistics of each layer", "Muon": "it orthogonalises matrices of a whole cluster",
	"PmaAdamW": "it averages checkpoints", "FusedPmaAdamW": "it averages checkpoints",
}

const onlySmall = "no public Llama config uses it"

// epsOf is the default of eps by rule (MindSpore r2.3 nn/optim, MindFormers r1.3
// core/optim).
var epsOf = map[string]float64{"mindformers": 1e-6, "torch": 1e-8, "adam": 1e-8, "lamb": 1e-6}

// optimizer reads the parameters of the rule; others keep the zero value.
func (l *loader) optimizer() {
	o := &l.c.Optimizer
	const p = "optimizer."
	if n := l.root.get(p + "type"); n != nil {
		if why := noOptimizers[n.raw]; why != "" {
			l.errorf(n.pos, "refused", "the optimizer `%s` is not supported", n.raw).WithLabel("%s", why).
				WithHelp("AdamW is the closest to most; all: %s", strings.Join(sortedKeys(optimizers), ", "))
			l.bad[n.pos] = true
		}
	}
	o.Type, o.Rule = l.choice(p+"type", "FP32StateAdamWeightDecay", optimizers)
	o.WeightDecay = l.float(p+"weight_decay", 0)
	switch o.Rule {
	case "mindformers", "torch", "adam", "lamb":
		if betas := l.root.get(p + "betas"); !betas.empty() {
			l.betas(betas)
		} else {
			o.Beta1, o.Beta2 = l.float(p+"beta1", 0.9), l.float(p+"beta2", 0.999)
		}
		o.Eps = l.float(p+"eps", epsOf[o.Rule])
		if o.Rule == "adam" {
			o.Nesterov = l.bool(p+"use_nesterov", false)
		}
	case "sgd":
		o.Momentum, o.Dampening, o.Nesterov = l.float(p+"momentum", 0), l.float(p+"dampening", 0), l.bool(p+"nesterov", false)
		if o.Nesterov.V && (o.Momentum.V <= 0 || o.Dampening.V != 0) {
			l.errorf(o.Nesterov.At, "mismatch", "`nesterov` needs a momentum above 0 and no dampening").WithLabel("momentum %v, dampening %v", o.Momentum.V, o.Dampening.V)
		}
	case "momentum":
		if !l.given(p + "momentum") {
			l.errorf(o.Type.At, "missing", "Momentum needs `momentum`").WithHelp("momentum: 0.9 is usual; SGD has a default, 0")
		}
		o.Momentum, o.Nesterov = l.float(p+"momentum", 0.9), l.bool(p+"use_nesterov", false)
	case "adagrad":
		o.Accum = l.float(p+"accum", 0.1)
	case "adafactor", "came":
		l.factored()
	}
}

// factored reads the parameters of AdaFactor and Came. AdaFactor's relative_step is
// True by default and excludes a learning rate, as in MindSpore; Came has none
// (core/optim/came.py of MindFormers).
func (l *loader) factored() {
	o := &l.c.Optimizer
	const p = "optimizer."
	defs, into := []float64{1e-30, 1e-3}, []*Val[float64]{&o.Eps, &o.Eps2}
	if o.Rule == "came" {
		defs, into = append(defs, 1e-16), append(into, &o.Eps3)
		o.Beta3 = l.float(p+"beta3", 0.99)
	}
	list := l.floats(p+"eps", defs)
	for i, e := range into {
		*e = Val[float64]{list.V[i], list.At, list.Origin}
	}
	o.ClipThreshold, o.DecayRate, o.Beta1 = l.float(p+"clip_threshold", 1), l.float(p+"decay_rate", 0.8), l.float(p+"beta1", 0.9)
	o.ScaleParameter, o.RelativeStep = l.bool(p+"scale_parameter", o.Rule != "came"), l.bool(p+"relative_step", o.Rule != "came")
	o.WarmupInit = l.bool(p+"warmup_init", false)
	scheduled := !l.root.get("lr_schedule").empty()
	switch rate := scheduled || l.given(p+"learning_rate"); {
	case o.Rule == "came" && o.RelativeStep.V:
		l.errorf(o.RelativeStep.At, "mismatch", "Came has no relative steps").
			WithHelp("set relative_step: False, its default, and a learning rate").WithNote("MindFormers would train with learning rate 0")
	case rate && o.RelativeStep.V:
		l.errorf(o.RelativeStep.At, "mismatch", "`relative_step` computes the learning rate, but one is given").WithLabel("True unless given").
			WithHelp("set relative_step: False to keep your rate, or remove lr_schedule and learning_rate").WithNote("MindSpore refuses the two together, too")
	case !rate && !o.RelativeStep.V:
		l.errorf(o.RelativeStep.At, "missing", "without `relative_step` a learning rate is needed").WithHelp("write lr_schedule, or optimizer.learning_rate")
	case o.WarmupInit.V && !o.RelativeStep.V:
		l.errorf(o.WarmupInit.At, "mismatch", "`warmup_init` acts with relative_step only").WithHelp("use an lr_schedule with warm-up")
	}
	if scheduled && o.Rule == "adafactor" && o.ScaleParameter.V {
		o.ScaleParameter.V = false // MindSpore does not scale a schedule (nn/optim/adafactor.py, scale_lr)
	}
}

// betas reads the pair of coefficients of AdamW.
func (l *loader) betas(n *node) {
	o := &l.c.Optimizer
	list := l.floats("optimizer.betas", []float64{0.9, 0.999})
	o.Beta1, o.Beta2 = Val[float64]{list.V[0], n.pos, list.Origin}, Val[float64]{list.V[1], n.pos, list.Origin}
	if len(n.items) == 2 {
		o.Beta1.At, o.Beta2.At = n.items[0].pos, n.items[1].pos
	}
}

// floats reads a list of numbers, as long as the default.
func (l *loader) floats(path string, def []float64) Val[[]float64] {
	kind := map[int]string{2: "a list of two numbers", 3: "a list of three numbers"}[len(def)]
	return read(l, path, def, kind, func(n *node) ([]float64, bool) {
		var out []float64
		for _, item := range n.items {
			v, ok := l.asFloat(item)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, len(out) == len(def)
	})
}

// optimizerRules checks the numbers of the optimizer.
func (l *loader) optimizerRules() {
	o := &l.c.Optimizer
	within := func(name string, v Val[float64], ok bool, where string) {
		if v.At.Known() && !ok {
			l.errorf(v.At, "range", "`%s` must %s, not %v", name, where, v.V)
		}
	}
	open := func(x float64) bool { return x > 0 && x < 1 }
	const inside = "be in (0, 1)"
	factored := slices.Contains([]string{"adafactor", "came"}, o.Rule)
	if factored {
		within("beta1", o.Beta1, o.Beta1.V >= 0 && o.Beta1.V < 1, "be in [0, 1)")
		within("decay_rate", o.DecayRate, open(o.DecayRate.V), inside)
		within("clip_threshold", o.ClipThreshold, o.ClipThreshold.V > 0, "be positive")
		within("beta3", o.Beta3, open(o.Beta3.V), inside)
	} else {
		within("beta1", o.Beta1, open(o.Beta1.V), inside)
	}
	within("beta2", o.Beta2, open(o.Beta2.V), inside)
	for _, e := range []Val[float64]{o.Eps, o.Eps2, o.Eps3} {
		within("eps", e, e.V > 0, "be positive")
	}
	within("momentum", o.Momentum, o.Momentum.V >= 0, "not be negative")
	within("dampening", o.Dampening, o.Dampening.V >= 0, "not be negative")
	within("accum", o.Accum, o.Accum.V >= 0, "not be negative")
	within("weight_decay", o.WeightDecay, o.WeightDecay.V >= 0, "not be negative")
}
