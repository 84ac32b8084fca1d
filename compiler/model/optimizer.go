package model

import (
	"strings"

	"lorac/compiler/config"
	"lorac/ir"
)

// update builds the optimizer step over all trainable storages: the norm of
// the gradients, the clip coefficient if asked for, one step of the optimizer
// per storage, and gradients back to zero. Matrices decay, vectors do not
// (MindFormers r1.3 trainer/optimizer_grouped_parameters.py; see config.Decays).
func (g *graph) update() *ir.Func {
	f := &ir.Func{Name: "update", Entry: true, Doc: "one optimizer step; returns the norm of the gradients, which are zero again"}
	b := ir.NewBuilder(f)
	opt := &g.c.Optimizer
	lr, t := b.Param("lr", ir.Scalar(ir.F32)), b.Param("step", ir.Scalar(ir.I32))

	var grads []ir.Operand
	for _, p := range g.trainable() {
		grads = append(grads, ir.Ref(g.m.GradOf(p)))
	}
	norm := b.Op1(g.c.Wrapper.UseClip.At, "norm", "norm", nil, grads...)
	extra := []ir.Operand{ir.Val(lr), ir.Val(t)}
	if g.c.Wrapper.UseClip.V {
		// MindFormers' rule whatever the optimizer (r1.3 core/clip_grad.py).
		coef := b.Op1(g.c.Wrapper.MaxNorm.At, "clip", "coef", ir.Attrs{"max": g.c.Wrapper.MaxNorm.V, "rule": "mindformers"}, ir.Val(norm))
		extra = append(extra, ir.Val(coef))
	}
	for _, p := range g.trainable() {
		r := ruleOf(opt, p)
		if !g.c.Decays() {
			r.attrs = r.attrs.With("weight_decay", 0.0)
		}
		if lora := g.c.LoRA; lora != nil && lora.LRRatio.V != 1 && p.Adapter() && !strings.HasSuffix(p.Name, ".a") { // B, and magnitudes as in PEFT
			r.attrs = r.attrs.With("lr_ratio", lora.LRRatio.V)
		}
		args := []ir.Operand{ir.Ref(p), ir.Ref(g.m.GradOf(p))}
		for _, s := range r.states {
			args = append(args, ir.Ref(g.m.Storage(p.Name+"."+s.name)))
		}
		b.Op(opt.Type.At, r.op, nil, r.attrs, append(args, extra...)...)
	}
	b.Op(opt.Type.At, "zero", nil, nil, grads...)
	f.Results = []*ir.Value{norm}
	return f
}

// rule is how an optimizer treats one parameter: the op, its attributes, and
// what it remembers.
type rule struct {
	op     string
	attrs  ir.Attrs
	states []state
}

// state is one thing remembered, as large as the parameter unless it has one
// element for each row (side 0) or column (side 1).
type state struct {
	name string
	side int
}

func whole(names ...string) (out []state) {
	for _, n := range names {
		out = append(out, state{n, -1})
	}
	return out
}

func ruleOf(o *config.Optimizer, p *ir.Storage) rule {
	matrix := p.Type.Rank() == 2
	wd := o.WeightDecay.V
	if !matrix {
		wd = 0 // the group without decay
	}
	adam := ir.Attrs{"beta1": o.Beta1.V, "beta2": o.Beta2.V, "eps": o.Eps.V, "weight_decay": wd}
	switch o.Rule {
	case "mindformers", "torch":
		return rule{"adamw", adam.With("rule", o.Rule), whole("m", "v")}
	case "adam":
		return rule{"adam", adam.With("nesterov", o.Nesterov.V), whole("m", "v")}
	case "lamb":
		return rule{"lamb", adam, whole("m", "v")}
	case "adagrad":
		return rule{"adagrad", ir.Attrs{"accum": o.Accum.V, "weight_decay": wd}, whole("h")}
	case "momentum":
		return rule{"momentum", ir.Attrs{"momentum": o.Momentum.V, "dampening": 0.0, "nesterov": o.Nesterov.V, "weight_decay": wd}, whole("v")}
	case "sgd":
		wd = o.WeightDecay.V // SGD knows no groups (MindSpore nn/optim/sgd.py)
		if o.Momentum.V == 0 {
			return rule{"sgd", ir.Attrs{"weight_decay": wd}, nil}
		}
		return rule{"momentum", ir.Attrs{"momentum": o.Momentum.V, "dampening": o.Dampening.V, "nesterov": o.Nesterov.V, "weight_decay": wd}, whole("v")}
	case "adafactor", "came":
		attrs := ir.Attrs{"eps1": o.Eps.V, "eps2": o.Eps2.V, "clip_threshold": o.ClipThreshold.V, "decay_rate": o.DecayRate.V, "beta1": o.Beta1.V,
			"weight_decay":    o.WeightDecay.V, // of all parameters, as the original
			"scale_parameter": o.ScaleParameter.V, "relative_step": o.RelativeStep.V, "warmup_init": o.WarmupInit.V}
		if o.Rule == "came" {
			attrs["eps3"], attrs["beta3"] = o.Eps3.V, o.Beta3.V
		}
		if !matrix {
			return rule{o.Rule + "_vector", attrs, whole("m", "v")}
		}
		states := append(whole("m"), state{"row", 0}, state{"col", 1})
		if o.Rule == "came" {
			states = append(states, state{"drow", 0}, state{"dcol", 1})
		}
		return rule{o.Rule, attrs, states}
	}
	panic("BUG: model: no optimizer follows the rule " + o.Rule)
}

// trainable lists the trainable parameters in declaration order.
func (g *graph) trainable() []*ir.Storage {
	var out []*ir.Storage
	for _, s := range g.m.Storages {
		if s.Kind == ir.Param && s.Trainable {
			out = append(out, s)
		}
	}
	return out
}
