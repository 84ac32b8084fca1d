package config

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"

	"lorac/runtime/job"
)

// cell is a module of the network as traversed by MindFormers' adapter.
type cell struct {
	name   string
	linear bool
	sub    []cell
}

// cells is the tree below `model`, by attribute names (r1.3
// models/llama/llama.py). lm_head is outside of it and can never be adapted.
func (c *Config) cells() []cell {
	leaf := func(names ...string) (out []cell) {
		for _, n := range names {
			out = append(out, cell{name: n, linear: true})
		}
		return out
	}
	attention, ffn := leaf("wo", "wq", "wk", "wv"), leaf("w1", "w2", "w3")
	if c.Model.QKVConcat.V {
		attention, ffn = leaf("wo", "w_qkv"), leaf("w_gate_hidden", "w2")
	}
	layer := []cell{{name: "attention_norm"}, {name: "ffn_norm"}, {name: "attention", sub: attention}, {name: "feed_forward", sub: ffn}}
	layers := make([]cell, min(max(c.Model.Layers.V, 0), maxLayers))
	for i := range layers {
		layers[i] = cell{name: strconv.Itoa(i), sub: layer}
	}
	return []cell{
		{name: "tok_embeddings"}, {name: "freqs_mgr"}, {name: "casual_mask"},
		{name: "layers", sub: layers},
		{name: "norm_out"},
	}
}

// maxLayers bounds the traversal, far above any Llama.
const maxLayers = 4096

// Linears lists the names of the linears that can be adapted.
func (c *Config) Linears() []string {
	if c.Model.QKVConcat.V {
		return []string{"w_qkv", "wo", "w_gate_hidden", "w2"}
	}
	return []string{"wq", "wk", "wv", "wo", "w1", "w2", "w3"}
}

// Biased reports whether a linear has a bias, by its leaf name.
func (m *Model) Biased(leaf string) bool {
	switch leaf {
	case "wq", "wk", "wv", "w_qkv":
		return m.QKVBias.V
	case "wo":
		return m.ProjBias.V
	}
	return m.MLPBias.V
}

// LinearShape returns the shape of a linear by its leaf name, which must be one of
// Linears.
func (c *Config) LinearShape(name string) (in, out int) {
	m := &c.Model
	hidden, q, kv, ffn := m.Hidden.V, m.Heads.V*m.HeadDim.V, m.KVHeads.V*m.HeadDim.V, m.FFN.V
	switch name {
	case "wq":
		return hidden, q
	case "wk", "wv":
		return hidden, kv
	case "wo":
		return q, hidden
	case "w1", "w3":
		return hidden, ffn
	case "w2":
		return ffn, hidden
	case "w_qkv":
		return hidden, q + 2*kv
	case "w_gate_hidden":
		return hidden, 2 * ffn
	}
	panic("BUG: config: no linear " + name)
}

// Targets lists the linears with an adapter in at least one layer, in the order of
// Linears; none for full fine-tuning.
func (c *Config) Targets() []string {
	if c.LoRA == nil || c.LoRA.TargetModules.V == "" {
		return nil
	}
	sel := c.selection()
	var out []string
	for _, name := range c.Linears() {
		if sel.found[name] {
			out = append(out, name)
		}
	}
	return out
}

// TargetsByLayer lists the adapted linears of each layer.
func (c *Config) TargetsByLayer() [][]string {
	out := make([][]string, max(c.Model.Layers.V, 0))
	if c.LoRA == nil || c.LoRA.TargetModules.V == "" {
		return out
	}
	sel := c.selection()
	for i := range out {
		for _, name := range c.Linears() {
			if sel.byLayer[i][name] {
				out[i] = append(out[i], name)
			}
		}
	}
	return out
}

// Scale is what B·A is multiplied by.
func (l *LoRA) Scale() float64 {
	return job.LoRA{Rank: l.Rank.V, Alpha: l.Alpha.V, RSLoRA: l.RSLoRA.V}.Scale()
}

// selection is what target_modules, exclude_layers and layers_to_transform select.
type selection struct {
	found     map[string]bool         // leaf names adapted in at least one layer
	byLayer   map[int]map[string]bool // leaf names adapted in each layer
	swallowed []string                // cells that matched but are not linears
	excluded  []string                // linears that match both target_modules and exclude_layers
}

// selection traverses the cells as mindpet does. A child whose leaf name matches an
// excluded pattern is skipped with its subtree. A child that matches target_modules
// is adapted if it is a linear; its subtree is not traversed. Patterns are anchored
// at the start only (Python's re.match). A pattern that does not compile selects
// nothing.
func (c *Config) selection() selection {
	s := selection{found: map[string]bool{}, byLayer: map[int]map[string]bool{}}
	target, err := compile(c.LoRA.TargetModules.V)
	if err != nil {
		return s
	}
	var exclude []*regexp.Regexp
	for _, p := range c.LoRA.ExcludeLayers.V {
		re, err := compile(p)
		if err != nil {
			return s
		}
		exclude = append(exclude, re)
	}
	var walk func(cells []cell, layer int)
	only := c.LoRA.LayersToTransform.V
	walk = func(cells []cell, layer int) {
		for _, x := range cells {
			if n, err := strconv.Atoi(x.name); err == nil && only != nil && !slices.Contains(only, n) {
				continue
			}
			if slices.ContainsFunc(exclude, func(re *regexp.Regexp) bool { return re.MatchString(x.name) }) {
				if x.linear && target.MatchString(x.name) || !x.linear {
					s.excluded = appendOnce(s.excluded, x.name)
				}
				continue
			}
			switch {
			case !target.MatchString(x.name):
				if n, err := strconv.Atoi(x.name); err == nil {
					layer = n
				}
				walk(x.sub, layer)
			case x.linear:
				s.found[x.name] = true
				if s.byLayer[layer] == nil {
					s.byLayer[layer] = map[string]bool{}
				}
				s.byLayer[layer][x.name] = true
			default:
				s.swallowed = appendOnce(s.swallowed, x.name)
			}
		}
	}
	walk(c.cells(), 0)
	return s
}

// uses reports whether a pattern matches one of the selected linears.
func (s selection) uses(re *regexp.Regexp) bool {
	for name := range s.found {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// maxPattern bounds the length of a pattern. A pattern with every linear has thirty
// characters.
const maxPattern = 4096

// compile anchors a pattern at the start, as Python's re.match does.
func compile(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, &syntax.Error{Code: syntax.ErrLarge, Expr: pattern[:16] + "…"}
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err // without the anchor in its text
	}
	return regexp.Compile(`\A(?:` + pattern + `)`)
}
