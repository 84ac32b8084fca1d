package model

import (
	"math"

	"lorac/ir"
	"lorac/ir/diag"
)

// adapter emits a linear with its LoRA branch (Hu et al. 2021, eq. 3;
// MindFormers r1.3 pet/tuners/lora_adapter.py):
//
//	y = base + scale·(dropout(x)·Aᵀ)·Bᵀ,  scale = alpha/rank or, for rsLoRA, alpha/√rank
//
// as primitive statements; the pass fuse-lora makes one of them.
func (l *layerBuilder) adapter(leaf, name string, x, base *ir.Value, mat func(string, diag.Pos, string, *ir.Value, *ir.Storage) *ir.Value) *ir.Value {
	lora, s, full := l.g.c.LoRA, l.seg.storage, x
	if l.seeds != nil {
		x = l.b.Op1(lora.Dropout.At, "dropout", name+".drop", ir.Attrs{"p": lora.Dropout.V, "stream": l.g.stream(leaf)},
			ir.Val(x), ir.Val(l.seeds), ir.Val(l.b.F.Index))
	}
	xa := mat(name+".xa", lora.Rank.At, "lora", x, s[leaf+".a"])
	xab := mat(name+".xab", lora.Rank.At, "lora", xa, s[leaf+".b"])
	by := ir.Attrs{"by": l.g.c.ScaleOf(l.seg.layers.Lo, leaf)}
	delta := l.b.Op1(lora.Alpha.At, "scale", name+".delta", by, ir.Val(xab))
	if !l.g.c.OfBase() {
		return l.b.Op1(lora.TargetModules.At, "add", name, nil, ir.Val(base), ir.Val(delta))
	}
	// What the adapter started as is part of the base, and stays off the sum: the
	// frozen pair A₀, −B₀, which drops nothing.
	y := l.b.Op1(lora.TargetModules.At, "add", name+".both", nil, ir.Val(base), ir.Val(delta))
	xa0 := mat(name+".start.xa", lora.Init.At, "lora", full, s[leaf+".start.a"])
	xab0 := mat(name+".start.xab", lora.Init.At, "lora", xa0, s[leaf+".start.b"])
	off := l.b.Op1(lora.Init.At, "scale", name+".start", by.Clone(), ir.Val(xab0))
	return l.b.Op1(lora.Init.At, "add", name, nil, ir.Val(y), ir.Val(off))
}

// dora emits a linear with a DoRA adapter (Liu et al. 2024; PEFT 0.21's
// tuners/lora/variants.py), where m is the magnitudes and n the norms of the rows of
// W + scale·B·A:
//
//	y = (x − xd)·Wᵀ + z ∘ m/n + bias,  z = xd·Wᵀ + scale·(xd·Aᵀ)·Bᵀ,  xd = dropout(x)
//
// Without dropout the first product is zero, and z is the linear of plain LoRA, of which
// the pass fuse-lora makes one statement.
func (l *layerBuilder) dora(leaf, name string, x *ir.Value, mat func(string, diag.Pos, string, *ir.Value, *ir.Storage) *ir.Value) *ir.Value {
	lora, s, at := l.g.c.LoRA, l.seg.storage, l.g.c.LoRA.DoRA.At
	w, by := s[leaf+".w"], l.g.c.ScaleOf(l.seg.layers.Lo, leaf)
	norms := l.b.Op1(at, "row_norms", name+".norms", ir.Attrs{"by": by}, ir.Ref(w), ir.Ref(s[leaf+".a"]), ir.Ref(s[leaf+".b"]))
	xd := x
	if l.seeds != nil {
		xd = l.b.Op1(lora.Dropout.At, "dropout", name+".drop", ir.Attrs{"p": lora.Dropout.V, "stream": l.g.stream(leaf)},
			ir.Val(x), ir.Val(l.seeds), ir.Val(l.b.F.Index))
	}
	z := mat(name+".base", w.Pos, "linear", xd, w)
	xa := mat(name+".xa", lora.Rank.At, "lora", xd, s[leaf+".a"])
	xab := mat(name+".xab", lora.Rank.At, "lora", xa, s[leaf+".b"])
	delta := l.b.Op1(lora.Alpha.At, "scale", name+".delta", ir.Attrs{"by": by}, ir.Val(xab))
	z = l.b.Op1(lora.TargetModules.At, "add", name+".sum", nil, ir.Val(z), ir.Val(delta))
	bias := s[leaf+".bias"]
	named := func(last bool, part string) string { // the last statement has the plain name
		if last {
			return name
		}
		return name + part
	}
	y := l.b.Op1(at, "scale_cols", named(xd == x && bias == nil, ".scaled"), nil, ir.Val(z), ir.Ref(s[leaf+".magnitude"]), ir.Val(norms))
	if xd != x {
		minus := l.b.Op1(at, "scale", name+".minus", ir.Attrs{"by": -1.0}, ir.Val(xd))
		left := l.b.Op1(at, "add", name+".left", nil, ir.Val(x), ir.Val(minus))
		rest := mat(name+".rest", w.Pos, "linear", left, w)
		y = l.b.Op1(at, "add", named(bias == nil, ".both"), nil, ir.Val(y), ir.Val(rest))
	}
	if bias != nil {
		y = l.b.Op1(bias.Pos, "add_bias", name, nil, ir.Val(y), ir.Ref(bias))
	}
	return y
}

// start is how the factors of an adapter begin. Those that are parts of the base are
// made by the runtime, once it has the base.
func (g *graph) start(in, rank int) (a, b ir.Attrs) {
	a, b = ir.Attrs{"init": "uniform", "bound": 1 / math.Sqrt(float64(in))}, ir.Attrs{"init": "zeros"}
	switch how := g.c.LoRA.Init.V; {
	case how == "gaussian":
		a = ir.Attrs{"init": "normal", "bound": 1 / float64(rank)}
	case g.c.OfBase():
		a, b = ir.Attrs{"init": how}, ir.Attrs{"init": how}
	}
	return a, b
}

func (g *graph) stream(leaf string) int {
	for _, l := range g.linears() {
		if l.leaf == leaf {
			return l.stream
		}
	}
	panic("BUG: model: no linear " + leaf)
}
