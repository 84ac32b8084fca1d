package formats

import (
	"fmt"
	"strings"

	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
)

// agree refuses a base whose files contradict each other or what is known, and
// one that is no Llama: what is written would be another model.
func (s *Source) agree(known *Model) error {
	list, err := weights.Claims(s.Path, s.set)
	if err != nil {
		return err
	}
	s.Noted = claims.Notes(nil, list)
	for _, c := range list {
		if c.Foreign != "" {
			return fmt.Errorf("%s is %s in %s, and %s in the Llama that would be written\n  = help: give a base that is a Llama; --base_config ignore continues as if that line were not there", c.Key, c.Said(), c.Place, c.Foreign)
		}
		if window, ok := c.Value.(int); ok && c.Key == "sliding_window" && window > 0 && s.Model.MaxPosition > window {
			return fmt.Errorf("the base attends to the last %d tokens only, as %s says, which the formats here cannot say\n  = help: --base_config ignore continues without, which is the same for texts that are no longer", window, c.Place)
		}
	}
	list = append(known.claims(), list...)
	stated := list[:0:0]
	for _, c := range list {
		if !c.Shape && !c.IsID() { // shapes are compared with the sizes that are known; ids are copied
			stated = append(stated, c)
		}
	}
	if a, b, ok := claims.Agree(stated); !ok {
		return fmt.Errorf("`%s` is %s in %s, and %s in %s\n  = help: mend the one that is wrong; %s", a.Key, a.Said(), a.Place, b.Said(), b.Place, wayOut(a.Key))
	}
	return nil
}

func wayOut(key string) string {
	if key == "tie_word_embeddings" {
		return "with `\"tie_word_embeddings\": false` in config.json the head of the file is kept; --base_config ignore drops it where the config ties"
	}
	return "--base_config ignore continues with --config, or with config.json where that is not given"
}

// claims are what is known of a model beyond its files.
func (m *Model) claims() []claims.Claim {
	if m == nil {
		return nil
	}
	text, err := m.hfConfig("F32")
	if err != nil {
		return nil
	}
	list, err := claims.HuggingFace("--config", text)
	if err != nil {
		return nil
	}
	var out []claims.Claim
	for _, c := range list {
		if n, ok := c.Value.(int); ok && n == 0 || c.Key == "rms_norm_eps" && m.Eps == 0 || c.Key == "theta" && m.Theta == 0 {
			continue // it is not known
		}
		if c.Value == false && strings.HasSuffix(c.Key, "_has_bias") {
			continue // a config may say nothing of biases
		}
		c.Place.Line = 0
		out = append(out, c)
	}
	return out
}

// ggufScaling is how the rotary frequencies of a GGUF file are scaled, as Hugging
// Face has it; nil for not at all.
func ggufScaling(path string) (map[string]any, error) {
	list, err := weights.Claims(path, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		r, ok := c.Value.(claims.Rope)
		if !ok || c.Place.File != weights.GGUF(path) {
			continue
		}
		if r.Method == "none" {
			return nil, nil
		}
		out := map[string]any{"rope_type": r.Method}
		for k, x := range r.Factors {
			out[k] = x
		}
		return out, nil
	}
	return nil, nil
}
