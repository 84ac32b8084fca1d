package config

import (
	"fmt"
	"slices"
)

// TrainableAdapters counts the parameters of adapters: rank × (in + out) for every
// adapted linear of every layer (Hu et al. 2021, 4.2), and its out magnitudes where
// there are some, whether it trains or not.
func (c *Config) TrainableAdapters() int {
	n := 0
	for i, names := range c.TargetsByLayer() {
		for _, name := range names {
			in, out := c.LinearShape(name)
			n += c.RankOf(i, name) * (in + out)
			if c.UsesDoRA() {
				n += out
			}
		}
	}
	return n
}

// Parameters counts the weights of the base model; a tied head counts once.
func (c *Config) Parameters() int {
	m := &c.Model
	layer := 2 * m.Hidden.V
	for _, name := range c.Linears() {
		in, out := c.LinearShape(name)
		layer += in * out
		if m.Biased(name) {
			layer += out
		}
	}
	n := m.Vocab.V*m.Hidden.V + m.Layers.V*layer + m.Hidden.V
	if !m.TieEmbeddings.V {
		n += m.Vocab.V * m.Hidden.V
	}
	return n
}

// Trainable counts what trains: of the adapters, and of the base model.
func (c *Config) Trainable() (adapters, base int) {
	switch {
	case c.RunMode.V == "predict" || c.RunMode.V == "eval":
		return 0, 0
	case c.LoRA == nil:
		return 0, c.Parameters()
	case !c.LoRA.patterns():
		return c.TrainableAdapters(), 0
	}
	names, sizes := c.parameters()
	for i, name := range names {
		switch {
		case !c.Trains(name):
		case isAdapter(name):
			adapters += sizes[i]
		default:
			base += sizes[i]
		}
	}
	return adapters, base
}

// parameters lists the parameters by their names in MindFormers, with the number of
// elements of each: those of the base model and of its adapters.
func (c *Config) parameters() (names []string, sizes []int) {
	m := &c.Model
	add := func(size int, format string, args ...any) {
		names, sizes = append(names, fmt.Sprintf(format, args...)), append(sizes, size)
	}
	add(m.Vocab.V*m.Hidden.V, "model.tok_embeddings.embedding_weight")
	adapted := c.TargetsByLayer()
	for i := range adapted {
		add(m.Hidden.V, "model.layers.%d.attention_norm.weight", i)
		add(m.Hidden.V, "model.layers.%d.ffn_norm.weight", i)
		for _, leaf := range c.Linears() {
			in, out := c.LinearShape(leaf)
			path := fmt.Sprintf("model.layers.%d.%s", i, LinearPath(leaf))
			add(in*out, "%s.weight", path)
			if m.Biased(leaf) {
				add(out, "%s.bias", path)
			}
			if slices.Contains(adapted[i], leaf) {
				add(c.RankOf(i, leaf)*in, "%s.mindpet_delta_lora_a", path)
				add(c.RankOf(i, leaf)*out, "%s.mindpet_delta_lora_b", path)
				if c.UsesDoRA() {
					add(out, "%s.mindpet_delta_lora_magnitude", path)
				}
			}
		}
	}
	add(m.Hidden.V, "model.norm_out.weight")
	if !m.TieEmbeddings.V {
		add(m.Vocab.V*m.Hidden.V, "lm_head.weight")
	}
	return names, sizes
}

// LinearPath is where a layer has one of its Linears: attention.wq.
func LinearPath(leaf string) string {
	switch leaf {
	case "w1", "w2", "w3", "w_gate_hidden":
		return "feed_forward." + leaf
	}
	return "attention." + leaf
}
