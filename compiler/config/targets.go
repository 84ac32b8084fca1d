package config

import (
	"fmt"
	"regexp"
)

// cell is a module of the network as MindFormers' adapter walks it.
type cell struct {
	name   string
	linear bool
	sub    []cell
}

// cells is the tree below `model`, by attribute names (r1.3
// models/llama/llama.py). lm_head lies outside and can never be adapted.
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
	return []cell{
		{name: "tok_embeddings"}, {name: "freqs_mgr"}, {name: "casual_mask"},
		{name: "layers", sub: []cell{{name: "0", sub: []cell{
			{name: "attention_norm"}, {name: "ffn_norm"}, {name: "attention", sub: attention}, {name: "feed_forward", sub: ffn}}}}},
		{name: "norm_out"},
	}
}

// Linears lists the names an adapter can be put on.
func (c *Config) Linears() []string {
	if c.Model.QKVConcat.V {
		return []string{"w_qkv", "wo", "w_gate_hidden", "w2"}
	}
	return []string{"wq", "wk", "wv", "wo", "w1", "w2", "w3"}
}

// Targets lists the linears that get an adapter, in the order of Linears;
// none for full fine-tuning.
func (c *Config) Targets() []string {
	found, _, err := c.match()
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range c.Linears() {
		if found[name] {
			out = append(out, name)
		}
	}
	return out
}

// match walks the cells as mindpet does: a child whose own name matches an
// excluded pattern is skipped with all below it; one that matches
// target_modules is adapted when it is a linear, and otherwise ends the
// descent there. Patterns are anchored at the start only (Python's re.match).
// swallowed names the cells where the descent ended in vain.
func (c *Config) match() (found map[string]bool, swallowed []string, err error) {
	found = map[string]bool{}
	if c.LoRA == nil {
		return found, nil, nil
	}
	target, err := compile(c.LoRA.TargetModules.V)
	if err != nil {
		return nil, nil, fmt.Errorf("`target_modules` is no regular expression: %w", err)
	}
	var exclude []*regexp.Regexp
	for _, p := range c.LoRA.ExcludeLayers.V {
		re, err := compile(p)
		if err != nil {
			return nil, nil, fmt.Errorf("`exclude_layers` has %q, which is no regular expression: %w", p, err)
		}
		exclude = append(exclude, re)
	}
	var walk func(cells []cell)
	walk = func(cells []cell) {
	next:
		for _, x := range cells {
			for _, re := range exclude {
				if re.MatchString(x.name) {
					continue next
				}
			}
			if target.MatchString(x.name) {
				if x.linear {
					found[x.name] = true
				} else {
					swallowed = append(swallowed, x.name)
				}
				continue
			}
			walk(x.sub)
		}
	}
	walk(c.cells())
	return found, swallowed, nil
}

func compile(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + pattern + `)`)
}
