package model

import "lorac/ir"

// update builds the optimizer step over all trainable storages: the norm of
// the gradients, the clip coefficient if asked for, one AdamW per storage,
// and gradients back to zero. Matrices decay, vectors do not (MindFormers
// r1.3 trainer/optimizer_grouped_parameters.py).
func (g *graph) update() *ir.Func {
	f := &ir.Func{Name: "update", Entry: true}
	b := ir.NewBuilder(f)
	opt := &g.c.Optimizer
	lr, t := b.Param("lr", ir.Scalar(ir.F32)), b.Param("t", ir.Scalar(ir.I32))

	var grads []ir.Operand
	for _, p := range g.trainable() {
		grads = append(grads, ir.Ref(g.m.GradOf(p)))
	}
	norm := b.Op1(g.c.Wrapper.UseClip.At, "norm", "norm", nil, grads...)
	extra := []ir.Operand{ir.Val(lr), ir.Val(t)}
	if g.c.Wrapper.UseClip.V {
		coef := b.Op1(g.c.Wrapper.MaxNorm.At, "clip", "coef", ir.Attrs{"max": g.c.Wrapper.MaxNorm.V, "rule": opt.Rule}, ir.Val(norm))
		extra = append(extra, ir.Val(coef))
	}
	for _, p := range g.trainable() {
		wd := opt.WeightDecay.V
		if p.Type.Rank() == 1 {
			wd = 0
		}
		args := []ir.Operand{ir.Ref(p), ir.Ref(g.m.GradOf(p)), ir.Ref(g.m.Storage(p.Name + ".m")), ir.Ref(g.m.Storage(p.Name + ".v"))}
		b.Op(opt.Type.At, "adamw", nil, ir.Attrs{
			"beta1": opt.Beta1.V, "beta2": opt.Beta2.V, "eps": opt.Eps.V, "weight_decay": wd, "rule": opt.Rule,
		}, append(args, extra...)...)
	}
	b.Op(opt.Type.At, "zero", nil, nil, grads...)
	f.Results = []*ir.Value{norm}
	return f
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
