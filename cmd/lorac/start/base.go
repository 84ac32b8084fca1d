// Package start makes configs for who has none: of base weights, and of the configs of
// other programs, whose keys it accounts for. It must not know how a config is compiled.
package start

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/ir/diag"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/kind"
)

// IsBase reports whether a path that is given in the place of a config is base weights:
// a directory, or a file that is no text.
func IsBase(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case info.IsDir() || strings.HasSuffix(path, ".safetensors.index.json"):
		return true
	case slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(filepath.Ext(path))):
		return false
	}
	head := kind.Head(path)
	wide := bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) // a text in UTF-16
	return bytes.IndexByte(head, 0) >= 0 && !wide
}

// Claims lists what the files at a path say of the model.
type Claims func(path string) ([]claims.Claim, error)

// FromBase drafts the config of a LoRA fine-tuning of base weights. Overrides are keys
// that the user gives; those of the model count where the files do not say them.
func FromBase(path string, read Claims, overrides []config.Override) (*Draft, diag.List) {
	at := diag.Pos{File: filepath.ToSlash(path)}
	overrides = slices.DeleteFunc(slices.Clone(overrides), func(o config.Override) bool { return !OfModel(o.Path) })
	said, err := read(path)
	if err != nil {
		return nil, diag.List{diag.Errorf(at, "base", "what is said of the base weights cannot be read").WithHelp("mend or remove the file").Because(err)}
	}
	d := usual(path)
	for _, c := range said {
		n, _ := c.Value.(int)
		if n > 0 && c.Foreign == "" && slices.Contains([]string{"max_position_embeddings", "sliding_window"}, c.Key) {
			d.SeqLength = min(d.SeqLength, n)
		}
	}
	if missing := unsaid(said, overrides, sizes...); len(missing) > 0 {
		return nil, diag.List{diag.Errorf(at, "base", "nothing in %s or beside it says `%s` of the model", path, strings.Join(missing, "`, `")).
			WithHelp("give them: lorac init %s%s; or put the model's config.json beside the weights", human.ShellWord(path), flags(missing))}
	}
	probe := fmt.Sprintf("load_checkpoint: %s\nmodel: {arch: {type: LlamaForCausalLM}, model_config: {type: LlamaConfig, seq_length: %d}}\n", quote(path), d.SeqLength)
	on := &config.Base{Claims: func(path string, _ bool, _ string) ([]claims.Claim, error) { return said, nil }}
	cfg, list := config.CheckBytesOn(at.File, []byte(probe), overrides, on)
	if list.HasErrors() {
		return nil, list
	}
	d.Model, d.SeqLength, d.unsaid = cfg.Model, cfg.Model.SeqLength.V, unsaid(said, overrides, "rms_norm_eps", "theta")
	for _, c := range said {
		if n, ok := c.Value.(int); ok && c.Key == "max_position_embeddings" {
			d.Longest = n
		}
	}
	if cfg.Parameters() < small {
		d.LR = 1e-3
	}
	d.ids(said)
	return d, nil
}

// OfModel reports whether a key is one of the model, and not of its adapter.
func OfModel(key string) bool {
	return strings.HasPrefix(key, "model.model_config.") && !strings.HasPrefix(key, "model.model_config.pet_config")
}

// small is a number of parameters below which an adapter is so small that it takes a
// greater learning rate.
const small = 50_000_000

// sizes are the facts without which no network can be built.
var sizes = []string{"hidden_size", "intermediate_size", "num_layers", "num_heads", "vocab_size"}

// unsaid are those of some keys that neither the files nor the user say.
func unsaid(said []claims.Claim, overrides []config.Override, keys ...string) (list []string) {
	for _, key := range keys {
		known := slices.ContainsFunc(said, func(c claims.Claim) bool { return c.Key == key || c.Foreign != "" }) ||
			slices.ContainsFunc(overrides, func(o config.Override) bool { return o.Path == "model.model_config."+key })
		if !known {
			list = append(list, key)
		}
	}
	return list
}

func flags(keys []string) string {
	text := ""
	for _, k := range keys {
		text += " --model.model_config." + k + " N"
	}
	return text
}

// ids completes the control tokens from the tokenizer, and finds an id that no text has:
// tokens of pad_token_id inside a row are not attended to.
func (d *Draft) ids(said []claims.Claim) {
	file, inside := weights.TokenizerFile(d.Base)
	d.Tokenizer = file
	load := tokenizer.Load
	if inside {
		load = weights.Tokenizer
	}
	var t *tokenizer.Tokenizer
	if file != "" {
		var err error
		if t, err = load(file); err != nil {
			d.Notes = append(d.Notes, fmt.Sprintf("the tokenizer cannot be used: %v", err))
		}
		if t == nil {
			d.Tokenizer = ""
		}
	}
	d.tok = t
	m := &d.Model
	tells := func(key string) bool {
		return slices.ContainsFunc(said, func(c claims.Claim) bool { return c.Key == key })
	}
	if t != nil {
		if id := t.BOS(); id >= 0 && !tells("bos_token_id") && !m.BosID.Set() {
			m.BosID.V = int(id)
		}
		if id := t.EOS(); id >= 0 && !tells("eos_token_id") && !m.EosIDs.Set() {
			m.EosIDs.V = []int{int(id)}
		}
	}
	if !tells("pad_token_id") && !m.PadID.Set() {
		m.PadID.V = padding(t, m.EosIDs.V)
	}
}

// pads are control tokens that texts do not have, by their names.
var pads = []string{"<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|pad|>", "<|PAD_TOKEN|>", "<|endoftext|>", "<|reserved_special_token_0|>", "<unk>"}

// padding is the id that a tokenizer pads with, else that of a control token which no text
// has; -1: none.
func padding(t *tokenizer.Tokenizer, ends []int) int {
	if t == nil {
		return -1
	}
	free := func(id int32) bool {
		return id >= 0 && t.Special(id) && !slices.Contains(ends, int(id)) && id != t.BOS()
	}
	if id := t.PAD(); free(id) {
		return int(id)
	}
	byName := map[string]int32{}
	for id := range int32(t.Size()) {
		if t.Special(id) {
			byName[t.Token(id)] = id
		}
	}
	for _, name := range pads {
		if id, ok := byName[name]; ok && free(id) {
			return int(id)
		}
	}
	if id := t.UNK(); id >= 0 && !slices.Contains(ends, int(id)) {
		return int(id)
	}
	return -1
}
