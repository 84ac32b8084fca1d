// Package formats takes the weights of a Llama, or a LoRA adapter for one, from
// the form of one project to that of another: names, order of rows, type of
// numbers, and the config next to them. Names and their rules are
// runtime/weights/naming's, files the packages' of each format. It must not know
// how models are trained, nor print anything.
package formats

import (
	"fmt"
	"slices"

	"lorac/runtime/weights/naming"
)

// Model is what is known of a Llama other than its weights. Zero means unknown.
type Model struct {
	Hidden, FFN, Layers, Heads, KVHeads, HeadDim, Vocab int
	MaxPosition                                         int
	Eps, Theta                                          float64
	Scaling                                             map[string]any // rope_scaling as Hugging Face has it, nil for none
	Tied                                                bool           // the head is the embedding
	QKVBias, ProjBias, MLPBias                          bool           // biases of wq, wk, wv; of wo; of w1, w2, w3
	BOS, EOS                                            int            // -1: unknown
}

// Unknown is a model of which nothing is known.
func Unknown() Model { return Model{BOS: -1, EOS: -1} }

// bias is whether the model has the biases of a key of model_config; nil for "".
func (m *Model) bias(key string) *bool {
	return map[string]*bool{"qkv_has_bias": &m.QKVBias, "attn_proj_has_bias": &m.ProjBias, "mlp_has_bias": &m.MLPBias}[key]
}

// qwen2 reports whether the model has the biases of Qwen2, those of query, key and
// value alone. Other projects store its queries and keys with the halves of a head as
// rotary pairs, as Hugging Face does.
func (m *Model) qwen2() bool { return m.QKVBias && !m.ProjBias && !m.MLPBias }

// paired reports whether a scheme stores a linear of this model in rotary pairs.
func (m *Model) paired(scheme naming.Scheme, name string) bool {
	return scheme.Paired(name) && !m.qwen2()
}

// size is a number of a model that two sides know: what a config says, and what
// the shapes of the weights say.
func size(field *int, name string, found int) error {
	if *field != 0 && *field != found {
		return fmt.Errorf("the config has %s %d, the weights have %d", name, *field, found)
	}
	*field = found
	return nil
}

// fit takes the sizes from the shapes of weights, which must agree with what
// is known.
func (m *Model) fit(s *Source) error {
	shape := func(name string) ([]int, error) {
		p, ok := s.Param(name)
		if !ok {
			return nil, fmt.Errorf("%s is missing", name)
		}
		return p.Shape, nil
	}
	embedding, err := shape("model.tok_embeddings.embedding_weight")
	if err != nil {
		return err
	}
	q, err1 := shape("model.layers.0.attention.wq.weight")
	k, err2 := shape("model.layers.0.attention.wk.weight")
	w1, err3 := shape("model.layers.0.feed_forward.w1.weight")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return err
		}
	}
	for _, x := range [][]int{embedding, q, k, w1} {
		if len(x) != 2 || slices.Min(x) < 1 {
			return fmt.Errorf("a matrix has the shape %v", x)
		}
	}
	if m.HeadDim == 0 && m.Heads > 0 && q[0]%m.Heads == 0 {
		m.HeadDim = q[0] / m.Heads
	}
	for _, c := range []struct {
		field *int
		name  string
		found int
	}{
		{&m.Hidden, "a width of", embedding[1]}, {&m.Vocab, "a vocabulary of", embedding[0]},
		{&m.FFN, "an inner width of", w1[0]}, {&m.Layers, "layers:", s.layers},
	} {
		if err := size(c.field, c.name, c.found); err != nil {
			return err
		}
	}
	if m.HeadDim > 0 {
		if q[0]%m.HeadDim != 0 || k[0]%m.HeadDim != 0 || m.HeadDim%2 != 0 {
			return fmt.Errorf("queries of %d rows and keys of %d have no heads of %d", q[0], k[0], m.HeadDim)
		}
		if err := size(&m.Heads, "heads:", q[0]/m.HeadDim); err != nil {
			return err
		}
		if err := size(&m.KVHeads, "heads of keys:", k[0]/m.HeadDim); err != nil {
			return err
		}
	}
	return nil
}

// plain reports whether heads make up the width, as all formats but Hugging
// Face's and GGUF have it.
func (m *Model) plain() error {
	if m.Heads*m.HeadDim != m.Hidden {
		return fmt.Errorf("its %d heads of %d rows are not its width %d, which this format cannot say", m.Heads, m.HeadDim, m.Hidden)
	}
	return nil
}

// unscaled reports whether the rotary embedding is used as it is.
func (m *Model) unscaled() error {
	if m.Scaling != nil {
		return fmt.Errorf("its rotary embedding is scaled (%v), which this format cannot say", m.Scaling)
	}
	return nil
}

func (m *Model) theta() float64 {
	if m.Theta == 0 {
		return 10000
	}
	return m.Theta
}

func (m *Model) eps() float64 {
	if m.Eps == 0 {
		return 1e-5
	}
	return m.Eps
}

// needHeads is the error of what cannot be done without the number of heads.
func (m *Model) needHeads() error {
	if m.HeadDim == 0 {
		return fmt.Errorf("nothing says how many heads the model has, and the order of rows depends on it\n  = help: --config CONFIG: the MindFormers YAML, a config.json or params.json")
	}
	return nil
}
