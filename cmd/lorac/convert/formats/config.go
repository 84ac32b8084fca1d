package formats

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"lorac/runtime/weights/modeldir"
)

// ModelOf reads config.json (Hugging Face) or params.json (Meta), whichever
// text is.
func ModelOf(text []byte) (Model, error) {
	m := Unknown()
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		return m, fmt.Errorf("it is no JSON object: %w", err)
	}
	var fault error
	number := func(key string) float64 {
		v, there := keys[key]
		if !there || v == nil {
			return 0
		}
		x, ok := v.(float64)
		if !ok && fault == nil {
			fault = fmt.Errorf("`%s` is %v, a number is due", key, v)
		}
		return x
	}
	whole := func(key string) int {
		x := number(key)
		if (x < 0 || x > math.MaxInt32 || x != math.Trunc(x)) && fault == nil {
			fault = fmt.Errorf("`%s` is %v, a whole number is due", key, x)
		}
		return int(x)
	}
	if _, meta := keys["n_heads"]; meta {
		m.Hidden, m.Layers, m.Heads, m.KVHeads = whole("dim"), whole("n_layers"), whole("n_heads"), whole("n_kv_heads")
		if number("vocab_size") != -1 { // -1: what the tokenizer has
			m.Vocab = whole("vocab_size")
		}
		m.Eps, m.Theta = number("norm_eps"), number("rope_theta")
		if scaled, _ := keys["use_scaled_rope"].(bool); scaled { // constants of Meta's apply_scaling
			m.Scaling = map[string]any{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192.0}
		}
	} else {
		m.Hidden, m.FFN, m.Layers, m.Heads = whole("hidden_size"), whole("intermediate_size"), whole("num_hidden_layers"), whole("num_attention_heads")
		m.KVHeads, m.HeadDim, m.Vocab, m.MaxPosition = whole("num_key_value_heads"), whole("head_dim"), whole("vocab_size"), whole("max_position_embeddings")
		m.Eps, m.Theta = number("rms_norm_eps"), number("rope_theta")
		m.Scaling, _ = keys["rope_scaling"].(map[string]any)
		if nested, ok := keys["rope_parameters"].(map[string]any); ok { // since transformers 5
			if m.Theta, ok = nested["rope_theta"].(float64); ok && nested["rope_type"] != "default" && nested["rope_type"] != nil {
				m.Scaling = nested
			}
		}
		m.Tied, _ = keys["tie_word_embeddings"].(bool)
		m.BOS, m.EOS = firstInt(keys["bos_token_id"]), firstInt(keys["eos_token_id"])
		m.QKVBias, _ = keys["attention_bias"].(bool)
		m.ProjBias = m.QKVBias
		m.MLPBias, _ = keys["mlp_bias"].(bool)
		if keys["model_type"] == "qwen2" { // whatever its keys say
			m.QKVBias, m.ProjBias, m.MLPBias = true, false, false
		}
	}
	if m.HeadDim == 0 && m.Heads > 0 && m.Hidden > 0 {
		if m.Hidden%m.Heads != 0 && fault == nil {
			fault = fmt.Errorf("a width of %d has no %d heads", m.Hidden, m.Heads)
		}
		m.HeadDim = m.Hidden / m.Heads
	}
	if m.Heads > 0 && m.KVHeads == 0 {
		m.KVHeads = m.Heads
	}
	return m, fault
}

// firstInt is a number, or the first of a list of them, else -1.
func firstInt(v any) int {
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	if x, ok := v.(float64); ok && x >= 0 && x < math.MaxInt32 {
		return int(x)
	}
	return -1
}

// configIn reads the config in the directory of weights, if there is one.
func configIn(dir string) (Model, error) {
	for _, name := range []string{"params.json", "config.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return Unknown(), err
		}
		m, err := ModelOf(text)
		if err != nil {
			return m, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		return m, nil
	}
	return Unknown(), nil
}

// hfConfig is config.json of a model. dtype is that of the weights.
func (m *Model) hfConfig(dtype string) ([]byte, error) {
	return modeldir.Llama(*m).Config(torchType[dtype])
}

// hfConfig is config.json of what is written from a source: its own, if it
// has one, with the type of the weights.
func (s *Source) hfConfig(dtype string) ([]byte, error) {
	if text, err := modeldir.Config(s.Dir, torchType[dtype], s.vocab); text != nil || err != nil {
		return text, err
	}
	return s.Model.hfConfig(dtype)
}

// torchType is how transformers spells a type.
var torchType = map[string]string{"F32": "float32", "F16": "float16", "BF16": "bfloat16"}

// metaParams is params.json of a model. Meta's code finds the inner width from
// multiple_of and ffn_dim_multiplier, so these are chosen to give it:
//
//	h = int(2·4·dim/3); h = int(multiplier·h); FFN = h rounded up to multiple_of
func (m *Model) metaParams() ([]byte, error) {
	if err := m.plain(); err != nil {
		return nil, err
	}
	keys := map[string]any{"dim": m.Hidden, "n_layers": m.Layers, "n_heads": m.Heads, "n_kv_heads": m.KVHeads, "vocab_size": m.Vocab,
		"norm_eps": m.eps(), "rope_theta": m.theta()}
	if m.Scaling != nil {
		if fmt.Sprint(m.Scaling["rope_type"], m.Scaling["factor"], m.Scaling["low_freq_factor"], m.Scaling["high_freq_factor"], m.Scaling["original_max_position_embeddings"]) != "llama3 8 1 4 8192" {
			return nil, m.unscaled()
		}
		keys["use_scaled_rope"] = true
	}
	base := 2 * 4 * m.Hidden / 3
	for _, multiple := range []int{256, 1024, 4096, 128, 64, 32, 16, 8, 4, 2, 1} {
		if (base+multiple-1)/multiple*multiple == m.FFN {
			keys["multiple_of"] = multiple
			return marshal(keys), nil
		}
	}
	multiple := 256
	for m.FFN%multiple != 0 {
		multiple /= 2
	}
	keys["multiple_of"] = multiple
	keys["ffn_dim_multiplier"] = (float64(m.FFN) + 0.5) / float64(base) // half a unit against rounding below
	return marshal(keys), nil
}

func marshal(keys map[string]any) []byte { return modeldir.Marshal(keys) }
