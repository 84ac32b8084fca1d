package config

// family is a network of MindFormers' research directory which is a Llama's under other
// names where its config says so (r1.3 research/internlm, research/internlm2).
type family struct {
	name, config string
	defaults     map[string]any // that differ from LlamaConfig's
	biased       bool           // has_bias, True by default, says whether wq, wk, wv and wo have biases
	key          string         // must be False; "": the network is always a Llama's
	differs      string         // what is different where it is not
	help         string
}

var families = map[string]*family{
	"InternLMForCausalLM": {name: "InternLM", config: "InternLMConfig",
		defaults: map[string]any{"rms_norm_eps": 1e-6, "pad_token_id": 2},
		biased:   true},
	"InternLM2ForCausalLM": {name: "InternLM2", config: "InternLM2Config",
		defaults: map[string]any{"n_kv_heads": 8, "intermediate_size": 14336, "vocab_size": 92544, "pad_token_id": 2, "theta": 1e6},
		key:      "qkv_concat", differs: "attention.w holds the rows of q, k and v of each key head in turn", help: "convert the weights with qkv_concat False (research/internlm2/convert_weight.py) and set it so: that is a Llama and trains"},
}

// differences are what other networks of MindFormers have that no Llama has, and what can
// be done.
var differences = map[string][2]string{
	"Baichuan7BV2ForCausalLM": {"its head divides each row of its weight by the length of that row (NormHead); the rest is a Llama's",
		"with LoRA the head is frozen: divide the rows of lm_head.weight in the checkpoint once, and train it as LlamaForCausalLM with LlamaConfig"},
	"Baichuan13BForCausalLM":           {"positions are biases of the scores (ALiBi), not rotary", ""},
	"Baichuan13BV2ForCausalLM":         {"positions are biases of the scores (ALiBi), not rotary, and its head divides each row of its weight by its length (NormHead)", ""},
	"BloomLMHeadModel":                 {"positions are biases of the scores (ALiBi), norms are LayerNorm, projections have biases", ""},
	"GPT2LMHeadModel":                  {"positions are learned, norms are LayerNorm, projections have biases", ""},
	"WizardCoderLMHeadModel":           {"positions are learned, norms are LayerNorm, projections have biases", ""},
	"PanguAlphaHeadModel":              {"positions are learned, norms are LayerNorm, projections have biases", ""},
	"ChatGLM2ForConditionalGeneration": {"half of each head is rotated, and q, k and v have biases", ""},
	"ChatGLM3ForConditionalGeneration": {"half of each head is rotated, and q, k and v have biases", ""},
	"GLMForPreTraining":                {"positions are of two dimensions, norms are LayerNorm, projections have biases", ""},
	"DeepseekV2ForCausalLM":            {"keys and values are compressed (latent attention), and layers are mixtures of experts", ""},
	"DeepseekV3ForCausalLM":            {"keys and values are compressed (latent attention), and layers are mixtures of experts", ""},
	"MixtralForCausalLM":               {"layers are mixtures of experts", ""},
}

// family is that of the config's architecture, nil if it is no such one.
func (l *loader) family() *family {
	return families[l.archName()]
}

// isLlama reports whether the config says that a family's network is a Llama's.
func (l *loader) isLlama(f *family) bool {
	if f.key == "" {
		return true
	}
	n := l.seen(mc + f.key)
	return !n.empty() && n.value == false
}

// refuseFamily says what a family's network has that no Llama has.
func (l *loader) refuseFamily(f *family) {
	n := l.root.get(mc + f.key)
	if n.empty() {
		l.errorf(l.root.get("model.arch.type").pos, "other-model", "%s is no Llama: %s", f.name, f.differs).
			WithLabel("`%s` is True where %s does not have it", mc+f.key, f.config).WithHelp("%s", f.help)
	} else {
		l.errorf(n.pos, "other-model", "%s is no Llama: %s", f.name, f.differs).WithLabel("must be False").WithHelp("%s", f.help)
	}
}

// ofFamily reads a key of model_config, with the default of the family.
func ofFamily[T any](l *loader, read func(path string, def T) Val[T], key string, def T) Val[T] {
	if f := l.family(); f != nil {
		if own, ok := f.defaults[key].(T); ok {
			def = own
		}
	}
	return read(mc+key, def)
}
