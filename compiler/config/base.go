package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lorac/ir/diag"
	"lorac/runtime/weights/claims"
)

// Base is what the files of the base weights say of their model, for a config to
// be compared with.
type Base struct {
	// Claims lists what the files at load_checkpoint say; trans and strategy are
	// auto_trans_ckpt and src_strategy_path_or_dir. It may know a path that counts
	// instead of the config's.
	Claims func(checkpoint string, trans bool, strategy string) ([]claims.Claim, error)
	// Ignore continues with the config where it differs, and takes nothing.
	Ignore bool
}

// CheckOn is Check for base weights: a key that the config does not write takes
// what they say, one that it writes and that contradicts is an error.
func CheckOn(path string, overrides []Override, b *Base) (*Config, diag.List) {
	return check(path, overrides, b)
}

// LoadOn is CheckOn; the config is nil if the list has errors.
func LoadOn(path string, overrides []Override, b *Base) (*Config, diag.List) {
	return orNil(CheckOn(path, overrides, b))
}

// writes lists the keys that say a fact, where it is not one of the same name.
var writes = map[string][]string{
	"intermediate_size": {"intermediate_size", "multiple_of", "ffn_dim_multiplier"},
	"extend_method":     {"extend_method", "scaling_factor"},
}

// usual are MindFormers' defaults as claims spell them.
var usual = map[string]string{"theta": "10000", "rms_norm_eps": "1.0e-05", "extend_method": "None", "tie_word_embeddings": "False", "qkv_has_bias": "False", "attn_proj_has_bias": "False", "mlp_has_bias": "False",
	"bos_token_id": "1", "eos_token_id": "2", "pad_token_id": "0"}

// written reports whether the config says a fact itself.
func (l *loader) written(key string) bool {
	keys := writes[key]
	if keys == nil {
		keys = []string{key}
	}
	for _, k := range keys {
		n := l.root.get(mc + k)
		if !n.empty() && !(k == "scaling_factor" && (n.value == 1 || n.value == 1.0)) {
			return true
		}
	}
	return false
}

// take gives keys that the config does not write the values of the base's files.
func (l *loader) take() {
	if l.base == nil || !l.root.get("model.model_config").isMap() {
		return
	}
	text := func(path string) string {
		if n := l.root.get(path); !n.empty() && !n.isMap() {
			return n.raw
		}
		return ""
	}
	trans := l.root.get("auto_trans_ckpt")
	checkpoint := text("load_checkpoint")
	if other := text(mc + "checkpoint_name_or_path"); checkpoint == "" && strings.ContainsAny(other, `/\.`) {
		checkpoint = other
	}
	list, err := l.base.Claims(checkpoint, trans != nil && trans.value == true, text("src_strategy_path_or_dir"))
	if l.base.Ignore {
		l.claims = list
		return
	}
	if err != nil {
		l.errorf(l.root.get("model.model_config").keyPos, "base", "what is said of the base weights cannot be read").
			WithHelp("mend or remove the file; --base_config ignore continues with the YAML alone").Because(err)
		return
	}
	l.claims = list
	seq, ok := asInt(orNull(l.root.get(mc + "seq_length")))
	if !ok {
		seq = 2048 // MindFormers' default
	}
	for i, c := range list {
		if l.spoken(list, i) || l.written(c.Key) {
			continue
		}
		keys, values := c.Settings(seq)
		if len(values) == 1 && values[0] == usual[c.Key] {
			continue // it is what a missing key means
		}
		for i, key := range keys {
			l.override(Override{Path: mc + key, Value: values[i], Origin: c.Place.String()})
		}
		if len(keys) > 0 {
			l.c.Base.Taken = append(l.c.Base.Taken, fmt.Sprintf("`%s` is %s, from %s: the config does not write it", c.Key, c.Said(), c.Place))
		}
	}
}

func orNull(n *node) *node {
	if n == nil {
		return &node{}
	}
	return n
}

// spoken reports whether another claim than the one at an index counts for its
// key: an earlier one, or one that more than shapes show. Where such claims
// contradict each other, none counts, which is an error.
func (l *loader) spoken(list []claims.Claim, at int) bool {
	c := list[at]
	if c.Foreign != "" {
		return true
	}
	var same []claims.Claim
	for i, o := range list {
		if o.Key != c.Key || o.Foreign != "" {
			continue
		}
		if c.Shape && !o.Shape || i < at && o.Shape == c.Shape {
			return true
		}
		if !o.Shape {
			same = append(same, o)
		}
	}
	a, b, ok := claims.Agree(same)
	if ok {
		return false
	}
	l.disputed = append(l.disputed, c.Key)
	d := l.errorf(l.root.get("model.model_config").keyPos, "base", "the files of the base weights contradict each other about `%s`", c.Key).
		At(posOf(a.Place), "%s here", a.Said()).At(posOf(b.Place), "%s here", b.Said()).
		WithHelp("mend the one that is wrong; or write %s in the config, and --base_config ignore continues with that", c.Key)
	if c.Key == "tie_word_embeddings" {
		d.WithHelp("mend config.json or the weights; or write tie_word_embeddings: False to train with the head that is in the file, with --base_config ignore")
	}
	return true
}

// posOf is a place in a file of the base.
func posOf(p claims.Place) Pos {
	if p.Line == 0 {
		return Pos{File: p.String()}
	}
	return Pos{File: p.File, Line: p.Line, Col: 1}
}

// facts are those of the config.
func (c *Config) facts() *claims.Facts {
	m := &c.Model
	return &claims.Facts{Hidden: m.Hidden.V, FFN: m.FFN.V, Layers: m.Layers.V, Heads: m.Heads.V, KVHeads: m.KVHeads.V, Vocab: m.Vocab.V,
		SeqLength: m.SeqLength.V, Eps: m.RMSEps.V, Theta: m.Theta.V, Method: m.RopeMethod.V, Factors: m.RopeFactors, Tied: m.TieEmbeddings.V, QKVBias: m.QKVBias.V, ProjBias: m.ProjBias.V, MLPBias: m.MLPBias.V,
		BOS: m.BosID.V, Pad: m.PadID.V, EOS: m.EosIDs.V, Grows: c.Grows()}
}

// place is where the config says a fact.
func (c *Config) place(key string) (at Pos, ok bool) {
	m := &c.Model
	at, ok = map[string]Pos{"hidden_size": m.Hidden.At, "intermediate_size": m.FFN.At, "num_layers": m.Layers.At, "num_heads": m.Heads.At, "n_kv_heads": m.KVHeads.At,
		"head_dim": m.Heads.At, "vocab_size": m.Vocab.At, "rms_norm_eps": m.RMSEps.At, "theta": m.Theta.At, "extend_method": m.RopeMethod.At,
		"inv_freq": m.Theta.At, "tie_word_embeddings": m.TieEmbeddings.At, "qkv_has_bias": m.QKVBias.At, "attn_proj_has_bias": m.ProjBias.At, "mlp_has_bias": m.MLPBias.At, "sliding_window": m.SeqLength.At,
		"bos_token_id": m.BosID.At, "eos_token_id": m.EosIDs.At, "pad_token_id": m.PadID.At}[key]
	return at, ok
}

// contradictions compares the config with what the base's files say.
func (l *loader) contradictions() {
	if len(l.claims) == 0 || l.c.Model.Hidden.Origin == "" {
		return
	}
	l.c.Base.Noted = claims.Notes(l.c.facts(), l.claims)
	list := claims.Compare(l.c.facts(), l.claims)
	heads := false
	for _, d := range list {
		heads = heads || d.Key == "num_heads" || d.Key == "hidden_size"
	}
	for _, d := range list {
		if d.Key == "head_dim" && heads {
			continue // which follows from them
		}
		if slices.Contains(l.disputed, d.Key) {
			continue // that the files contradict each other is said
		}
		if l.base.Ignore {
			l.c.Base.Ignored = append(l.c.Base.Ignored, fmt.Sprintf("`%s` is %s, though %s says %s", d.Key, d.Ours, d.Place, d.Said()))
			continue
		}
		if d.Foreign != "" {
			l.otherNetwork(d)
			continue
		}
		at, _ := l.c.place(d.Key)
		diagnostic := l.errorf(at, "base", "`%s` is %s here, and %s in %s", d.Key, d.Ours, d.Said(), d.Place).
			WithLabel("%s", d.Ours).At(posOf(d.Place), "%s", d.Said()).
			WithHelp("the base was trained as its file says: set %s; --base_config ignore continues with the YAML, and that is recorded with the adapter", l.wayOut(d))
		if d.Key == "vocab_size" && l.c.LoRA != nil && !l.c.Grows() && l.c.Model.Vocab.V > vocabularyOf(d) {
			diagnostic.WithHelp("rows that a larger vocabulary adds must train: set modules_to_save: [embed_tokens, lm_head] in pet_config; or vocab_size: %s, as the base has it", d.Said())
		}
		if d.Key == "sliding_window" {
			diagnostic.Message = fmt.Sprintf("`seq_length` is %d, and the base attends to the last %s tokens only, as %s says", l.c.Model.SeqLength.V, d.Said(), d.Place)
		}
	}
}

// vocabularyOf is the size that a file gives the vocabulary.
func vocabularyOf(d claims.Difference) int {
	if n, err := strconv.Atoi(d.Said()); err == nil {
		return n
	}
	return math.MaxInt
}

// wayOut is what to write in the YAML.
func (l *loader) wayOut(d claims.Difference) string {
	switch d.Key {
	case "sliding_window":
		return fmt.Sprintf("seq_length: %s, or less", d.Said())
	case "inv_freq":
		if theta := d.Value.(claims.Freqs).Theta(); theta != 0 {
			return "theta: " + claims.Text(theta)
		}
		return "theta and extend_method so that they give these frequencies"
	case "head_dim":
		return "num_heads so that hidden_size/num_heads is that (other heads are not supported)"
	}
	keys, values := d.Settings(l.c.Model.SeqLength.V)
	for i := range keys {
		keys[i] += ": " + values[i]
	}
	if len(keys) == 0 {
		return "a seq_length of at most " + claims.Text(d.Value.(claims.Rope).Factors["original_max_position_embeddings"])
	}
	return strings.Join(keys, ", ")
}

// otherNetwork reports what no config could say.
func (l *loader) otherNetwork(d claims.Difference) {
	n := l.root.get("model.arch.type")
	if n == nil {
		n = l.root.get("model.model_config")
	}
	l.errorf(n.pos, "base", "the base is another network: %s is %s in %s, lorac's Llama has %s", d.Key, d.Said(), d.Place, d.Foreign).
		At(posOf(d.Place), "%s", d.Said()).
		WithHelp("give a base that is a Llama; --base_config ignore trains as if that line were not there, and is recorded with the adapter")
}

// BaseReport is how the files of the base weights and the config came together,
// in sentences.
type BaseReport struct {
	Taken   []string // keys that the config does not write
	Ignored []string // differences, with --base_config ignore
	Noted   []string // what is not compared and could matter
}

// Notes lists both.
func (b *BaseReport) Notes() []string {
	var out []string
	for _, s := range b.Taken {
		out = append(out, "base: "+s)
	}
	for _, s := range b.Noted {
		out = append(out, "base: "+s)
	}
	for _, s := range b.Ignored {
		out = append(out, "--base_config ignore: "+s)
	}
	return out
}
