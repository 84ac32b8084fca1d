package config

// TrainableAdapters counts the adapter parameters: rank × (in + out) for every
// adapted linear of every layer (Hu et al. 2021, 4.2). freeze_include and
// freeze_exclude may move others; the graph knows the exact list.
func (c *Config) TrainableAdapters() int {
	n := 0
	for _, names := range c.TargetsByLayer() {
		for _, name := range names {
			in, out := c.LinearShape(name)
			n += c.LoRA.Rank.V * (in + out)
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
	}
	n := m.Vocab.V*m.Hidden.V + m.Layers.V*layer + m.Hidden.V
	if !m.TieEmbeddings.V {
		n += m.Vocab.V * m.Hidden.V
	}
	return n
}
