package model

import (
	"slices"
	"strconv"
	"strings"

	"lorac/ir"
)

// trainsName decides whether a parameter of a layer trains.
func (g *graph) trainsName(name string, layer int) bool {
	return g.c.Trains(strings.ReplaceAll(name, "{i}", strconv.Itoa(layer)))
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

// signature lists which linears of a layer have adapters, with their ranks and scales,
// and which parameters train.
func (g *graph) signature(layer int) []any {
	var out []any
	name := func(s string) { out = append(out, g.trainsName("model.layers.{i}."+s, layer)) }
	name("attention_norm.weight")
	name("ffn_norm.weight")
	for _, l := range g.linears() {
		name(l.path + ".weight")
		if g.c.Model.Biased(l.leaf) {
			name(l.path + ".bias")
		}
		out = append(out, g.adapted[layer][l.leaf])
		if g.adapted[layer][l.leaf] {
			out = append(out, g.c.RankOf(layer, l.leaf), g.c.ScaleOf(layer, l.leaf))
			name(l.path + ".mindpet_delta_lora_a")
			name(l.path + ".mindpet_delta_lora_b")
			if g.c.UsesDoRA() {
				name(l.path + ".mindpet_delta_lora_magnitude")
			}
		}
	}
	return out
}
