package model

import (
	"math"

	"lorac/compiler/config"
	"lorac/ir"
	"lorac/ir/diag"
)

// linear is one matrix of a decoder layer, under its MindFormers leaf name.
type linear struct {
	leaf    string // wq, …, w_gate_hidden
	path    string // parameter name below model.layers.{i}.
	in, out ir.Dim
	stream  int // which random mask its adapter's dropout draws
}

// linears lists the matrices of one layer in execution order.
func (g *graph) linears() []linear {
	hidden, q, kv, ffn := g.dim("hidden"), g.dim("q_width"), g.dim("kv_width"), g.dim("ffn")
	list := []linear{
		{"wq", "", hidden, q, 0},
		{"wk", "", hidden, kv, 1},
		{"wv", "", hidden, kv, 2},
		{"wo", "", q, hidden, 3},
		{"w1", "", hidden, ffn, 4},
		{"w2", "", ffn, hidden, 5},
		{"w3", "", hidden, ffn, 6},
	}
	if g.c.Model.QKVConcat.V {
		list = []linear{
			{"w_qkv", "", hidden, g.dim("qkv_width"), 0},
			{"wo", "", q, hidden, 3},
			{"w_gate_hidden", "", hidden, g.dim("gate_up_width"), 4},
			{"w2", "", ffn, hidden, 5},
		}
	}
	for i := range list {
		list[i].path = config.LinearPath(list[i].leaf)
	}
	return list
}

// layerFunc builds the forward function of the layers of a segment:
//
//	mid = x + Wo·attention(rope(Wq·n1), rope(Wk·n1), Wv·n1),  n1 = rmsnorm(x)
//	out = mid + W2·(silu(W1·n2) ∘ W3·n2),                     n2 = rmsnorm(mid)
//
// (Touvron et al. 2023; MindFormers r1.3 models/llama/llama_transformer.py).
// Without dropout it is the function evaluation runs. Cached, it continues texts
// whose keys and values it remembers.
func (g *graph) layerFunc(name string, seg *segment, dropout, cached bool) *ir.Func {
	f := &ir.Func{Name: name, Doc: "one decoder layer"}
	switch {
	case cached:
		f.Doc += " over the next rows of some texts, whose earlier keys and values are cached"
	case dropout:
		f.Doc += ", with dropout"
	case g.c.LoRA != nil && g.c.LoRA.Dropout.V > 0:
		f.Doc += ", without dropout"
	}
	b := ir.NewBuilder(f)
	f.Index = &ir.Value{Name: b.Name("i"), Type: ir.Scalar(ir.I32)}
	l := &layerBuilder{g: g, b: b, seg: seg}
	c := &g.c.Model
	l.x = b.Param("x", ir.Tensor(ir.F32, ir.Sym("T"), g.dim("hidden")))
	l.pos = b.Param("pos", ir.Tensor(ir.I32, ir.Sym("T")))
	l.starts = b.Param("starts", ir.Tensor(ir.I32, ir.Sym("N")))
	if cached {
		l.base = b.Param("base", ir.Tensor(ir.I32, ir.Sym("N")))
	}
	if dropout {
		l.seeds = b.Param("seeds", ir.Tensor(ir.I64, ir.Sym("T")))
	}

	n1 := l.norm("norm1", l.x)
	q, k, v := l.qkv(n1)
	rope := ir.Attrs{"head_dim": g.dim("head_dim")}
	q = b.Op1(c.Theta.At, "rope", "query.rope", rope, ir.Val(q), ir.Val(l.pos), ir.Ref(g.cos), ir.Ref(g.sin))
	k = b.Op1(c.Theta.At, "rope", "key.rope", rope.Clone(), ir.Val(k), ir.Val(l.pos), ir.Ref(g.cos), ir.Ref(g.sin))
	heads := ir.Attrs{"heads": g.dim("heads"), "kv_heads": g.dim("kv_heads"), "scale": 1 / math.Sqrt(float64(c.HeadDim.V))}
	var o *ir.Value
	if cached {
		o = b.Op1(c.Heads.At, "cached_attention", "o", heads, ir.Val(q), ir.Val(k), ir.Val(v), ir.Val(l.pos), ir.Ref(seg.storage["keys"]), ir.Ref(seg.storage["values"]), ir.Val(l.starts), ir.Val(l.base))
	} else {
		o = b.Op(c.Heads.At, "attention", []string{"o", "lse"}, heads, ir.Val(q), ir.Val(k), ir.Val(v), ir.Val(l.starts))[0]
	}
	attn := l.linear("wo", "attn", o)
	mid := b.Op1(c.Hidden.At, "add", "mid", nil, ir.Val(l.x), ir.Val(attn))

	n2 := l.norm("norm2", mid)
	gate, up := l.gateUp(n2)
	silu := b.Op1(c.FFN.At, "silu", "silu", nil, ir.Val(gate))
	h := b.Op1(c.FFN.At, "mul", "h", nil, ir.Val(silu), ir.Val(up))
	down := l.linear("w2", "down", h)
	out := b.Op1(c.Hidden.At, "add", "out", nil, ir.Val(mid), ir.Val(down))
	f.Results = []*ir.Value{out}
	return f
}

// layerBuilder holds what the statements of one layer share.
type layerBuilder struct {
	g                           *graph
	b                           *ir.Builder
	seg                         *segment
	x, pos, starts, base, seeds *ir.Value
}

func (l *layerBuilder) norm(name string, x *ir.Value) *ir.Value {
	eps := l.g.c.Model.RMSEps
	r := l.b.Op(eps.At, "rmsnorm", []string{name, "rstd" + name[len("norm"):]}, ir.Attrs{"eps": eps.V},
		ir.Val(x), ir.Ref(l.seg.storage[name]))
	return r[0]
}

func (l *layerBuilder) qkv(n *ir.Value) (query, key, value *ir.Value) {
	c := &l.g.c.Model
	if !c.QKVConcat.V {
		return l.linear("wq", "query", n), l.linear("wk", "key", n), l.linear("wv", "value", n)
	}
	qkv := l.linear("w_qkv", "qkv", n)
	q, kv := l.g.dim("q_width"), l.g.dim("kv_width")
	parts := l.b.Op(c.QKVConcat.At, "split_cols", []string{"query", "key", "value"}, ir.Attrs{"widths": []any{q, kv, kv}}, ir.Val(qkv))
	return parts[0], parts[1], parts[2]
}

func (l *layerBuilder) gateUp(n *ir.Value) (gate, up *ir.Value) {
	c := &l.g.c.Model
	if !c.QKVConcat.V {
		return l.linear("w1", "gate", n), l.linear("w3", "up", n)
	}
	both := l.linear("w_gate_hidden", "gate_up", n)
	parts := l.b.Op(c.QKVConcat.At, "split_cols", []string{"gate", "up"}, ir.Attrs{"widths": []any{l.g.dim("ffn"), l.g.dim("ffn")}}, ir.Val(both))
	return parts[0], parts[1]
}

// linear emits y = x·Wᵀ, plus the bias where the config has it and the adapter where target_modules selects the leaf.
func (l *layerBuilder) linear(leaf, name string, x *ir.Value) *ir.Value {
	w := l.seg.storage[leaf+".w"]
	mat := func(out string, pos diag.Pos, group string, a *ir.Value, w *ir.Storage) *ir.Value {
		return l.b.Op1(pos, "matmul", out, ir.Attrs{"trans": "rhs", "group": group}, ir.Val(a), ir.Ref(w))
	}
	// base is x·Wᵀ, and the bias where there is one.
	base := func(out string) *ir.Value {
		bias := l.seg.storage[leaf+".bias"]
		if bias == nil {
			return mat(out, w.Pos, "linear", x, w)
		}
		return l.b.Op1(bias.Pos, "add_bias", out, nil, ir.Val(mat(name+".product", w.Pos, "linear", x, w)), ir.Ref(bias))
	}
	if !l.g.adapted[l.seg.layers.Lo][leaf] {
		return base(name)
	}
	if l.g.c.UsesDoRA() {
		return l.dora(leaf, name, x, mat)
	}
	return l.adapter(leaf, name, x, base(name+".base"), mat)
}

// rootOf says what a root takes and gives: the seeds of random masks, the loss
// instead of logits, texts that are continued instead of whole sequences.
type rootOf struct{ seeds, loss, cached bool }

func (of rootOf) doc() string {
	switch {
	case of.seeds:
		return "the loss of a micro-batch, with dropout"
	case of.loss:
		return "the loss of a micro-batch"
	case of.cached:
		return "the logits of the chosen rows of texts that are continued"
	}
	return "the logits of the chosen rows"
}

// root builds a function from token ids to the loss, or to logits.
func (g *graph) root(name string, layers []*ir.Func, of rootOf) *ir.Func {
	f := &ir.Func{Name: name, Entry: true, Doc: of.doc()}
	b := ir.NewBuilder(f)
	c := &g.c.Model
	ints := func(name, dim string) *ir.Value { return b.Param(name, ir.Tensor(ir.I32, ir.Sym(dim))) }
	tokens, pos := ints("tokens", "T"), ints("pos", "T")
	args := []ir.Operand{{}, ir.Val(pos)}
	args = append(args, ir.Val(ints("starts", "N")))
	if of.cached {
		args = append(args, ir.Val(ints("base", "N")))
	}
	if of.seeds {
		args = append(args, ir.Val(b.Param("seeds", ir.Tensor(ir.I64, ir.Sym("T")))))
	}
	live := ints("rows", "S")

	x := b.Op1(c.Vocab.At, "embed", "embedded", nil, ir.Val(tokens), ir.Ref(g.embed))
	for i, fn := range layers {
		args[0] = ir.Val(x)
		seg := g.segments[i]
		x = b.Repeat(c.Layers.At, fn, seg.layers, []string{"x"}, append([]ir.Operand(nil), args...)...)[0]
	}
	norm := b.Op(c.RMSEps.At, "rmsnorm", []string{"norm", "rstd"}, ir.Attrs{"eps": c.RMSEps.V}, ir.Val(x), ir.Ref(g.norm))[0]
	logits := b.Op1(c.Vocab.At, "matmul", "logits", ir.Attrs{"trans": "rhs", "group": "head"}, ir.Val(norm), ir.Ref(g.head))
	out := b.Op1(c.Vocab.At, "gather_rows", "live", nil, ir.Val(logits), ir.Val(live))
	if of.loss {
		targets := ints("targets", "S")
		weights := b.Param("weights", ir.Tensor(ir.F32, ir.Sym("S")))
		out = b.Op1(c.IgnoreID.At, "cross_entropy", "loss", nil, ir.Val(out), ir.Val(targets), ir.Val(weights))
	}
	f.Results = []*ir.Value{out}
	return f
}
