package model

import (
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
	lora, s := l.g.c.LoRA, l.seg.storage
	if l.seeds != nil {
		x = l.b.Op1(lora.Dropout.At, "dropout", name+".drop", ir.Attrs{"p": lora.Dropout.V, "stream": l.g.stream(leaf)},
			ir.Val(x), ir.Val(l.seeds), ir.Val(l.b.F.Index))
	}
	xa := mat(name+".xa", lora.Rank.At, "lora", x, s[leaf+".a"])
	xab := mat(name+".xab", lora.Rank.At, "lora", xa, s[leaf+".b"])
	delta := l.b.Op1(lora.Alpha.At, "scale", name+".delta", ir.Attrs{"by": l.g.c.ScaleOf(l.seg.layers.Lo, leaf)}, ir.Val(xab))
	return l.b.Op1(lora.TargetModules.At, "add", name, nil, ir.Val(base), ir.Val(delta))
}

func (g *graph) stream(leaf string) int {
	for _, l := range g.linears() {
		if l.leaf == leaf {
			return l.stream
		}
	}
	panic("BUG: model: no linear " + leaf)
}
