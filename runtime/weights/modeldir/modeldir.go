// Package modeldir handles the files beside the weights in a Hugging Face
// directory: config.json, generation_config.json, the tokenizer's files and chat
// templates. What a run or a conversion writes takes them along, so that other
// programs load it as it is. The package must not know tensors.
package modeldir

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/atomicfile"
)

// carried are the files that transformers reads beside config.json
// (src/transformers/utils/__init__.py, tokenization_utils_base.py), and those that
// the slow and fast tokenizers of Llamas keep.
var carried = []string{
	"generation_config.json", "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
	"added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
}

// templates is the directory of further chat templates.
const templates = "additional_chat_templates"

// Of is the directory in which the files of a checkpoint lie: its own, or that of
// a file.
func Of(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// Files lists the files of dir to take along, as paths below it.
func Files(dir string) []string {
	var out []string
	for _, name := range carried {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			out = append(out, name)
		}
	}
	more, _ := filepath.Glob(filepath.Join(escape(dir), templates, "*.jinja"))
	for _, path := range more {
		out = append(out, filepath.Join(templates, filepath.Base(path)))
	}
	return out
}

// TokenizerFiles lists those of them that are a tokenizer's.
func TokenizerFiles(dir string) []string {
	return slices.DeleteFunc(Files(dir), func(name string) bool {
		return name == "generation_config.json" || strings.HasPrefix(filepath.Base(name), "chat_template") || filepath.Ext(name) == ".jinja"
	})
}

// Others lists the files of dir that are neither weights nor taken along.
func Others(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	taken := append(Files(dir), "config.json")
	var out []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || slices.Contains(taken, name) {
			continue
		}
		switch filepath.Ext(name) {
		case ".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".gguf":
			continue
		}
		if !strings.HasSuffix(name, ".index.json") && name != "params.json" && name != "param_name_map.json" {
			out = append(out, name)
		}
	}
	return out
}

// Copy copies Files of one directory into another and lists them.
func Copy(from, to string) ([]string, error) {
	files := Files(from)
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = Write(filepath.Join(to, name), text)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Complete adds a tokenizer_config.json to a directory that has a tokenizer.model
// and nothing that says how it is used, as MindFormers' directories are. Without it
// transformers puts no BOS before a text. It returns the name, "" if none was added.
func Complete(dir string) (string, error) {
	const name = "tokenizer_config.json"
	for _, known := range []string{name, "tokenizer.json"} {
		if _, err := os.Stat(filepath.Join(dir, known)); err == nil {
			return "", nil
		}
	}
	path := filepath.Join(dir, "tokenizer.model")
	if _, err := os.Stat(path); err != nil {
		return "", nil
	}
	t, err := tokenizer.Load(path)
	if err != nil {
		return "", err
	}
	keys := map[string]any{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "add_eos_token": false, "clean_up_tokenization_spaces": false}
	for key, id := range map[string]int32{"bos_token": t.BOS(), "eos_token": t.EOS(), "unk_token": t.UNK()} {
		if id >= 0 {
			keys[key] = t.Token(id)
		}
	}
	return name, Write(filepath.Join(dir, name), Marshal(keys))
}

// Write writes a small file atomically.
func Write(path string, text []byte) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// Config is the config.json of dir with the type of the weights set (float32, …), and the
// size of a vocabulary that has grown, else 0: nil where there is none, or one of another kind.
func Config(dir, dtype string, vocab int) ([]byte, error) {
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys map[string]any
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber() // as they are written
	if err := dec.Decode(&keys); err != nil {
		return nil, fmt.Errorf("%s is no JSON object: %w", path, err)
	}
	if keys["model_type"] == nil {
		return nil, nil
	}
	set := false
	for _, key := range []string{"torch_dtype", "dtype"} {
		if _, there := keys[key]; there {
			keys[key], set = dtype, true
		}
	}
	if !set {
		keys["torch_dtype"] = dtype
	}
	if vocab > 0 {
		keys["vocab_size"] = vocab
	}
	return Marshal(keys), nil
}

// Llama is what config.json says of a model. Zero means unknown.
type Llama struct {
	Hidden, FFN, Layers, Heads, KVHeads, HeadDim, Vocab int
	MaxPosition                                         int
	Eps, Theta                                          float64
	Scaling                                             map[string]any // rope_scaling, nil for none
	Tied                                                bool           // the head is the embedding
	QKVBias, ProjBias, MLPBias                          bool           // biases of wq, wk, wv; of wo; of w1, w2, w3
	BOS, EOS                                            int            // -1: unknown
}

// Qwen2 reports whether a model has the biases of Qwen2, those of query, key and
// value alone.
func (m *Llama) Qwen2() bool { return m.QKVBias && !m.ProjBias && !m.MLPBias }

// Config is the config.json of a model that has none. dtype is that of the weights,
// as transformers spells it. With biases as in Qwen2 it is one of Qwen2.
func (m Llama) Config(dtype string) ([]byte, error) {
	if m.QKVBias != m.ProjBias && !m.Qwen2() {
		return nil, errors.New("transformers has no model with these biases: a Llama has those of wq, wk, wv and wo together (attention_bias), Qwen2 those of wq, wk and wv alone")
	}
	keys := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_act": "silu",
		"hidden_size": m.Hidden, "intermediate_size": m.FFN, "num_hidden_layers": m.Layers, "num_attention_heads": m.Heads,
		"num_key_value_heads": m.KVHeads, "vocab_size": m.Vocab, "rms_norm_eps": cmp.Or(m.Eps, 1e-5), "rope_theta": cmp.Or(m.Theta, 10000), "rope_scaling": m.Scaling,
		"tie_word_embeddings": m.Tied, "attention_bias": m.ProjBias, "mlp_bias": m.MLPBias, "torch_dtype": dtype,
	}
	if m.Qwen2() {
		keys["architectures"], keys["model_type"] = []string{"Qwen2ForCausalLM"}, "qwen2"
		keys["use_sliding_window"] = false
		delete(keys, "attention_bias")
		delete(keys, "mlp_bias")
	}
	if m.Scaling == nil {
		keys["rope_scaling"] = nil
	}
	if m.Heads*m.HeadDim != m.Hidden {
		keys["head_dim"] = m.HeadDim
	}
	if m.MaxPosition > 0 {
		keys["max_position_embeddings"] = m.MaxPosition
	}
	for key, id := range map[string]int{"bos_token_id": m.BOS, "eos_token_id": m.EOS} {
		if id >= 0 {
			keys[key] = id
		}
	}
	return Marshal(keys), nil
}

// Marshal formats a config.
func Marshal(keys map[string]any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(keys); err != nil {
		panic("BUG: modeldir: a config that is no JSON: " + err.Error())
	}
	return []byte(b.String())
}

// ChatTemplate is the chat template of dir, "" without one. It may be a file of its
// own or a key of tokenizer_config.json, where a list has one of the name default.
// As in transformers, the file counts.
func ChatTemplate(dir string) (string, error) {
	if text, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja")); err == nil {
		return string(text), nil
	}
	for _, name := range []string{"chat_template.json", "tokenizer_config.json"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var keys struct {
			Template any `json:"chat_template"`
		}
		if err := json.Unmarshal(text, &keys); err != nil {
			return "", fmt.Errorf("%s is no JSON object: %w", path, err)
		}
		switch t := keys.Template.(type) {
		case string:
			return t, nil
		case []any:
			for _, item := range t {
				if m, ok := item.(map[string]any); ok && m["name"] == "default" {
					text, _ := m["template"].(string)
					return text, nil
				}
			}
		}
	}
	return "", nil
}

func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
