package gguf

import (
	"fmt"

	"lorac/runtime/data/tokenizer"
)

// Tokenizer is the tokenizer of the file; nil if it has none.
func (f *File) Tokenizer() (*tokenizer.Tokenizer, error) {
	model, ok := f.Meta["tokenizer.ggml.model"].(string)
	if !ok {
		return nil, nil
	}
	if model != "llama" {
		return nil, fmt.Errorf("tokenizer.ggml.model is %q; only llama (SentencePiece) is supported", model)
	}
	v := tokenizer.Vocabulary{Prefix: true, BOS: 1, EOS: 2}
	v.Texts, _ = f.Meta["tokenizer.ggml.tokens"].([]string)
	scores, _ := f.Meta["tokenizer.ggml.scores"].([]any)
	for _, s := range scores {
		x, ok := s.(float64)
		if !ok {
			return nil, fmt.Errorf("a score is a %T", s)
		}
		v.Scores = append(v.Scores, float32(x))
	}
	kinds, _ := f.Meta["tokenizer.ggml.token_type"].([]any)
	for _, k := range kinds {
		n, ok := k.(int64)
		if !ok {
			return nil, fmt.Errorf("a token type is a %T", k)
		}
		v.Kinds = append(v.Kinds, int(n))
	}
	if prefix, ok := f.Meta["tokenizer.ggml.add_space_prefix"].(bool); ok {
		v.Prefix = prefix
	}
	for key, to := range map[string]*int{"tokenizer.ggml.bos_token_id": &v.BOS, "tokenizer.ggml.eos_token_id": &v.EOS} {
		if n, ok := f.Int(key); ok {
			*to = n
		}
	}
	for key, to := range map[string]**bool{"tokenizer.ggml.add_bos_token": &v.AddBOS, "tokenizer.ggml.add_eos_token": &v.AddEOS} {
		if adds, ok := f.Meta[key].(bool); ok {
			*to = &adds
		}
	}
	return tokenizer.FromVocabulary(v)
}
