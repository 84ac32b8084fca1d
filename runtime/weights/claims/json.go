package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/weights/jsonkeys"
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
	lines map[string][]int // of each key, by its path

	headDim int
}

func parse(file string, text []byte) (*object, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // as Windows' editors write
	o := &object{file: file, text: text, used: map[string]bool{}}
	if err := json.Unmarshal(text, &o.keys); err != nil {
		return nil, fmt.Errorf("%s is no JSON object: %w", file, err)
	}
	var err error
	if o.lines, err = jsonkeys.Lines(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return o, nil
}

// place is where a key stands; that of an object in another has its path, as
// rope_scaling.factor.
func (o *object) place(key string) Place {
	p := Place{File: o.file, Name: key}
	if l := o.lines[key]; len(l) > 0 {
		p.Line = l[len(l)-1] // the last one counts
	}
	return p
}

// wrong keeps the first value that cannot be.
func (o *object) wrong(key string, value any, due string) {
	if o.fault == nil {
		p := o.place(key)
		o.fault = fmt.Errorf("%s:%d: `%s` is %s, %s is due", p.File, p.Line, key, quoted(value), due)
	}
}

// quoted is Text with quotes around what is a string in the file.
func quoted(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(visible(s))
	}
	return Text(v)
}

// has reports whether a key has a value.
func (o *object) has(key string) bool { return o.get(key) != nil }

// get is the value of a key, which is read by that.
func (o *object) get(key string) any {
	o.used[key] = true
	return o.keys[key]
}

// number is a number of the object, or with a path in the object at that key.
func (o *object) number(path string) (float64, bool) {
	in, key := o.keys, path
	if at, inner, ok := strings.Cut(path, "."); ok {
		in, _ = o.keys[at].(map[string]any)
		key = inner
	} else {
		o.used[key] = true
	}
	v := in[key]
	if v == nil {
		return 0, false
	}
	x, ok := v.(float64)
	if !ok {
		o.wrong(path, v, "a number")
	}
	return x, ok
}

// word is a text of the object, or with a path in the object at that key; "" without.
func (o *object) word(path string) string {
	in, key := o.keys, path
	if at, inner, ok := strings.Cut(path, "."); ok {
		in, _ = o.keys[at].(map[string]any)
		key = inner
	} else {
		o.used[key] = true
	}
	v := in[key]
	s, ok := v.(string)
	if v != nil && !ok {
		o.wrong(path, v, "a text")
	}
	return s
}

func (o *object) add(key string, value any, at string) {
	o.list = append(o.list, Claim{Key: key, Value: value, Place: o.place(at)})
}

// whole adds a claim of a whole number.
func (o *object) whole(key, at string) int {
	x, ok := o.number(at)
	if !ok {
		return 0
	}
	if x != math.Trunc(x) || x < 1 || x > math.MaxInt32 {
		o.wrong(at, x, "a whole number from 1")
	}
	o.add(key, int(x), at)
	return int(x)
}

func (o *object) real(key, at string) (float64, bool) {
	x, ok := o.number(at)
	if ok && x <= 0 {
		o.wrong(at, x, "a number above 0")
	}
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
var likeLlama = []string{"llama", "mistral", "granite", "minicpm", "qwen2"}

// HuggingFace reads config.json. A file without the keys of a language model
// makes no claims.
func HuggingFace(file string, text []byte) ([]Claim, error) {
	o, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	kind := o.word("model_type")
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
	if _, ok := o.real("rms_norm_eps", "rms_norm_eps"); !ok && (kind == "llama" || kind == "mistral" || kind == "qwen2") { // as transformers has it
		o.list = append(o.list, Claim{Key: "rms_norm_eps", Value: 1e-6, Place: Place{File: o.file, Name: "no rms_norm_eps, which is 1e-06 then"}})
	}
	if v := o.get("tie_word_embeddings"); v == true || v == false {
		o.add("tie_word_embeddings", v, "tie_word_embeddings")
	} else if v != nil {
		o.wrong("tie_word_embeddings", v, "true or false")
	}
	if n, ok := o.number("max_position_embeddings"); ok {
		o.add("max_position_embeddings", int(min(n, math.MaxInt32)), "max_position_embeddings")
	}
	o.ids()
	o.windows()
	o.biases(kind)
	o.rotary()
	o.rest()
	return o.list, o.fault
}

// biases claims which linears have biases: those of query, key and value in Qwen2,
// whatever its keys say; by their keys in others.
func (o *object) biases(kind string) {
	attention, mlp := o.get("attention_bias"), o.get("mlp_bias")
	if kind == "qwen2" {
		o.add("qkv_has_bias", true, "model_type")
		o.add("attn_proj_has_bias", false, "model_type")
		o.add("mlp_has_bias", false, "model_type")
		return
	}
	for _, k := range []struct {
		key   string
		value any
		ours  []string
	}{{"attention_bias", attention, []string{"qkv_has_bias", "attn_proj_has_bias"}}, {"mlp_bias", mlp, []string{"mlp_has_bias"}}} {
		switch k.value {
		case nil:
		case true, false:
			for _, ours := range k.ours {
				o.add(ours, k.value, k.key)
			}
		default:
			o.wrong(k.key, k.value, "true or false")
		}
	}
}

// windows claims that attention sees only so many tokens, in all layers or in some.
func (o *object) windows() {
	some, _ := o.keys["layer_types"].([]any)
	on := o.get("use_sliding_window") != false || slices.Contains(some, any("sliding_attention"))
	if w, ok := o.number("sliding_window"); ok && on {
		o.add("sliding_window", int(w), "sliding_window")
	}
	o.used["sliding_window_pattern"], o.used["_sliding_window_pattern"] = true, true
	for _, key := range []string{"attention_chunk_size", "attention_window_size", "local_attention", "attention_window"} {
		if w, ok := o.number(key); ok {
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
	list, ok := o.get("architectures").([]any)
	if v := o.get("architectures"); v != nil && !ok {
		o.wrong("architectures", v, "a list")
	}
	for _, a := range list {
		name, _ := a.(string)
		lower := strings.ToLower(name)
		ours := slices.ContainsFunc(likeLlama, func(k string) bool { return strings.HasPrefix(lower, k) })
		if !ours || strings.HasPrefix(name, "Llama4") || strings.HasPrefix(name, "Qwen2Moe") || !strings.HasSuffix(name, "ForCausalLM") && !strings.HasSuffix(name, "Model") {
			o.foreign("architectures", name, "LlamaForCausalLM")
		}
	}
}

// rotary claims the base of the rotary frequencies and their scaling. What is
// absent is transformers' default. All places that say one are claims, so that two that
// differ are found.
func (o *object) rotary() {
	said, scaled := false, false
	theta := func(path string) {
		if _, ok := o.real("theta", path); ok {
			said = true
		}
	}
	theta("rope_theta")
	for _, at := range []string{"rope_parameters", "rope_scaling"} { // the first since transformers 5
		s := o.object(at)
		if s == nil {
			continue
		}
		scaled = true
		theta(at + ".rope_theta")
		if x, there := o.number(at + ".partial_rotary_factor"); there && x != 1 {
			o.foreign(at+".partial_rotary_factor", x, "1")
		}
		o.scaling(s, at)
	}
	if !said {
		o.list = append(o.list, Claim{Key: "theta", Value: 10000.0, Place: Place{File: o.file, Name: "no rope_theta, which is 10000 then"}})
	}
	if !scaled {
		o.list = append(o.list, Claim{Key: "extend_method", Value: Rope{Method: "none"}, Place: o.scalingPlace("rope_scaling")})
	}
}

func (o *object) object(key string) map[string]any {
	v := o.get(key)
	if v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		o.wrong(key, v, "an object or null")
	}
	return m
}

// scaling claims what an object at a key says: rope_type, or type as older versions have
// it. Where both are there, both are claims.
func (o *object) scaling(s map[string]any, at string) {
	kind, older := o.word(at+".rope_type"), o.word(at+".type")
	name := at + ".rope_type"
	if kind == "" {
		kind, name, older = older, at+".type", ""
	}
	o.unknownScaling(s, at)
	if kind == "" {
		name = at
	}
	o.method(s, kind, at, name)
	if older != "" && older != kind {
		o.method(s, older, at, at+".type")
	}
}

// method claims the scaling of a kind, which stands at name.
func (o *object) method(s map[string]any, kind, at, name string) {
	switch kind {
	case "", "default":
		o.add("extend_method", Rope{Method: "none"}, name)
	case "linear", "dynamic", "yarn", "llama3":
		r, err := o.factors(kind, s, at)
		if err == nil {
			o.add("extend_method", r, name)
		} else if o.fault == nil {
			o.fault = fmt.Errorf("%s:%d: `%s`: %w", o.file, o.place(at).Line, at, err)
		}
	default:
		o.list = append(o.list, Claim{Key: "rope_scaling", Value: kind, Place: o.place(name), Foreign: "none, PI (linear), NTK, YARN or LLAMA3"})
	}
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

func (o *object) scalingPlace(at string) Place {
	if o.lines[at] == nil {
		return Place{File: o.file, Name: "no rope_scaling"}
	}
	return o.place(at)
}

// factors reads the fields of a scaling as transformers does.
func (o *object) factors(kind string, s map[string]any, at string) (Rope, error) {
	r := Rope{kind, map[string]float64{}}
	get := func(key string, otherwise float64) float64 {
		if x, ok := o.number(at + "." + key); ok {
			return x
		}
		return otherwise
	}
	factor := get("factor", 0)
	if factor <= 0 {
		return r, errors.New("it has no `factor`")
	}
	r.Factors["factor"] = factor
	longest, _ := o.number("max_position_embeddings")
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
	if n, ok := o.number("vocab_size"); ok && n > 0 { // -1: what the tokenizer has
		o.whole("vocab_size", "vocab_size")
	}
	if multiple, ok := o.number("multiple_of"); ok && multiple >= 1 && dim > 0 {
		n := 2 * (4 * dim) / 3
		if m, ok := o.number("ffn_dim_multiplier"); ok {
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
		if x, ok := o.number("rope_scaling_factor"); ok {
			r.Factors["factor"] = x
		}
		if x, ok := o.number("rope_high_freq_factor"); ok {
			r.Factors["high_freq_factor"] = x
		}
	}
	if d, ok := o.number("head_dim"); ok && d > 0 { // Mistral's
		o.whole("head_dim", "head_dim")
	}
	if d, ok := o.number("hidden_dim"); ok && d > 0 {
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
