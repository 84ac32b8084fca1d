package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// object is a JSON object with the lines of its keys. fault is the first value
// of a wrong type.
type object struct {
	file  string
	text  []byte
	keys  map[string]any
	used  map[string]bool // keys that something reads
	fault error
	list  []Claim

	headDim int
}

func parse(file string, text []byte) (*object, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // as Windows' editors write
	o := &object{file: file, text: text, used: map[string]bool{}}
	if err := json.Unmarshal(text, &o.keys); err != nil {
		return nil, fmt.Errorf("%s is no JSON object: %w", file, err)
	}
	return o, nil
}

// place is where a key stands.
func (o *object) place(key string) Place {
	p := Place{File: o.file, Name: key}
	if i := bytes.Index(o.text, []byte(`"`+key+`"`)); i >= 0 {
		p.Line = 1 + bytes.Count(o.text[:i], []byte("\n"))
	}
	return p
}

// has reports whether a key has a value.
func (o *object) has(key string) bool { return o.get(key) != nil }

// get is the value of a key, which is read by that.
func (o *object) get(key string) any {
	o.used[key] = true
	return o.keys[key]
}

func (o *object) number(in map[string]any, key string) (float64, bool) {
	o.used[key] = true
	v := in[key]
	if v == nil {
		return 0, false
	}
	x, ok := v.(float64)
	if !ok && o.fault == nil {
		p := o.place(key)
		o.fault = fmt.Errorf("%s:%d: `%s` is %s, a number is due", p.File, p.Line, key, Text(v))
	}
	return x, ok
}

func (o *object) add(key string, value any, at string) {
	o.list = append(o.list, Claim{Key: key, Value: value, Place: o.place(at)})
}

// whole adds a claim of a whole number.
func (o *object) whole(key, at string) int {
	x, ok := o.number(o.keys, at)
	if !ok {
		return 0
	}
	if (x != math.Trunc(x) || math.Abs(x) > math.MaxInt32) && o.fault == nil {
		o.fault = fmt.Errorf("%s:%d: `%s` is %v, a whole number is due", o.file, o.place(at).Line, at, x)
	}
	o.add(key, int(x), at)
	return int(x)
}

func (o *object) real(key, at string) (float64, bool) {
	x, ok := o.number(o.keys, at)
	if ok {
		o.add(key, x, at)
	}
	return x, ok
}

// foreign adds what no key of model_config can say.
func (o *object) foreign(at string, value any, ours string) {
	switch v := value.(type) {
	case []any:
		value = strings.Trim(fmt.Sprint(v), "[]")
	case bool: // as the file has it
		value = fmt.Sprint(v)
	}
	o.list = append(o.list, Claim{Key: at, Value: value, Place: o.place(at), Foreign: ours})
}

// likeLlama are the kinds of model whose network is a Llama's where none of the
// other keys says another thing.
var likeLlama = []string{"llama", "mistral", "granite", "minicpm"}

// HuggingFace reads config.json. A file without the keys of a language model
// makes no claims.
func HuggingFace(file string, text []byte) ([]Claim, error) {
	o, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	kind, _ := o.get("model_type").(string)
	if !o.has("hidden_size") && !o.has("num_attention_heads") {
		if o.has("model_type") && !slices.Contains(likeLlama, kind) { // of pictures, or in parts
			o.foreign("model_type", kind, "llama")
		}
		return o.list, nil
	}
	o.architecture(kind)
	hidden, heads := o.whole("hidden_size", "hidden_size"), o.whole("num_heads", "num_attention_heads")
	o.whole("intermediate_size", "intermediate_size")
	o.whole("num_layers", "num_hidden_layers")
	if o.has("num_key_value_heads") {
		o.whole("n_kv_heads", "num_key_value_heads")
	} else if heads > 0 && (kind == "llama" || kind == "") { // as transformers has it
		o.add("n_kv_heads", heads, "num_attention_heads")
	}
	headDim := o.whole("head_dim", "head_dim")
	if headDim == 0 && heads > 0 {
		headDim = hidden / heads
	}
	o.headDim = headDim
	o.whole("vocab_size", "vocab_size")
	if _, ok := o.real("rms_norm_eps", "rms_norm_eps"); !ok && (kind == "llama" || kind == "mistral") { // as transformers has it
		o.list = append(o.list, Claim{Key: "rms_norm_eps", Value: 1e-6, Place: Place{File: o.file, Name: "no rms_norm_eps, which is 1e-06 then"}})
	}
	if v, ok := o.get("tie_word_embeddings").(bool); ok {
		o.add("tie_word_embeddings", v, "tie_word_embeddings")
	}
	if n, ok := o.number(o.keys, "max_position_embeddings"); ok {
		o.add("max_position_embeddings", int(min(n, math.MaxInt32)), "max_position_embeddings")
	}
	o.windows()
	o.rotary()
	o.rest()
	return o.list, o.fault
}

// windows claims that attention sees only so many tokens, in all layers or in some.
func (o *object) windows() {
	some, _ := o.keys["layer_types"].([]any)
	on := o.get("use_sliding_window") != false || slices.Contains(some, any("sliding_attention"))
	if w, ok := o.number(o.keys, "sliding_window"); ok && on {
		o.add("sliding_window", int(w), "sliding_window")
	}
	o.used["sliding_window_pattern"], o.used["_sliding_window_pattern"] = true, true
	for _, key := range []string{"attention_chunk_size", "attention_window_size", "local_attention", "attention_window"} {
		if w, ok := o.number(o.keys, key); ok {
			o.add("sliding_window", int(w), key)
		}
	}
}

// architecture claims that the model is no Llama with a language head.
func (o *object) architecture(kind string) {
	if kind != "" && !slices.Contains(likeLlama, kind) {
		o.foreign("model_type", kind, "llama")
		return
	}
	list, _ := o.get("architectures").([]any)
	for _, a := range list {
		name, _ := a.(string)
		lower := strings.ToLower(name)
		ours := slices.ContainsFunc(likeLlama, func(k string) bool { return strings.HasPrefix(lower, k) })
		if !ours || strings.HasPrefix(name, "Llama4") || !strings.HasSuffix(name, "ForCausalLM") && !strings.HasSuffix(name, "Model") {
			o.foreign("architectures", name, "LlamaForCausalLM")
		}
	}
}

// rotary claims the base of the rotary frequencies and their scaling. What is
// absent is transformers' default.
func (o *object) rotary() {
	scaling, at := o.object("rope_scaling"), "rope_scaling"
	theta, ok := o.number(o.keys, "rope_theta")
	if p := o.object("rope_parameters"); p != nil { // since transformers 5
		scaling, at = p, "rope_parameters"
		if x, there := o.number(p, "rope_theta"); there {
			theta, ok = x, true
		}
		if x, there := o.number(p, "partial_rotary_factor"); there && x != 1 {
			o.foreign("partial_rotary_factor", x, "1")
		}
	}
	if ok {
		o.add("theta", theta, "rope_theta")
	} else {
		o.list = append(o.list, Claim{Key: "theta", Value: 10000.0, Place: Place{File: o.file, Name: "no rope_theta, which is 10000 then"}})
	}
	o.scaling(scaling, at)
}

func (o *object) object(key string) map[string]any {
	v := o.get(key)
	if v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok && o.fault == nil {
		o.fault = fmt.Errorf("%s:%d: `%s` is %s, an object or null is due", o.file, o.place(key).Line, key, Text(v))
	}
	return m
}

func (o *object) scaling(s map[string]any, at string) {
	claim := func(r Rope) {
		o.list = append(o.list, Claim{Key: "extend_method", Value: r, Place: o.scalingPlace(s, at)})
	}
	kind, _ := s["rope_type"].(string)
	if kind == "" {
		kind, _ = s["type"].(string)
	}
	if s == nil || kind == "" || kind == "default" {
		claim(Rope{Method: "none"})
		return
	}
	o.unknownScaling(s, at)
	if kind == "linear" || kind == "dynamic" || kind == "yarn" || kind == "llama3" {
		r, err := o.factors(kind, s)
		if err == nil {
			claim(r)
			return
		}
		if o.fault == nil {
			o.fault = fmt.Errorf("%s:%d: `%s`: %w", o.file, o.place(at).Line, at, err)
		}
		return
	}
	o.list = append(o.list, Claim{Key: "rope_scaling", Value: kind, Place: o.place(at), Foreign: "none, PI (linear), NTK, YARN or LLAMA3"})
}

// scalingKeys are the fields of a scaling that are read, or that say nothing: finetuned.
var scalingKeys = []string{"factor", "type", "rope_type", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
	"attention_factor", "truncate", "rope_theta", "partial_rotary_factor", "finetuned"}

// unknownScaling notes fields of a scaling that are not read.
func (o *object) unknownScaling(s map[string]any, at string) {
	var unknown []string
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if !slices.Contains(scalingKeys, k) && s[k] != nil {
			unknown = append(unknown, at+"."+k)
		}
	}
	o.unknown(unknown)
}

func (o *object) scalingPlace(s map[string]any, at string) Place {
	if s == nil && !bytes.Contains(o.text, []byte(`"`+at+`"`)) {
		return Place{File: o.file, Name: "no rope_scaling"}
	}
	return o.place(at)
}

// factors reads the fields of a scaling as transformers does.
func (o *object) factors(kind string, s map[string]any) (Rope, error) {
	r := Rope{kind, map[string]float64{}}
	get := func(key string, otherwise float64) float64 {
		if x, ok := o.number(s, key); ok {
			return x
		}
		return otherwise
	}
	factor := get("factor", 0)
	if factor <= 0 {
		return r, errors.New("it has no `factor`")
	}
	r.Factors["factor"] = factor
	longest, _ := o.number(o.keys, "max_position_embeddings")
	switch kind {
	case "linear":
		if factor == 1 {
			return Rope{Method: "none"}, nil
		}
	case "dynamic":
		r.Factors["original_max_position_embeddings"] = get("original_max_position_embeddings", longest)
	case "llama3":
		r.Factors["original_max_position_embeddings"] = get("original_max_position_embeddings", longest)
		r.Factors["low_freq_factor"], r.Factors["high_freq_factor"] = get("low_freq_factor", 1), get("high_freq_factor", 4)
	case "yarn":
		r.Factors["original_max_position_embeddings"] = get("original_max_position_embeddings", longest)
		r.Factors["beta_fast"], r.Factors["beta_slow"] = get("beta_fast", 32), get("beta_slow", 1)
		r.Factors["mscale"], r.Factors["mscale_all_dim"] = get("mscale", 0), get("mscale_all_dim", 0)
		if r.Factors["mscale"] == 0 || r.Factors["mscale_all_dim"] == 0 {
			r.Factors["mscale"], r.Factors["mscale_all_dim"] = 1, 0
		}
		if a := get("attention_factor", 0); a > 0 && factor > 1 {
			r.Factors["mscale"], r.Factors["mscale_all_dim"] = (a-1)/(0.1*math.Log(factor)), 0
		}
		if s["truncate"] == false {
			return r, errors.New("`truncate` is false, which no key of model_config can say")
		}
	}
	return r, nil
}

// Meta reads params.json.
func Meta(file string, text []byte) ([]Claim, error) {
	o, err := parse(file, text)
	if err != nil || !o.has("dim") {
		return nil, err
	}
	dim := o.whole("hidden_size", "dim")
	for _, key := range []string{"max_batch_size", "max_seq_len", "model_parallel_size", "model_type"} { // of the run
		o.used[key] = true
	}
	o.whole("num_layers", "n_layers")
	heads := o.whole("num_heads", "n_heads")
	if o.has("n_kv_heads") {
		o.whole("n_kv_heads", "n_kv_heads")
	} else if heads > 0 {
		o.add("n_kv_heads", heads, "n_heads")
	}
	if n, ok := o.number(o.keys, "vocab_size"); ok && n > 0 { // -1: what the tokenizer has
		o.whole("vocab_size", "vocab_size")
	}
	if multiple, ok := o.number(o.keys, "multiple_of"); ok && multiple >= 1 && dim > 0 {
		n := 2 * (4 * dim) / 3
		if m, ok := o.number(o.keys, "ffn_dim_multiplier"); ok {
			n = int(m * float64(n))
		}
		o.add("intermediate_size", (n+int(multiple)-1)/int(multiple)*int(multiple), "multiple_of")
	}
	o.real("rms_norm_eps", "norm_eps")
	if _, ok := o.real("theta", "rope_theta"); !ok {
		o.list = append(o.list, Claim{Key: "theta", Value: 10000.0, Place: Place{File: o.file, Name: "no rope_theta, which is 10000 then"}})
	}
	scaled := o.get("use_scaled_rope") == true
	r := Rope{Method: "none"}
	if scaled { // constants of Meta's apply_scaling
		r = Rope{"llama3", map[string]float64{"factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}
		if x, ok := o.number(o.keys, "rope_scaling_factor"); ok {
			r.Factors["factor"] = x
		}
		if x, ok := o.number(o.keys, "rope_high_freq_factor"); ok {
			r.Factors["high_freq_factor"] = x
		}
	}
	if d, ok := o.number(o.keys, "head_dim"); ok && d > 0 { // Mistral's
		o.whole("head_dim", "head_dim")
	}
	if d, ok := o.number(o.keys, "hidden_dim"); ok && d > 0 {
		o.whole("intermediate_size", "hidden_dim")
	}
	o.windows()
	if heads > 0 {
		o.headDim = dim / heads
	}
	for key, ours := range map[string]string{"quantization_args": "weights as they are", "lora_args": "no adapter"} {
		if v := o.get(key); v != nil && v != false && !empty(v) {
			o.foreign(key, "there", ours)
		}
	}
	p := o.place("use_scaled_rope")
	if p.Line == 0 {
		p.Name = "no use_scaled_rope"
	}
	o.list = append(o.list, Claim{Key: "extend_method", Value: r, Place: p})
	o.rest()
	return o.list, o.fault
}
