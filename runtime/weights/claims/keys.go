package claims

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// The keys of config.json that this package reads stand with what reads them. Of the
// others, those below are known to change the network of a model, or known not to.
// What is in no list is said, since it could matter.

// foreignKeys are keys that make a model another network unless their value is neutral.
var foreignKeys = []struct {
	ours    string                      // what a Llama has instead
	neutral func(o *object, v any) bool // null always is
	keys    []string
}{
	{"none", no, []string{"bias", "use_bias", "qkv_bias", "use_qkv_bias", "add_qkv_bias", "add_bias_linear", "attention_in_bias", "attention_out_bias",
		"attention_out_proj_bias", "qkv_proj_bias", "o_bias", "lm_head_bias", "head_bias", "layer_norm_bias"}},
	{"none", no, []string{"use_qk_norm", "qk_norm", "qk_layernorm", "query_key_norm", "use_qk_layernorm", "clip_qkv", "attn_logit_softcapping", "final_logit_softcapping", "attn_logit_softcap",
		"final_logit_softcap", "logits_soft_cap", "attn_soft_cap", "use_post_norm", "post_norm", "sandwich_norm", "use_sub_layer_norm", "apply_residual_connection_post_layernorm"}},
	{"attention, then the feed-forward network", no, []string{"use_parallel_residual", "parallel_residual", "parallel_attn", "use_parallel_attn", "parallel_attention", "shared_layernorm"}},
	{"RoPE", no, []string{"alibi", "use_alibi", "no_rope", "use_learned_position_embeddings", "learned_pos_emb"}},
	{"RoPE", yes, []string{"use_rope", "rotary", "use_rotary", "use_rotary_position_embeddings"}},
	{"RoPE", word("rope", "rotary", "absolute"), []string{"position_embedding_type", "pos_emb_type", "position_encoding"}}, // absolute: a default of transformers that Llama ignores
	{"RoPE in every layer", ones1, []string{"no_rope_layers", "nope_layers"}},
	{"RoPE in every layer", no, []string{"no_rope_layer_interval", "nope_layer_interval", "no_rope_interval"}},
	{"the halves of a head as rotary pairs", no, []string{"rope_interleaved", "rope_interleave", "rotary_interleaved", "interleaved_rope", "interleave_rope"}},
	{"RoPE on whole heads", one, []string{"rotary_pct", "rope_pct", "rotary_percent", "partial_rotary_factor", "rope_ratio"}},
	{"RoPE on whole heads", headWide, []string{"rotary_dim", "rotary_emb_dim", "qk_rope_head_dim"}},
	{"one base of the rotary frequencies for all layers", none, []string{"rope_local_base_freq", "local_rope_theta", "global_rope_theta"}},
	{"silu", word("silu", "swish", "swiglu"), []string{"hidden_act", "hidden_activation", "hidden_activation_function", "activation_function", "mlp_hidden_act", "activation", "activation_type", "act_fn", "ffn_act_fn", "mlp_activation"}},
	{"a gated network", yes, []string{"gated_mlp", "use_glu", "use_gated_mlp", "glu_mlp", "is_gated_act"}},
	{"a gated network", word("llama", "llamamlp", "gated", "swiglu", "glu"), []string{"mlp_type", "ffn_type", "mlp_class"}},
	{"RMSNorm before each part", word("rmsnorm", "rms", "llamarmsnorm", "pre", "prenorm", "pre-norm"), []string{"norm_type", "normalization", "normalization_type", "norm_class", "layer_norm_type", "layernorm_type", "norm_position"}},
	{"RMSNorm before each part", yes, []string{"do_layer_norm_before", "pre_norm", "use_rmsnorm", "rms_norm", "elementwise_affine"}},
	{"RMSNorm before each part", no, []string{"layernorm_1p", "rms_norm_add_unit_offset", "add_unit_offset", "zero_centered_gamma", "no_norm"}},
	{"1/√head_dim", scaleOfHeads, []string{"attention_multiplier", "attention_scale", "attn_scale", "softmax_scale", "attn_scale_factor"}},
	{"head_dim", headWide, []string{"query_pre_attn_scalar", "v_head_dim", "kv_channels", "value_head_dim", "qk_head_dim"}},
	{"1/√head_dim", yes, []string{"scale_attn_weights"}},
	{"1/√head_dim", no, []string{"scale_attn_by_inverse_layer_idx", "attn_temperature_tuning", "use_logn_attn", "logn_attn"}},
	{"none", none, []string{"q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "attn_config", "ffn_config", "attention_layers", "ssm_cfg", "attn_cfg"}},
	{"1", one, []string{"embedding_multiplier", "residual_multiplier", "logits_scaling", "logit_scale", "scale_emb", "embedding_scale", "embedding_multiplier_scale", "output_multiplier_scale", "lm_head_multiplier",
		"residual_scale", "mup_width_scale", "mup_scale_factor", "mup_embeddings_scale", "width_scale", "key_multiplier", "hidden_scale", "logits_multiplier"}},
	{"none", no, []string{"use_mup", "mup", "scale_embedding", "embed_scale", "scale_embeddings", "normalize_embedding", "normalize_embeddings", "normalize_lm_head", "embedding_layernorm", "embed_layernorm", "word_embed_layer_norm"}},
	{"1 a layer", rootOfLayers, []string{"scale_depth"}},
	{"logits that are not divided", hiddenWide, []string{"dim_model_base"}},
	{"one feed-forward network a layer", upToOne, []string{"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts", "n_experts", "expert_count"}},
	{"one feed-forward network a layer", none, []string{"n_shared_experts", "moe", "moe_config", "shared_expert_intermediate_size"}},
	{"attention to what is before, alone", no, []string{"is_encoder_decoder", "add_cross_attention", "use_bidirectional_attention", "bidirectional"}},
	{"attention to what is before, alone", yes, []string{"is_causal", "causal"}},
	{"layers of their own", none, []string{"num_kv_shared_layers", "pruned_heads", "cross_layer_sharing", "layer_sharing", "num_recurrences"}},
	{"attention in every layer", layerTypes, []string{"layer_types", "layers_block_type", "block_types"}},
	{"no more layers than num_hidden_layers", none, []string{"num_nextn_predict_layers", "mtp_num_layers", "n_future_tokens", "medusa_num_heads"}},
}

// numberKeys are keys that say a fact of model_config by another name.
var numberKeys = map[string]string{"layer_norm_eps": "rms_norm_eps", "layernorm_epsilon": "rms_norm_eps", "norm_eps": "rms_norm_eps", "norm_epsilon": "rms_norm_eps", "layer_norm_epsilon": "rms_norm_eps",
	"layernorm_eps": "rms_norm_eps", "rotary_emb_base": "theta", "rotary_base": "theta", "rope_base": "theta", "rope_freq_base": "theta"}

// dropoutKeys are dropouts beside LoRA's own, which training with lorac has not.
var dropoutKeys = []string{"attention_dropout", "attention_dropout_prob", "attention_probs_dropout_prob", "attn_pdrop", "attn_dropout", "hidden_dropout", "hidden_dropout_prob", "resid_pdrop", "resid_dropout",
	"residual_dropout", "embd_pdrop", "embedding_dropout", "embed_dropout", "emb_dropout_prob", "activation_dropout", "mlp_dropout", "ffn_dropout", "dropout", "dropout_rate", "layerdrop"}

// harmlessKeys say nothing of what a Llama computes for given ids.
var harmlessKeys = strings.Fields(`
 architectures model_type transformers_version _name_or_path name_or_path _commit_hash torch_dtype dtype auto_map tokenizer_class vocab_size_padded pad_vocab_size_multiple
 unk_token_id sep_token_id mask_token_id cls_token_id decoder_start_token_id image_token_id eos_token bos_token pad_token
 initializer_range initializer_factor init_std init_method initializer init_device use_cache pretraining_tp gradient_checkpointing use_reentrant output_attentions output_hidden_states return_dict
 max_position_embeddings model_max_length max_sequence_length max_seq_len max_seq_length seq_length n_positions n_ctx max_window_layers
 attn_implementation _attn_implementation _attn_implementation_internal _attn_implementation_autoset _flash_attn_2_enabled use_flash_attention use_flash_attn flash_attention attention_softmax_in_fp32
 scale_attention_softmax_in_fp32 fp32_softmax softmax_in_fp32 residual_in_fp32 rms_norm_in_fp32 use_fused_rms_norm fused_rms_norm use_fused_cross_entropy fuse_cross_entropy use_xformers
 use_memory_efficient_attention use_sdpa torchscript use_bfloat16 tf_legacy_loss chunk_size_feed_forward tie_encoder_decoder cross_attention_hidden_size is_decoder
 finetuning_task id2label label2id num_labels problem_type classifier_dropout task_specific_params prefix
 max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty
 no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id
 remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
 output_router_logits router_aux_loss_coef router_jitter_noise num_experts_per_tok aux_loss_alpha use_aux_loss z_loss_coeff
 is_llama_config transformers.js_config use_sliding_window rope_theta unsloth_version unsloth_fixed unsloth_training_args license author description language datasets training_args`)

// a value of a key; v is never null

func no(_ *object, v any) bool   { return v == false || v == 0.0 }
func yes(_ *object, v any) bool  { return v == true }
func none(_ *object, v any) bool { return no(nil, v) || empty(v) }
func one(_ *object, v any) bool  { x, ok := v.(float64); return ok && near(x, 1) }

func upToOne(_ *object, v any) bool { x, ok := v.(float64); return ok && x <= 1 || v == false }

// ones1 accepts a list of 1 for each layer.
func ones1(_ *object, v any) bool {
	list, ok := v.([]any)
	return ok && !slices.ContainsFunc(list, func(x any) bool { return x != 1.0 && x != true })
}

func empty(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}

// word accepts words, whatever their case and underlines.
func word(list ...string) func(*object, any) bool {
	return func(_ *object, v any) bool {
		if m, ok := v.(map[string]any); ok && len(m) == 1 { // {"name": "silu"}
			v = m["name"]
		}
		s, ok := v.(string)
		return ok && slices.Contains(list, strings.ToLower(strings.ReplaceAll(s, "_", "")))
	}
}

func headWide(o *object, v any) bool { x, ok := v.(float64); return ok && near(x, float64(o.headDim)) }

func hiddenWide(o *object, v any) bool { return v == o.keys["hidden_size"] }

func scaleOfHeads(o *object, v any) bool {
	x, ok := v.(float64)
	return ok && math.Abs(x-1/math.Sqrt(float64(max(o.headDim, 1)))) <= 1e-4
}

func rootOfLayers(o *object, v any) bool {
	x, ok := v.(float64)
	layers, _ := o.keys["num_hidden_layers"].(float64)
	return ok && math.Abs(x-math.Sqrt(max(layers, 1))) <= 1e-4
}

// layerTypes accepts attention of both kinds: that of windows is the claim sliding_window.
func layerTypes(_ *object, v any) bool {
	list, ok := v.([]any)
	return ok && !slices.ContainsFunc(list, func(x any) bool { return x != "full_attention" && x != "attention" && x != "sliding_attention" })
}

// rest claims what the keys say that nothing else reads: another network, a fact by
// another name, and what is said as it could matter.
func (o *object) rest() {
	for _, f := range foreignKeys {
		for _, key := range f.keys {
			o.used[key] = true
			if v := o.keys[key]; v != nil && !f.neutral(o, v) {
				o.foreign(key, v, f.ours)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(numberKeys)) {
		o.used[key] = true
		o.real(numberKeys[key], key)
	}
	for _, key := range dropoutKeys {
		o.used[key] = true
		if x, _ := o.keys[key].(float64); x != 0 {
			o.note(key, fmt.Sprintf("%v in its training; lorac trains with lora_dropout alone", x))
		}
	}
	for _, key := range harmlessKeys {
		o.used[key] = true
	}
	if q := o.object("quantization_config"); len(q) > 0 {
		method := "quantised weights"
		if s, ok := q["quant_method"].(string); ok {
			method = visible(s)
		}
		o.note("quantization_config", "it says "+method+"; weights that are stored so are refused, and these are not: they are read as they are")
	}
	var unknown []string
	for key, v := range o.keys {
		if strings.HasPrefix(key, "mup_") && !o.used[key] && v != nil && !no(nil, v) && !one(nil, v) {
			o.used[key] = true
			o.foreign(key, v, "1")
		}
		if !o.used[key] && v != nil && v != false && !empty(v) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	o.unknown(unknown)
}

// note adds what is said and not compared.
func (o *object) note(key, text string) {
	o.list = append(o.list, Claim{Key: key, Value: o.keys[key], Place: o.place(key), Note: text})
}

// unknown notes keys that no list has.
func (o *object) unknown(keys []string) {
	o.list = append(o.list, unknownKeys(o.file, keys, o.lines)...)
}

func unknownKeys(file string, keys []string, lines map[string][]int) []Claim {
	if len(keys) == 0 {
		return nil
	}
	shown, at := make([]string, 0, 8), 0 // at is the line of the first
	for _, k := range keys[:min(len(keys), 8)] {
		name, line := visible(k), 0
		if l := lines[k]; len(l) > 0 {
			line = l[len(l)-1]
		}
		if at == 0 {
			at = line
		} else if line != at {
			name += fmt.Sprintf(" in line %d", line)
		}
		shown = append(shown, name)
	}
	if more := len(keys) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more", more))
	}
	return []Claim{{Key: "unknown", Value: strings.Join(shown, ", "), Place: Place{File: file, Line: at, Name: strings.Join(shown, ", ")},
		Note: "not known to lorac, so not compared: make sure that they change nothing of what a Llama computes"}}
}

// padding is the id that a GGUF file pads with. Converters often make it up, so it is no
// pad_token_id that could contradict.
const padding = "padding"

// Notes lists in sentences what claims say that is no contradiction and could matter.
func Notes(f *Facts, list []Claim) (out []string) {
	for _, c := range list {
		if c.Note != "" {
			out = append(out, fmt.Sprintf("%s: %s", c.Place, c.Note))
			continue
		}
		if n, ok := c.Value.(int); ok && c.Key == padding && f != nil && f.EOS != nil && n != f.Pad {
			out = append(out, fmt.Sprintf("%s is %d, and `pad_token_id` is %d, which counts: it is what rows are masked by", c.Place, n, f.Pad))
		}
		if n, ok := c.Value.(int); ok && c.Key == "max_position_embeddings" && f != nil && n > 0 && n < f.SeqLength {
			out = append(out, fmt.Sprintf("%s is %d, and `seq_length` is %d, which counts: longer rows have positions that the base never saw", c.Place, n, f.SeqLength))
		}
	}
	return out
}
