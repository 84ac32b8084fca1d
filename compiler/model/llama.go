package model

import (
	"math"
	"strconv"

	"lorac/ir"
	"lorac/ir/diag"
)

// linear is one matrix of a decoder layer, under its MindFormers leaf name.
type linear struct {
	leaf    string // wq, …, w_gate_hidden
	path    string // parameter name below model.layers.{i}.
	in, out int
	stream  int // which random mask its adapter's dropout draws
}

// linears lists the matrices of one layer in execution order.
func (g *graph) linears() []linear {
	c, hd := g.c.Model, g.c.Model.HeadDim.V
	hidden, q, kv, ffn := c.Hidden.V, c.Heads.V*hd, c.KVHeads.V*hd, c.FFN.V
	if c.QKVConcat.V {
		return []linear{
			{"w_qkv", "attention.w_qkv", hidden, q + 2*kv, 0},
			{"wo", "attention.wo", q, hidden, 3},
			{"w_gate_hidden", "feed_forward.w_gate_hidden", hidden, 2 * ffn, 4},
			{"w2", "feed_forward.w2", ffn, hidden, 5},
		}
	}
	return []linear{
		{"wq", "attention.wq", hidden, q, 0},
		{"wk", "attention.wk", hidden, kv, 1},
		{"wv", "attention.wv", hidden, kv, 2},
		{"wo", "attention.wo", q, hidden, 3},
		{"w1", "feed_forward.w1", hidden, ffn, 4},
		{"w2", "feed_forward.w2", ffn, hidden, 5},
		{"w3", "feed_forward.w3", hidden, ffn, 6},
	}
}

// layerFunc builds the forward function of the layers of a segment:
//
//	mid = x + Wo·attention(rope(Wq·n1), rope(Wk·n1), Wv·n1),  n1 = rmsnorm(x)
//	out = mid + W2·(silu(W1·n2) ∘ W3·n2),                     n2 = rmsnorm(mid)
//
// (Touvron et al. 2023; MindFormers r1.3 models/llama/llama_transformer.py).
// Without dropout it is the function evaluation runs. Cached, it goes on with
// one sequence whose keys and values it remembers.
func (g *graph) layerFunc(name string, seg *segment, dropout, cached bool) *ir.Func {
	f := &ir.Func{Name: name}
	b := ir.NewBuilder(f)
	f.Index = &ir.Value{Name: b.Name("i"), Type: ir.Scalar(ir.I32)}
	l := &layerBuilder{g: g, b: b, seg: seg}
	c := &g.c.Model
	l.x = b.Param("x", rows(c.Hidden.V))
	l.pos = b.Param("pos", ir.Tensor(ir.I32, ir.Sym("T")))
	if !cached {
		l.starts = b.Param("starts", ir.Tensor(ir.I32, ir.Sym("N")))
	}
	if dropout {
		l.keys = b.Param("keys", ir.Tensor(ir.I64, ir.Sym("T")))
	}

	n1 := l.norm("norm1", l.x)
	q, k, v := l.qkv(n1)
	rope := ir.Attrs{"head_dim": c.HeadDim.V}
	q = b.Op1(c.Theta.At, "rope", "q.rope", rope, ir.Val(q), ir.Val(l.pos), ir.Ref(g.cos), ir.Ref(g.sin))
	k = b.Op1(c.Theta.At, "rope", "k.rope", rope.Clone(), ir.Val(k), ir.Val(l.pos), ir.Ref(g.cos), ir.Ref(g.sin))
	heads := ir.Attrs{"heads": c.Heads.V, "kv_heads": c.KVHeads.V, "scale": 1 / math.Sqrt(float64(c.HeadDim.V))}
	var o *ir.Value
	if cached {
		o = b.Op1(c.Heads.At, "cached_attention", "o", heads, ir.Val(q), ir.Val(k), ir.Val(v), ir.Val(l.pos), ir.Ref(seg.storage["keys"]), ir.Ref(seg.storage["values"]))
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
	g                    *graph
	b                    *ir.Builder
	seg                  *segment
	x, pos, starts, keys *ir.Value
}

func (l *layerBuilder) norm(name string, x *ir.Value) *ir.Value {
	eps := l.g.c.Model.RMSEps
	r := l.b.Op(eps.At, "rmsnorm", []string{name, "rstd" + name[len("norm"):]}, ir.Attrs{"eps": eps.V},
		ir.Val(x), ir.Ref(l.seg.storage[name]))
	return r[0]
}

func (l *layerBuilder) qkv(n *ir.Value) (q, k, v *ir.Value) {
	c := &l.g.c.Model
	if !c.QKVConcat.V {
		return l.linear("wq", "q", n), l.linear("wk", "k", n), l.linear("wv", "v", n)
	}
	qkv := l.linear("w_qkv", "qkv", n)
	hd := c.HeadDim.V
	parts := l.b.Op(c.QKVConcat.At, "split_cols", []string{"q", "k", "v"},
		ir.Attrs{"widths": []any{c.Heads.V * hd, c.KVHeads.V * hd, c.KVHeads.V * hd}}, ir.Val(qkv))
	return parts[0], parts[1], parts[2]
}

func (l *layerBuilder) gateUp(n *ir.Value) (gate, up *ir.Value) {
	c := &l.g.c.Model
	if !c.QKVConcat.V {
		return l.linear("w1", "gate", n), l.linear("w3", "up", n)
	}
	both := l.linear("w_gate_hidden", "gate_up", n)
	parts := l.b.Op(c.QKVConcat.At, "split_cols", []string{"gate", "up"}, ir.Attrs{"widths": []any{c.FFN.V, c.FFN.V}}, ir.Val(both))
	return parts[0], parts[1]
}

// linear emits y = x·Wᵀ, plus the adapter where target_modules selects the leaf.
func (l *layerBuilder) linear(leaf, name string, x *ir.Value) *ir.Value {
	w := l.seg.storage[leaf+".w"]
	mat := func(out string, pos diag.Pos, group string, a *ir.Value, w *ir.Storage) *ir.Value {
		return l.b.Op1(pos, "matmul", out, ir.Attrs{"trans": "rhs", "group": group}, ir.Val(a), ir.Ref(w))
	}
	if !l.g.adapted[l.seg.layers.Lo][leaf] {
		return mat(name, w.Pos, "linear", x, w)
	}
	return l.adapter(leaf, name, x, mat)
}

// rootOf says what a root takes and gives: the keys of random masks, the loss
// instead of logits, one text that goes on instead of whole sequences.
type rootOf struct{ keys, loss, cached bool }

// root builds a function from token ids to the loss, or to logits.
func (g *graph) root(name string, layers []*ir.Func, of rootOf) *ir.Func {
	f := &ir.Func{Name: name, Entry: true}
	b := ir.NewBuilder(f)
	c := &g.c.Model
	ints := func(name, dim string) *ir.Value { return b.Param(name, ir.Tensor(ir.I32, ir.Sym(dim))) }
	tokens, pos := ints("tokens", "T"), ints("pos", "T")
	args := []ir.Operand{{}, ir.Val(pos)}
	if !of.cached {
		args = append(args, ir.Val(ints("starts", "N")))
	}
	if of.keys {
		args = append(args, ir.Val(b.Param("keys", ir.Tensor(ir.I64, ir.Sym("T")))))
	}
	live := ints("rows", "S")

	x := b.Op1(c.Vocab.At, "embed", "x0", nil, ir.Val(tokens), ir.Ref(g.embed))
	for i, fn := range layers {
		args[0] = ir.Val(x)
		seg := g.segments[i]
		x = b.Repeat(c.Layers.At, fn, seg.layers, []string{"x" + strconv.Itoa(seg.layers.Hi+1)}, append([]ir.Operand(nil), args...)...)[0]
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

func rows(cols int) ir.Type { return ir.Tensor(ir.F32, ir.Sym("T"), ir.N(cols)) }
