package naming

import "strings"

// Modules are what PEFT's modules_to_save trains whole and saves beside an adapter: the
// embedding, the head and norms.

// modulePath is the path of the module that a parameter is the weight of; "" for others.
func modulePath(name string) string {
	for _, suffix := range []string{".embedding_weight", ".weight"} {
		if path, ok := strings.CutSuffix(name, suffix); ok {
			return path
		}
	}
	return ""
}

// Whole reports whether a parameter, by its MindFormers name, is the weight of a module
// that can be trained whole beside adapters: of what is no linear of a layer.
func Whole(name string) bool {
	if !Known(name, SchemeMindFormers) || modulePath(name) == "" {
		return false
	}
	return Layer(name) < 0 || strings.HasSuffix(name, "norm.weight")
}

// Selects reports whether an entry of modules_to_save selects the module of a parameter,
// by its MindFormers name: as in PEFT the path of the module ends so, in Hugging Face's
// names or in MindFormers'.
func Selects(entry, name string) bool {
	path := modulePath(name)
	return entry != "" && path != "" && (strings.HasSuffix(path, entry) || strings.HasSuffix(modulePath(HF(name)), entry))
}

// Saved reports whether one of the entries does, and the module can be.
func Saved(entries []string, name string) bool {
	for _, e := range entries {
		if Selects(e, name) {
			return Whole(name)
		}
	}
	return false
}

// modules are the names of MindFormers' modules that PEFT knows under others.
var modules = map[string]string{"tok_embeddings": "embed_tokens", "norm_out": "model.norm", "attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}

// SavedEntry is an entry of modules_to_save in PEFT's names.
func SavedEntry(entry string) string {
	last := entry[strings.LastIndexByte(entry, '.')+1:]
	their, ok := modules[last]
	switch {
	case !ok:
		return entry
	case last == "norm_out":
		return their
	}
	return strings.TrimSuffix(entry, last) + their
}

// Embeddings are the parameters with a row for each entry of the vocabulary, in
// MindFormers' names.
var Embeddings = []string{"model.tok_embeddings.embedding_weight", "lm_head.weight"}
