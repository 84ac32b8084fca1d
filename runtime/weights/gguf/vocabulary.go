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
	switch model {
	case "llama":
		return f.sentencePiece()
	case "gpt2":
		return f.byteLevel()
	}
	return nil, fmt.Errorf("tokenizer.ggml.model is %q; llama (SentencePiece) and gpt2 (byte-level) are supported", model)
}

// byteLevel is a tokenizer of model gpt2.
func (f *File) byteLevel() (*tokenizer.Tokenizer, error) {
	v := tokenizer.ByteVocabulary{BOS: -1, EOS: -1, PAD: -1}
	v.Texts, _ = f.Meta["tokenizer.ggml.tokens"].([]string)
	v.Merges, _ = f.Meta["tokenizer.ggml.merges"].([]string)
	v.Pre, _ = f.Meta["tokenizer.ggml.pre"].(string)
	var err error
	if v.Kinds, err = f.tokenTypes(); err != nil {
		return nil, err
	}
	for key, to := range map[string]*int{"bos": &v.BOS, "eos": &v.EOS, "padding": &v.PAD} {
		if n, ok := f.Int("tokenizer.ggml." + key + "_token_id"); ok {
			*to = n
		}
	}
	v.AddBOS, v.AddEOS = f.ends()
	return tokenizer.FromByteVocabulary(v)
}

// sentencePiece is a tokenizer of model llama.
func (f *File) sentencePiece() (*tokenizer.Tokenizer, error) {
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
	var err error
	if v.Kinds, err = f.tokenTypes(); err != nil {
		return nil, err
	}
	if prefix, ok := f.Meta["tokenizer.ggml.add_space_prefix"].(bool); ok {
		v.Prefix = prefix
	}
	for key, to := range map[string]*int{"tokenizer.ggml.bos_token_id": &v.BOS, "tokenizer.ggml.eos_token_id": &v.EOS} {
		if n, ok := f.Int(key); ok {
			*to = n
		}
	}
	v.AddBOS, v.AddEOS = f.ends()
	return tokenizer.FromVocabulary(v)
}

// tokenTypes is what each token is for.
func (f *File) tokenTypes() (list []int, err error) {
	kinds, _ := f.Meta["tokenizer.ggml.token_type"].([]any)
	for _, k := range kinds {
		n, ok := k.(int64)
		if !ok {
			return nil, fmt.Errorf("a token type is a %T", k)
		}
		list = append(list, int(n))
	}
	return list, nil
}

// ends says whether texts begin with BOS and end with EOS; nil where the file says
// nothing.
func (f *File) ends() (bos, eos *bool) {
	for key, to := range map[string]**bool{"tokenizer.ggml.add_bos_token": &bos, "tokenizer.ggml.add_eos_token": &eos} {
		if adds, ok := f.Meta[key].(bool); ok {
			*to = &adds
		}
	}
	return bos, eos
}
