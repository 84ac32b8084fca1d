package model

import (
	"fmt"

	"lorac/compiler/config"
	"lorac/ir"
)

// sizes declares the numbers of the graph by what they count. Types name them,
// so that dumps and the emitted program never take one for another.
func (g *graph) sizes() (out []*ir.Size) {
	m := &g.c.Model
	add := func(name, letter, doc string, n int, at config.Pos) {
		out = append(out, &ir.Size{Name: name, N: n, Attrs: ir.Attrs{"letter": letter, "doc": doc}, Pos: at})
	}
	add("hidden", "C", "width of the residual stream", m.Hidden.V, m.Hidden.At)
	add("layers", "L", "decoder layers", m.Layers.V, m.Layers.At)
	add("heads", "H", "query heads", m.Heads.V, m.Heads.At)
	add("kv_heads", "G", "key and value heads", m.KVHeads.V, m.KVHeads.At)
	add("head_dim", "D", "width of a head", m.HeadDim.V, m.HeadDim.At)
	add("head_pairs", "D/2", "rotary pairs of a head", m.HeadDim.V/2, m.HeadDim.At)
	add("q_width", "Q", "width of all query heads", m.Heads.V*m.HeadDim.V, m.Heads.At)
	add("kv_width", "K", "width of all key heads, and of all value heads", m.KVHeads.V*m.HeadDim.V, m.KVHeads.At)
	add("ffn", "F", "width of the feed-forward network", m.FFN.V, m.FFN.At)
	if m.QKVConcat.V {
		add("qkv_width", "Q+2K", "queries, keys and values side by side", (m.Heads.V+2*m.KVHeads.V)*m.HeadDim.V, m.QKVConcat.At)
		add("gate_up_width", "2F", "gate and up projections side by side", 2*m.FFN.V, m.QKVConcat.At)
	}
	add("vocab", "V", "entries of the vocabulary", m.Vocab.V, m.Vocab.At)
	if g.c.LoRA != nil {
		for _, n := range g.c.Ranks() {
			name := g.rankName(n)
			doc, letter := "rank of the adapters", "R"
			if name != "rank" {
				doc, letter = "rank of some adapters", fmt.Sprintf("R%d", n)
			}
			add(name, letter, doc, n, g.c.LoRA.Rank.At)
		}
	}
	add("positions", "P", "positions of the longest text", max(m.MaxPosition.V, m.SeqLength.V), m.MaxPosition.At)
	return out
}

// rankName is the name of a rank among the sizes.
func (g *graph) rankName(n int) string {
	if n == g.c.LoRA.Rank.V {
		return "rank"
	}
	return fmt.Sprintf("rank_%d", n)
}

// Divided is the sizes that processes which share a layer can divide: heads, the
// feed-forward network and the vocabulary, and the widths that these make.
var Divided = []string{"heads", "kv_heads", "q_width", "kv_width", "ffn", "qkv_width", "gate_up_width", "vocab"}

// dim is the named size as an extent.
func (g *graph) dim(name string) ir.Dim {
	s := g.m.Size(name)
	if s == nil {
		panic(fmt.Sprintf("BUG: model: no size %s", name))
	}
	return s.Dim()
}
