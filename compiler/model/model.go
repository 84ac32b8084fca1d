// Package model turns a typed config into the forward graph of one Llama, with
// LoRA where target_modules says, and the optimizer's update. It knows neither
// passes nor generated code: what they need is in the IR.
package model

import (
	"fmt"
	"path"

	"lorac/compiler/config"
	"lorac/ir"
	_ "lorac/ir/op" // the ops the graph is made of
)

// graph is a module under construction.
type graph struct {
	c        *config.Config
	m        *ir.Module
	adapted  []map[string]bool // by layer: leaf names that get an adapter
	segments []*segment

	embed, norm, head, cos, sin *ir.Storage
}

// Build returns the module of a config:
//
//   - loss: the mean loss of a micro-batch, as evaluation computes it
//   - train: the same with dropout, when there is any; the function to differentiate
//   - logits: the logits of chosen rows
//   - next: the logits of the next rows of some texts, for prediction; the keys and values of their earlier rows are cached
//   - update: one optimizer step, when something trains
//
// Only loss is there for autodiff to use when the config has no dropout.
func Build(c *config.Config) (*ir.Module, error) {
	g := &graph{c: c, m: &ir.Module{Name: c.Name, Source: path.Base(c.Path)}}
	for _, leaves := range c.TargetsByLayer() {
		here := map[string]bool{}
		for _, leaf := range leaves {
			here[leaf] = true
		}
		g.adapted = append(g.adapted, here)
	}
	g.settings()
	g.m.Sizes = g.sizes()
	g.dims()
	g.storages()

	drop := c.LoRA != nil && c.LoRA.Dropout.V > 0
	plain := g.layers("layer", false, false)
	if drop && g.trains() {
		plain = g.layers("layer.eval", false, false)
		g.m.Funcs = append(g.m.Funcs, plain...)
		dropped := g.layers("layer", true, false)
		g.m.Funcs = append(g.m.Funcs, dropped...)
		train := g.root("train", dropped, rootOf{seeds: true, loss: true})
		train.Entry = false
		g.m.Funcs = append(g.m.Funcs, train)
	} else {
		g.m.Funcs = append(g.m.Funcs, plain...)
	}
	g.m.Funcs = append(g.m.Funcs, g.root("loss", plain, rootOf{loss: true}), g.root("logits", plain, rootOf{}))
	cached := g.layers("layer.next", false, true)
	g.m.Funcs = append(append(g.m.Funcs, cached...), g.root("next", cached, rootOf{cached: true}))
	if g.trains() {
		g.m.Funcs = append(g.m.Funcs, g.update())
	}
	if err := g.m.Verify(); err != nil {
		return nil, fmt.Errorf("BUG: model: %w", err)
	}
	return g.m, nil
}

func (g *graph) trains() bool { return len(g.trainable()) > 0 }

// layers builds one function per segment, named kind.forward.
func (g *graph) layers(kind string, dropout, cached bool) []*ir.Func {
	var out []*ir.Func
	for _, seg := range g.segments {
		name := kind
		if len(g.segments) > 1 {
			name = fmt.Sprintf("%s.%d_%d", kind, seg.layers.Lo, seg.layers.Hi)
		}
		out = append(out, g.layerFunc(name+".forward", seg, dropout, cached))
	}
	return out
}

// microBatchRows is the target size of a micro-batch: enough rows that reading
// the weights from memory takes far less time than multiplying by them, and no
// more.
const microBatchRows = 2048

// dims declares the symbolic extents. A micro-batch holds at least one full
// sequence, and as many of a batch as fit into microBatchRows.
func (g *graph) dims() {
	seq := g.c.Model.SeqLength
	n := min(max(microBatchRows/seq.V, 1), max(g.c.Run.BatchSize.V, 1))
	g.m.Dims = []*ir.DimDecl{
		{Name: "T", Max: ir.N(seq.V * n), Pos: seq.At}, // token rows of a micro-batch
		{Name: "S", Max: ir.Sym("T"), Pos: seq.At},     // supervised rows of it
		{Name: "N", Max: ir.Sym("T"), Pos: seq.At},     // sequences in it
	}
}

// segment is a range of layers with the same adapters that train the same
// parameters; without exclude_layers and freeze patterns there is one.
type segment struct {
	layers  ir.Range
	prefix  string
	storage map[string]*ir.Storage // by leaf: wq.w, wq.a, norm1, …
}

func (g *graph) storages() {
	c := &g.c.Model
	g.embed = g.param("embed", nil, "model.tok_embeddings.embedding_weight", c.Vocab.At, ir.Attrs{"init": "normal", "bound": 0.01}, g.dim("vocab"), g.dim("hidden"))
	for _, r := range g.split(c.Layers.V) {
		seg := &segment{layers: r, prefix: "layer", storage: map[string]*ir.Storage{}}
		if r.Len() < c.Layers.V {
			seg.prefix = fmt.Sprintf("layer.%d_%d", r.Lo, r.Hi)
		}
		g.segment(seg)
		g.segments = append(g.segments, seg)
	}
	g.norm = g.param("norm", nil, "model.norm_out.weight", c.RMSEps.At, ir.Attrs{"init": "ones"}, g.dim("hidden"))
	g.head = g.embed
	if !c.TieEmbeddings.V {
		g.head = g.param("head", nil, "lm_head.weight", c.Vocab.At, ir.Attrs{"init": "normal", "bound": 0.01}, g.dim("vocab"), g.dim("hidden"))
	}
	g.rope()
	for _, p := range g.trainable() {
		g.shadow(p)
	}
}

func (g *graph) segment(seg *segment) {
	c := &g.c.Model
	add := func(leaf, name string, pos config.Pos, attrs ir.Attrs, shape ...ir.Dim) {
		r := seg.layers
		seg.storage[leaf] = g.param(seg.prefix+"."+leaf, &r, "model.layers.{i}."+name, pos, attrs, shape...)
	}
	norm := ir.Attrs{"init": "ones"}
	add("norm1", "attention_norm.weight", c.RMSEps.At, norm, g.dim("hidden"))
	g.caches(seg)
	add("norm2", "ffn_norm.weight", c.RMSEps.At, norm.Clone(), g.dim("hidden"))
	for _, l := range g.linears() {
		add(l.leaf+".w", l.path+".weight", c.Hidden.At, ir.Attrs{"init": "normal", "bound": 0.01}, l.out, l.in)
		if c.Biased(l.leaf) {
			add(l.leaf+".bias", l.path+".bias", c.Hidden.At, ir.Attrs{"init": "zeros"}, l.out)
		}
		if !g.adapted[seg.layers.Lo][l.leaf] {
			continue
		}
		lora := g.c.LoRA
		rank := g.dim(g.rankName(g.c.RankOf(seg.layers.Lo, l.leaf)))
		a, b := g.start(l.in.N, rank.N)
		add(l.leaf+".a", l.path+".mindpet_delta_lora_a", lora.Rank.At, a, rank, l.in)
		add(l.leaf+".b", l.path+".mindpet_delta_lora_b", lora.Rank.At, b, l.out, rank)
		if lora.DoRA.V {
			add(l.leaf+".magnitude", l.path+".mindpet_delta_lora_magnitude", lora.DoRA.At, ir.Attrs{"init": "norms"}, l.out)
			seg.storage[l.leaf+".magnitude"].Type.DType = ir.F32
		}
		if g.c.OfBase() {
			add(l.leaf+".start.a", l.path+".mindpet_delta_lora_start_a", lora.Init.At, a.Clone(), rank, l.in)
			add(l.leaf+".start.b", l.path+".mindpet_delta_lora_start_b", lora.Init.At, b.Clone(), l.out, rank)
			for _, s := range []string{".start.a", ".start.b"} {
				of := seg.storage[l.leaf+s]
				of.Trainable, of.Type.DType = false, ir.F32
			}
		}
	}
}

// caches declares the keys and values that a layer remembers of texts it
// continues: the type is that of one text.
func (g *graph) caches(seg *segment) {
	c := &g.c.Model
	for _, leaf := range []string{"keys", "values"} {
		r := seg.layers
		s := &ir.Storage{Name: seg.prefix + "." + leaf, Kind: ir.Cache, Stack: &r, Pos: c.SeqLength.At,
			Type: ir.Tensor(ir.F32, g.dim("positions"), g.dim("kv_width"))}
		seg.storage[leaf] = s
		g.m.Storages = append(g.m.Storages, s)
	}
}

// param declares a parameter; whether it trains is decided by its name.
func (g *graph) param(name string, stack *ir.Range, mf string, pos config.Pos, attrs ir.Attrs, shape ...ir.Dim) *ir.Storage {
	attrs["name"] = mf
	first := 0
	if stack != nil {
		first = stack.Lo
	}
	if g.c.Saved(mf) {
		attrs["module"] = true
	}
	s := &ir.Storage{Name: name, Kind: ir.Param, Stack: stack, Attrs: attrs, Pos: pos, Trainable: g.trainsName(mf, first)}
	s.Type = ir.Type{DType: ir.F32} // what trains is f32; frozen weights are as the checkpoint stores them
	if d, ok := ir.ParseDType(g.c.Model.ParamDType.V); ok && !s.Trainable && !s.Module() {
		s.Type.DType = d
	}
	s.Type.Shape = shape
	g.m.Storages = append(g.m.Storages, s)
	return s
}

// shadow declares the gradient of a trainable parameter and what the optimizer
// remembers of it, all in f32.
func (g *graph) shadow(p *ir.Storage) {
	add := func(suffix string, kind ir.StorageKind, shape []ir.Dim) {
		g.m.Storages = append(g.m.Storages, &ir.Storage{
			Name: p.Name + "." + suffix, Kind: kind, Type: ir.Type{DType: ir.F32, Shape: shape}, Stack: p.Stack, Attrs: ir.Attrs{"of": p.Name}, Pos: p.Pos,
		})
	}
	add("grad", ir.Grad, p.Type.Shape)
	for _, s := range ruleOf(&g.c.Optimizer, p).states {
		shape := p.Type.Shape
		if s.side >= 0 {
			shape = shape[s.side : s.side+1]
		}
		add(s.name, ir.State, shape)
	}
}

// rope declares the cosine and sine tables of the rotary embedding
// (MindFormers r1.3 modules/layers.py, FreqsMgr; formulas of the methods there).
func (g *graph) rope() {
	c := &g.c.Model
	for _, part := range []string{"cos", "sin"} {
		attrs := ir.Attrs{"fn": "rope", "part": part, "head_dim": g.dim("head_dim"), "theta": c.Theta.V, "method": c.RopeMethod.V}
		for k, v := range c.RopeFactors {
			attrs[k] = v
		}
		s := &ir.Storage{Name: "rope." + part, Kind: ir.Table, Type: ir.Tensor(ir.F32, g.dim("positions"), g.dim("head_pairs")), Attrs: attrs, Pos: c.Theta.At}
		g.m.Storages = append(g.m.Storages, s)
		if part == "cos" {
			g.cos = s
		} else {
			g.sin = s
		}
	}
}
