// Package naming is the one table of parameter names: the names of the tensors of
// a Llama and of its adapters in MindFormers, Hugging Face and others. It must not
// know how tensors are stored.
package naming

import (
	"strconv"
	"strings"
)

// Scheme is a naming scheme for the parameters of a Llama.
type Scheme int

// The known schemes. A further one is a constant here and a column of table.
const (
	SchemeMindFormers Scheme = iota
	SchemeHuggingFace
	SchemeGGUF      // llama.cpp
	SchemeMeta      // consolidated.NN.pth; llama2.c has these parameters without names
	SchemeTorchtune // torchtune
	schemes
)

func (s Scheme) String() string {
	return [schemes]string{"MindFormers", "Hugging Face", "GGUF", "Meta", "torchtune"}[s]
}

// table is the one list of parameter names, a row per parameter, a column per
// scheme; # stands for the index of a layer. MindFormers and Hugging Face use
// the rotate-half layout of rotary pairs, so between them a name is all that
// changes (MindFormers r1.3 mindformers/models/llama/convert_weight.py); see
// Paired for the others.
var table = [][schemes]string{
	{SchemeMindFormers: "model.tok_embeddings.embedding_weight", SchemeHuggingFace: "model.embed_tokens.weight", SchemeGGUF: "token_embd.weight",
		SchemeMeta: "tok_embeddings.weight", SchemeTorchtune: "tok_embeddings.weight"},
	{SchemeMindFormers: "model.layers.#.attention_norm.weight", SchemeHuggingFace: "model.layers.#.input_layernorm.weight", SchemeGGUF: "blk.#.attn_norm.weight",
		SchemeMeta: "layers.#.attention_norm.weight", SchemeTorchtune: "layers.#.sa_norm.scale"},
	{SchemeMindFormers: "model.layers.#.attention.wq.weight", SchemeHuggingFace: "model.layers.#.self_attn.q_proj.weight", SchemeGGUF: "blk.#.attn_q.weight",
		SchemeMeta: "layers.#.attention.wq.weight", SchemeTorchtune: "layers.#.attn.q_proj.weight"},
	{SchemeMindFormers: "model.layers.#.attention.wk.weight", SchemeHuggingFace: "model.layers.#.self_attn.k_proj.weight", SchemeGGUF: "blk.#.attn_k.weight",
		SchemeMeta: "layers.#.attention.wk.weight", SchemeTorchtune: "layers.#.attn.k_proj.weight"},
	{SchemeMindFormers: "model.layers.#.attention.wv.weight", SchemeHuggingFace: "model.layers.#.self_attn.v_proj.weight", SchemeGGUF: "blk.#.attn_v.weight",
		SchemeMeta: "layers.#.attention.wv.weight", SchemeTorchtune: "layers.#.attn.v_proj.weight"},
	{SchemeMindFormers: "model.layers.#.attention.wo.weight", SchemeHuggingFace: "model.layers.#.self_attn.o_proj.weight", SchemeGGUF: "blk.#.attn_output.weight",
		SchemeMeta: "layers.#.attention.wo.weight", SchemeTorchtune: "layers.#.attn.output_proj.weight"},
	{SchemeMindFormers: "model.layers.#.ffn_norm.weight", SchemeHuggingFace: "model.layers.#.post_attention_layernorm.weight", SchemeGGUF: "blk.#.ffn_norm.weight",
		SchemeMeta: "layers.#.ffn_norm.weight", SchemeTorchtune: "layers.#.mlp_norm.scale"},
	{SchemeMindFormers: "model.layers.#.feed_forward.w1.weight", SchemeHuggingFace: "model.layers.#.mlp.gate_proj.weight", SchemeGGUF: "blk.#.ffn_gate.weight",
		SchemeMeta: "layers.#.feed_forward.w1.weight", SchemeTorchtune: "layers.#.mlp.w1.weight"},
	{SchemeMindFormers: "model.layers.#.feed_forward.w2.weight", SchemeHuggingFace: "model.layers.#.mlp.down_proj.weight", SchemeGGUF: "blk.#.ffn_down.weight",
		SchemeMeta: "layers.#.feed_forward.w2.weight", SchemeTorchtune: "layers.#.mlp.w2.weight"},
	{SchemeMindFormers: "model.layers.#.feed_forward.w3.weight", SchemeHuggingFace: "model.layers.#.mlp.up_proj.weight", SchemeGGUF: "blk.#.ffn_up.weight",
		SchemeMeta: "layers.#.feed_forward.w3.weight", SchemeTorchtune: "layers.#.mlp.w3.weight"},
	{SchemeMindFormers: "model.norm_out.weight", SchemeHuggingFace: "model.norm.weight", SchemeGGUF: "output_norm.weight",
		SchemeMeta: "norm.weight", SchemeTorchtune: "norm.scale"},
	{SchemeMindFormers: "lm_head.weight", SchemeHuggingFace: "lm_head.weight", SchemeGGUF: "output.weight",
		SchemeMeta: "output.weight", SchemeTorchtune: "output.weight"},
	// Biases of linears, which a model may have; Meta's has none.
	{SchemeMindFormers: "model.layers.#.attention.wq.bias", SchemeHuggingFace: "model.layers.#.self_attn.q_proj.bias", SchemeGGUF: "blk.#.attn_q.bias",
		SchemeTorchtune: "layers.#.attn.q_proj.bias"},
	{SchemeMindFormers: "model.layers.#.attention.wk.bias", SchemeHuggingFace: "model.layers.#.self_attn.k_proj.bias", SchemeGGUF: "blk.#.attn_k.bias",
		SchemeTorchtune: "layers.#.attn.k_proj.bias"},
	{SchemeMindFormers: "model.layers.#.attention.wv.bias", SchemeHuggingFace: "model.layers.#.self_attn.v_proj.bias", SchemeGGUF: "blk.#.attn_v.bias",
		SchemeTorchtune: "layers.#.attn.v_proj.bias"},
	{SchemeMindFormers: "model.layers.#.attention.wo.bias", SchemeHuggingFace: "model.layers.#.self_attn.o_proj.bias", SchemeGGUF: "blk.#.attn_output.bias",
		SchemeTorchtune: "layers.#.attn.output_proj.bias"},
	{SchemeMindFormers: "model.layers.#.feed_forward.w1.bias", SchemeHuggingFace: "model.layers.#.mlp.gate_proj.bias", SchemeGGUF: "blk.#.ffn_gate.bias",
		SchemeTorchtune: "layers.#.mlp.w1.bias"},
	{SchemeMindFormers: "model.layers.#.feed_forward.w2.bias", SchemeHuggingFace: "model.layers.#.mlp.down_proj.bias", SchemeGGUF: "blk.#.ffn_down.bias",
		SchemeTorchtune: "layers.#.mlp.w2.bias"},
	{SchemeMindFormers: "model.layers.#.feed_forward.w3.bias", SchemeHuggingFace: "model.layers.#.mlp.up_proj.bias", SchemeGGUF: "blk.#.ffn_up.bias",
		SchemeTorchtune: "layers.#.mlp.w3.bias"},
}

// BiasOf is the name of the bias of a linear by that of its weight, in any scheme;
// "" for a parameter that has none.
func BiasOf(weight string, s Scheme) string {
	bias := strings.TrimSuffix(weight, ".weight") + ".bias"
	if bias != weight+".bias" && Known(bias, s) {
		return bias
	}
	return ""
}

// BiasKey is the key of model_config that gives a model a bias, by its MindFormers name;
// "" for what is no bias of a linear.
func BiasKey(name string) string {
	switch {
	case !strings.HasSuffix(name, ".bias") || !Known(name, SchemeMindFormers):
		return ""
	case strings.Contains(name, ".feed_forward."):
		return "mlp_has_bias"
	case strings.HasSuffix(name, ".wo.bias"):
		return "attn_proj_has_bias"
	}
	return "qkv_has_bias"
}

// LikeQwen2 reports whether names are those of a model with the biases of Qwen2: of
// query, key and value alone. Schemes with rotary pairs have its rows in halves.
func LikeQwen2(names []string, s Scheme) bool {
	found := map[string]bool{}
	for _, name := range names {
		if mf, ok := Translate(name, s, SchemeMindFormers); ok {
			found[BiasKey(mf)] = true
		}
	}
	return found["qkv_has_bias"] && !found["attn_proj_has_bias"] && !found["mlp_has_bias"]
}

// IsBias reports whether a name is that of the bias of a linear.
func IsBias(name string, s Scheme) bool { return strings.HasSuffix(name, ".bias") && Known(name, s) }

// joined are the MindFormers linears of `qkv_concat: True`, which concatenate the
// rows of several linears. Other schemes store them separately.
var joined = []struct {
	name  string
	parts []string
}{
	{"model.layers.#.attention.w_qkv.weight", []string{
		"model.layers.#.attention.wq.weight", "model.layers.#.attention.wk.weight", "model.layers.#.attention.wv.weight"}},
	{"model.layers.#.feed_forward.w_gate_hidden.weight", []string{
		"model.layers.#.feed_forward.w1.weight", "model.layers.#.feed_forward.w3.weight"}},
	{"model.layers.#.attention.w_qkv.bias", []string{
		"model.layers.#.attention.wq.bias", "model.layers.#.attention.wk.bias", "model.layers.#.attention.wv.bias"}},
	{"model.layers.#.feed_forward.w_gate_hidden.bias", []string{
		"model.layers.#.feed_forward.w1.bias", "model.layers.#.feed_forward.w3.bias"}},
}

// PEFTPrefix precedes every name in a PEFT adapter.
const PEFTPrefix = "base_model.model."

// loraName is how a scheme names the two factors of the adapter of a linear, and
// DoRA's magnitudes: prefix + the linear's path + one of the suffixes. The first suffix
// of each list is written, all are read; a list that is empty has no such name.
var loraName = [schemes]loraRule{
	SchemeMindFormers: {"",
		[]string{".mindpet_delta_lora_a", ".mindpet_delta_lora_A", ".tk_delta_lora_a"},
		[]string{".mindpet_delta_lora_b", ".mindpet_delta_lora_B", ".tk_delta_lora_b"},
		[]string{".mindpet_delta_lora_magnitude"}},
	SchemeHuggingFace: {PEFTPrefix,
		[]string{".lora_A.weight", ".lora_A.default.weight"},
		[]string{".lora_B.weight", ".lora_B.default.weight"},
		[]string{".lora_magnitude_vector", ".lora_magnitude_vector.weight", ".lora_magnitude_vector.default.weight"}},
	SchemeGGUF:      {"", []string{".weight.lora_a"}, []string{".weight.lora_b"}, nil},
	SchemeTorchtune: {"", []string{".lora_a.weight"}, []string{".lora_b.weight"}, nil},
}

type loraRule struct {
	prefix  string
	a, b, m []string
}

// of is the suffixes of a factor.
func (r *loraRule) of(f Factor) []string {
	return map[Factor][]string{FactorA: r.a, FactorB: r.b, Magnitudes: r.m}[f]
}

// Paired reports whether a scheme stores the rows of a matrix in rotary pairs:
// rows 2j and 2j+1 of a head are rotated together, instead of j and j+headDim/2.
// Only linears of queries and keys can be, their biases as well.
func (s Scheme) Paired(name string) bool {
	if s == SchemeMindFormers || s == SchemeHuggingFace {
		return false
	}
	mf, ok := Translate(name, s, SchemeMindFormers)
	if linear, f, adapter := SplitLoRA(mf, SchemeMindFormers); adapter && f == FactorB {
		mf = linear + ".weight" // the rows of B are those of the linear
	}
	for _, suffix := range []string{".wq.weight", ".wk.weight", ".wq.bias", ".wk.bias"} {
		if ok && strings.HasSuffix(mf, suffix) {
			return true
		}
	}
	return false
}

// Translate renames a parameter, base or LoRA factor, from one scheme to
// another. It reports false for a name that `from` does not have, and for one
// that has no single counterpart in `to` (see Parts).
func Translate(name string, from, to Scheme) (string, bool) {
	if linear, factor, ok := SplitLoRA(name, from); ok {
		if linear, ok = TranslateLinear(linear, from, to); ok && loraName[to].of(factor) != nil {
			return LoRAName(linear, factor, to), true
		}
		return "", false
	}
	for _, row := range table {
		if layer, ok := matchPattern(row[from], name); ok && row[from] != "" {
			return fillPattern(row[to], layer), row[to] != ""
		}
	}
	return "", false
}

// TranslateLinear renames the path of a linear, a name without its ".weight":
// model.layers.3.attention.wq is model.layers.3.self_attn.q_proj.
func TranslateLinear(path string, from, to Scheme) (string, bool) {
	name, ok := Translate(path+".weight", from, to)
	if !ok {
		return "", false
	}
	return strings.TrimSuffix(name, ".weight"), true
}

// Factor is one of the tensors of an adapter.
type Factor byte

// The factors of y = W·x + s·B·A·x, and what DoRA multiplies its elements by, over the
// norms of the rows of W + s·B·A.
const (
	FactorA    Factor = 'A' // [rank, in]
	FactorB    Factor = 'B' // [out, rank]
	Magnitudes Factor = 'M' // [out]
)

// SplitLoRA splits the name of a LoRA factor into the path of its linear, in the
// same scheme, and the factor.
func SplitLoRA(name string, s Scheme) (linear string, f Factor, ok bool) {
	rule := &loraName[s]
	rest, ok := strings.CutPrefix(name, rule.prefix)
	if !ok {
		return "", 0, false
	}
	for _, f := range []Factor{FactorA, FactorB, Magnitudes} {
		for _, suffix := range rule.of(f) {
			if linear, ok := strings.CutSuffix(rest, suffix); ok && linear != "" {
				return linear, f, true
			}
		}
	}
	return "", 0, false
}

// started is in the names of what is taken off for an adapter that starts as a part of
// the base.
const started = "mindpet_delta_lora_start_"

// Started reports whether a name is one of those.
func Started(name string) bool { return strings.Contains(name, "."+started) }

// StartName is that name for a factor of MindFormers.
func StartName(factor string) string {
	return strings.Replace(factor, "mindpet_delta_lora_", started, 1)
}

// LoRAName is the name of a factor of the adapter of a linear, in a scheme that
// has adapters; Meta's has none.
func LoRAName(linear string, f Factor, s Scheme) string {
	return loraName[s].prefix + linear + loraName[s].of(f)[0]
}

// HF is the Hugging Face name of a MindFormers parameter, or "". A factor of
// an adapter is named below its linear; in an adapter file PEFT puts PEFTPrefix
// before it.
func HF(name string) string {
	hf, ok := Translate(name, SchemeMindFormers, SchemeHuggingFace)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(hf, PEFTPrefix)
}

// MindFormers is the MindFormers name of a Hugging Face parameter, or "".
// Factors of an adapter are understood with PEFTPrefix and without.
func MindFormers(name string) string {
	mf, ok := Translate(name, SchemeHuggingFace, SchemeMindFormers)
	if !ok {
		mf, _ = Translate(PEFTPrefix+name, SchemeHuggingFace, SchemeMindFormers)
	}
	return mf
}

// Module is what PEFT calls the linear a MindFormers leaf names: wq is q_proj.
// A leaf that no row of the table has stays as it is.
func Module(leaf string) string {
	for _, row := range table {
		mf, hf := row[SchemeMindFormers], row[SchemeHuggingFace]
		if strings.HasSuffix(mf, "."+leaf+".weight") {
			hf = strings.TrimSuffix(hf, ".weight")
			return hf[strings.LastIndexByte(hf, '.')+1:]
		}
	}
	return leaf
}

// Parts lists the MindFormers parameters that a parameter of `qkv_concat: True`
// concatenates by rows; none for any other. Factor A of an adapter on such a
// linear is not concatenated but shared by all parts (see Shared).
func Parts(name string) (parts []string) {
	weight, factor := name, Factor(0)
	if linear, f, ok := SplitLoRA(name, SchemeMindFormers); ok {
		weight, factor = linear+".weight", f
	}
	for _, j := range joined {
		layer, ok := matchPattern(j.name, weight)
		if !ok {
			continue
		}
		for _, part := range j.parts {
			part = fillPattern(part, layer)
			if factor != 0 {
				part = LoRAName(strings.TrimSuffix(part, ".weight"), factor, SchemeMindFormers)
			}
			parts = append(parts, part)
		}
		return parts
	}
	return nil
}

// Shared reports whether each part of a parameter is the full parameter, not a
// range of its rows.
func Shared(name string) bool {
	_, f, ok := SplitLoRA(name, SchemeMindFormers)
	return ok && f == FactorA && Parts(name) != nil
}

// Derived reports whether a tensor is computed, not learned, and may be ignored
// when a checkpoint is read: tables of rotary frequencies (of Hugging Face, Meta,
// llama.cpp, and llama2.c's training).
func Derived(name string) bool {
	return strings.HasSuffix(name, ".rotary_emb.inv_freq") || name == "rope.freqs" || name == "rope_freqs.weight" ||
		name == "freqs_cos" || name == "freqs_sin"
}

// Bookkeeping reports whether a tensor of a MindFormers checkpoint is state of the
// training run, not of the model: moments of the optimizer, and scalars such as
// epoch_num, global_step and loss_scale (MindFormers r1.3
// core/callback/callback.py).
func Bookkeeping(name string, shape []int) bool {
	if _, ok := StateOf(name); ok {
		return true
	}
	return !strings.Contains(name, ".") && (len(shape) == 0 || len(shape) == 1 && shape[0] == 1)
}

// statePrefixes precede a parameter's name in the names of its optimizer states
// (MindSpore nn/optim, MindFormers r1.3 core/optim).
var statePrefixes = []string{"adam_m.", "adam_v.", "moments.", "moment1.", "moment2.", "lamb_m.", "lamb_v.", "accum.", "stat.", "accu_grads.",
	"exp_avg.", "exp_avg_sq.", "exp_avg_sq_row.", "exp_avg_sq_col.", "exp_avg_insta_row.", "exp_avg_insta_col."}

// StateOf is the parameter that an optimizer state belongs to: lm_head.weight for
// adam_m.lm_head.weight.
func StateOf(name string) (param string, ok bool) {
	for _, prefix := range statePrefixes {
		if param, ok := strings.CutPrefix(name, prefix); ok && param != "" {
			return param, true
		}
	}
	return "", false
}

// Layer is the index of the decoder layer a parameter belongs to, in either
// scheme, or -1.
func Layer(name string) int {
	_, rest, ok := strings.Cut(name, "model.layers.")
	if !ok {
		return -1
	}
	digits, _, _ := strings.Cut(rest, ".")
	if n, ok := layerIndex(digits); ok {
		return n
	}
	return -1
}

// matchPattern matches a name against a row of the table and returns the layer
// index it carries, "" if the row has none.
func matchPattern(pattern, name string) (layer string, ok bool) {
	head, tail, has := strings.Cut(pattern, "#")
	if !has {
		return "", name == pattern
	}
	rest, ok := strings.CutPrefix(name, head)
	if !ok {
		return "", false
	}
	layer, ok = strings.CutSuffix(rest, tail)
	if !ok {
		return "", false
	}
	_, ok = layerIndex(layer)
	return layer, ok
}

func fillPattern(pattern, layer string) string {
	return strings.Replace(pattern, "#", layer, 1)
}

// layerIndex reads a decimal index without sign or leading zeros.
func layerIndex(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 20)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return int(n), true
}
