package config

import (
	"slices"
	"strings"

	"lorac/ir/diag"
)

var dtypes = map[string]string{"float32": "f32", "float16": "f16", "bfloat16": "bf16"}

const mc = "model.model_config."

// model reads model_config (r1.3 models/llama/llama_config.py).
func (l *loader) model() {
	m := &l.c.Model
	m.Hidden = l.int(mc+"hidden_size", 4096)
	m.Layers = l.int(mc+"num_layers", 32)
	m.Heads = l.int(mc+"num_heads", 32)
	m.KVHeads = ofFamily(l, l.int, "n_kv_heads", m.Heads.V)
	m.HeadDim = Val[int]{At: m.Heads.At, Origin: "derived"}
	if m.Heads.V > 0 {
		m.HeadDim.V = m.Hidden.V / m.Heads.V
	}
	m.Vocab = ofFamily(l, l.int, "vocab_size", 32000)
	m.SeqLength = l.int(mc+"seq_length", 2048)
	m.MaxPosition = l.int(mc+"max_position_embedding", m.SeqLength.V)
	m.RMSEps = ofFamily(l, l.float, "rms_norm_eps", 1e-5)
	m.Theta = ofFamily(l, l.float, "theta", 10000)
	m.QKVConcat = l.bool(mc+"qkv_concat", false)
	m.QKVBias = l.bool(mc+"qkv_has_bias", false)
	m.ProjBias = l.bool(mc+"attn_proj_has_bias", false)
	m.MLPBias = l.bool(mc+"mlp_has_bias", false)
	if f := l.family(); f != nil && f.biased {
		m.QKVBias = l.bool(mc+"has_bias", true)
		m.ProjBias = m.QKVBias
	}
	m.TieEmbeddings = l.bool(mc+"tie_word_embeddings", false)
	m.BosID = l.int(mc+"bos_token_id", 1)
	m.EosIDs = l.ints(mc+"eos_token_id", []int{2})
	m.PadID = ofFamily(l, l.int, "pad_token_id", 0)
	m.IgnoreID = l.int(mc+"ignore_token_id", -100)
	m.ComputeDType = l.meaning(mc+"compute_dtype", "float16", dtypes)
	m.ParamDType = l.meaning(mc+"param_init_type", "float16", dtypes)
	m.FFN = l.ffn()
	l.rope()
}

// ffn is the hidden size of the feed-forward: intermediate_size, or
// MindFormers' rule with its +0.01 (r1.3 models/llama/llama_layer.py).
func (l *loader) ffn() Val[int] {
	m := &l.c.Model
	if l.given(mc + "intermediate_size") {
		return l.int(mc+"intermediate_size", 0)
	}
	if f := l.family(); f != nil && f.defaults["intermediate_size"] != nil {
		return ofFamily(l, l.int, "intermediate_size", 0)
	}
	h := 4 * m.Hidden.V
	multiple := l.int(mc+"multiple_of", 256)
	if l.given(mc + "ffn_dim_multiplier") {
		if mult := l.float(mc+"ffn_dim_multiplier", 1); mult.V <= 0 || mult.V > limit {
			l.bad[mult.At] = true
			l.errorf(mult.At, "range", "`ffn_dim_multiplier` must be positive, not %v", mult.V)
		} else {
			h = int(min((mult.V+0.01)*float64(h), 1<<50))
		}
	}
	if multiple.V <= 0 || multiple.V > limit {
		l.bad[multiple.At] = true
		l.errorf(multiple.At, "range", "`multiple_of` must be positive, not %d", multiple.V)
		multiple.V = 1
	}
	h = 2 * h / 3
	return Val[int]{(h + multiple.V - 1) / multiple.V * multiple.V, multiple.At, "derived"}
}

// scalings are the extend methods and the required fields of their scaling_factor;
// without fields it is a number (r1.3 modules/layers.py, FreqsMgr).
var scalings = map[string][]string{
	"yarn":   {"factor", "beta_fast", "beta_slow", "original_max_position_embeddings", "mscale", "mscale_all_dim"},
	"llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
}

// rope reads the extend method and its factors.
func (l *loader) rope() {
	m := &l.c.Model
	name, method := l.choice(mc+"extend_method", "None", map[string]string{
		"None": "none", "": "none", "PI": "pi", "NTK": "ntk", "YARN": "yarn", "LLAMA3": "llama3"})
	m.RopeMethod = Val[string]{method, name.At, name.Origin}
	m.RopeFactors = map[string]float64{}
	sf := l.root.get(mc + "scaling_factor")
	need := scalings[method]
	switch {
	case method == "none":
		if !sf.empty() && sf.value != 1 && sf.value != 1.0 {
			d := l.warnf(sf.keyPos, "scaling", "`scaling_factor` has no effect without an `extend_method`").
				WithHelp("set extend_method: PI, NTK, YARN or LLAMA3")
			if name.Set() {
				d.At(name.At, "the method is `%s`", name.V)
			}
		}
	case need == nil:
		if f := l.float(mc+"scaling_factor", 1); f.V <= 0 {
			l.errorf(f.At, "range", "`scaling_factor` must be positive, not %v", f.V)
		} else {
			m.RopeFactors["factor"] = f.V
		}
	case sf != nil && !sf.isMap():
		l.seen(mc + "scaling_factor")
		l.wrongType(sf, mc+"scaling_factor", "a mapping of "+strings.Join(need, ", ")+" for "+name.V)
	default:
		l.seen(mc + "scaling_factor")
		l.factors(name, need)
	}
}

// factors reads the fields of a scaling_factor that is a mapping.
func (l *loader) factors(method Val[string], need []string) {
	var missing []string
	for _, name := range need {
		path := mc + "scaling_factor." + name
		if !l.given(path) {
			missing = append(missing, name)
			continue
		}
		f := l.float(path, 1)
		l.c.Model.RopeFactors[name] = f.V
		if f.V <= 0 && !l.bad[f.At] && !strings.HasPrefix(name, "mscale") {
			l.errorf(f.At, "range", "`%s` must be positive, not %v", name, f.V)
		}
	}
	sf := l.root.get(mc + "scaling_factor")
	for _, name := range sf.keysOf() {
		if slices.Contains(need, name) {
			continue
		}
		d := l.errorf(sf.fields[name].keyPos, "unknown-key", "unknown key `%s` in `%sscaling_factor`", name, mc).
			WithHelp("%s takes %s", method.V, strings.Join(need, ", "))
		if near := diag.Suggest(name, need); len(near) > 0 {
			d.WithLabel("did you mean `%s`?", near[0])
		}
	}
	if len(missing) > 0 {
		l.errorf(method.At, "missing", "extend_method %s needs `scaling_factor.%s`", method.V, strings.Join(missing, "`, `scaling_factor.")).
			WithHelp("scaling_factor is a mapping of %s", strings.Join(need, ", "))
		return
	}
	f := l.c.Model.RopeFactors
	order := [2]string{"low_freq_factor", "high_freq_factor"}
	if method.V == "YARN" {
		order = [2]string{"beta_slow", "beta_fast"}
	}
	if lo, hi := f[order[0]], f[order[1]]; lo > hi || lo == hi && method.V != "YARN" {
		l.errorf(l.root.get(mc+"scaling_factor."+order[0]).pos, "mismatch", "`%s` must be below `%s`", order[0], order[1]).
			WithLabel("%v", lo).At(l.root.get(mc+"scaling_factor."+order[1]).pos, "%v", hi)
	}
}

// LoRA in r0.6 and r0.7: a separate architecture that always adapts the four
// projections of attention, and in r0.6 a section below it instead of pet_config
// (models/llama/llama.py there).
const (
	withLora   = "LlamaForCausalLMWithLora"
	oldPet     = "model.arch.pet."
	oldTargets = ".*wq|.*wk|.*wv|.*wo"
)

// petPath is the path of the adapter's section.
func (l *loader) petPath() string {
	if p := mc + "pet_config"; !l.root.get(p).empty() || l.root.get(oldPet+"pet_config").empty() {
		return p
	}
	return oldPet + "pet_config"
}

// lora reads pet_config (r1.3 pet/pet_config.py).
func (l *loader) lora() {
	if l.root.get(l.petPath()).empty() {
		return
	}
	p := l.petPath() + "."
	l.seen(mc + "pet_config.pet_type")
	l.seen(oldPet + "pet_type")
	l.c.LoRA = &LoRA{Rank: l.int(p+"lora_rank", 8), Alpha: l.float(p+"lora_alpha", 16), Dropout: l.float(p+"lora_dropout", 0.01)}
	lora := l.c.LoRA
	p = mc + "pet_config."
	if n := l.root.get("model.arch.type"); n != nil && n.value == withLora && !l.given(p+"target_modules") {
		lora.TargetModules = Val[string]{oldTargets, n.pos, "derived"}
	} else {
		lora.TargetModules = l.pattern(p + "target_modules")
	}
	lora.RSLoRA, lora.LRRatio = l.bool(p+"use_rslora", false), l.float(p+"loraplus_lr_ratio", 1)
	lora.DoRA = l.bool(p+"use_dora", false)
	lora.ModulesToSave, lora.Tying = l.strs(p+"modules_to_save"), l.bool(p+"ensure_weight_tying", false)
	lora.AddedTokens = l.strs(p + "added_tokens")
	lora.Init = l.initLoRA(p + "init_lora_weights")
	lora.LayersToTransform = l.ints(p+"layers_to_transform", nil)
	lora.RankPattern, lora.AlphaPattern = l.moduleRules(p+"rank_pattern"), l.moduleRules(p+"alpha_pattern")
	lora.ExcludeLayers, lora.FreezeInclude, lora.FreezeExclude = l.strs(p+"exclude_layers"), l.strs(p+"freeze_include"), l.strs(p+"freeze_exclude")
}

// pattern reads target_modules. A list, as PEFT accepts, is an error whose help is
// the equivalent pattern.
func (l *loader) pattern(path string) Val[string] {
	v := l.str(path, "")
	if n := l.root.get(path); n != nil && len(n.items) > 0 && l.bad[n.pos] {
		var names []string
		for _, item := range n.items {
			names = append(names, item.raw)
		}
		said := strings.Join(names, "|")
		if ours := fromPEFT(said); ours != "" {
			said = ours
		}
		l.diags[len(l.diags)-1].WithHelp("write one pattern: '%s'", said)
	}
	return v
}
