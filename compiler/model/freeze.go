package model

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"lorac/ir"
)

// trainsName decides whether a parameter trains, by its MindFormers name:
// with LoRA only the adapters do, then freeze_include and freeze_exclude move
// names in and out; a name in both stays (MindFormers r1.3
// pet/pet_model.py; mindpet graph/freeze_utils.py).
func (g *graph) trainsName(name string, layer int) bool {
	if mode := g.c.RunMode.V; mode == "predict" || mode == "eval" {
		return false
	}
	lora := g.c.LoRA
	if lora == nil {
		return true
	}
	name = strings.ReplaceAll(name, "{i}", strconv.Itoa(layer))
	in := matchesAny(lora.FreezeInclude.V, name)
	out := matchesAny(lora.FreezeExclude.V, name)
	if in != out {
		return out
	}
	return strings.Contains(name, "mindpet_delta_lora")
}

// matchesAny matches as Python's fnmatch does, where * also spans dots.
func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		// path.Match differs from fnmatch only in [^…] for [!…] and in slashes, which names have not.
		if ok, _ := path.Match(strings.ReplaceAll(p, "[!", "[^"), name); ok {
			return true
		}
	}
	return false
}

// split cuts the layers into ranges with the same adapters that train the same
// parameters.
func (g *graph) split(layers int) []ir.Range {
	if layers == 0 {
		return nil
	}
	out := []ir.Range{{Lo: 0, Hi: 0}}
	for i := 1; i < layers; i++ {
		if last := &out[len(out)-1]; slices.Equal(g.signature(i), g.signature(i-1)) {
			last.Hi = i
		} else {
			out = append(out, ir.Range{Lo: i, Hi: i})
		}
	}
	return out
}

// signature lists which linears of a layer have adapters and which parameters
// train.
func (g *graph) signature(layer int) []bool {
	var out []bool
	name := func(s string) { out = append(out, g.trainsName("model.layers.{i}."+s, layer)) }
	name("attention_norm.weight")
	name("ffn_norm.weight")
	for _, l := range g.linears() {
		name(l.path + ".weight")
		out = append(out, g.adapted[layer][l.leaf])
		if g.adapted[layer][l.leaf] {
			name(l.path + ".mindpet_delta_lora_a")
			name(l.path + ".mindpet_delta_lora_b")
		}
	}
	return out
}
