package claims

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// GGUF reads the metadata of a GGUF file, values as its reader gives them:
// uint64, int64, float64, bool, string. factors are what its tensor rope_freqs
// divides the rotary frequencies by, nil without one.
func GGUF(file string, meta map[string]any, factors []float64) ([]Claim, error) {
	var list []Claim
	at := func(key string) Place { return Place{File: file, Name: key} }
	arch, _ := meta["general.architecture"].(string)
	if arch != "llama" && arch != "qwen2" {
		return nil, nil // which opening the file says
	}
	whole := func(key, name string) int {
		n := 0
		switch v := meta[name].(type) {
		case uint64:
			n = int(min(v, math.MaxInt32))
		case int64:
			n = int(v)
		default:
			return 0
		}
		if key != "" {
			list = append(list, Claim{Key: key, Value: n, Place: at(name)})
		}
		return n
	}
	real := func(name string) (float64, bool) {
		x, ok := meta[name].(float64)
		return shortest(x), ok
	}
	width := whole("hidden_size", arch+".embedding_length")
	whole("intermediate_size", arch+".feed_forward_length")
	whole("num_layers", arch+".block_count")
	heads := whole("num_heads", arch+".attention.head_count")
	if whole("n_kv_heads", arch+".attention.head_count_kv") == 0 && heads > 0 {
		list = append(list, Claim{Key: "n_kv_heads", Value: heads, Place: at(arch + ".attention.head_count")})
	}
	headDim := whole("head_dim", arch+".attention.key_length")
	if headDim == 0 && heads > 0 {
		headDim = width / heads
	}
	whole("vocab_size", arch+".vocab_size")
	if x, ok := real(arch + ".attention.layer_norm_rms_epsilon"); ok {
		list = append(list, Claim{Key: "rms_norm_eps", Value: x, Place: at(arch + ".attention.layer_norm_rms_epsilon")})
	}
	theta, ok := real(arch + ".rope.freq_base")
	name := arch + ".rope.freq_base"
	if !ok { // llama.cpp's default
		theta, name = 10000, "no "+arch+".rope.freq_base, which is 10000 then"
	}
	list = append(list, Claim{Key: "theta", Value: theta, Place: at(name)})
	if n := whole("", arch+".expert_count"); n > 1 {
		list = append(list, Claim{Key: "expert_count", Value: n, Place: at(arch + ".expert_count"), Foreign: "one feed-forward network a layer"})
	}
	whole("sliding_window", arch+".attention.sliding_window")
	if d := whole("", arch+".rope.dimension_count"); d != 0 && headDim != 0 && d != headDim {
		list = append(list, Claim{Key: "rope.dimension_count", Value: d, Place: at(arch + ".rope.dimension_count"), Foreign: "RoPE on whole heads"})
	}
	if d := whole("", arch+".attention.value_length"); d != 0 && headDim != 0 && d != headDim {
		list = append(list, Claim{Key: "attention.value_length", Value: d, Place: at(arch + ".attention.value_length"), Foreign: "values as wide as keys"})
	}
	whole("max_position_embeddings", arch+".context_length")
	whole("bos_token_id", "tokenizer.ggml.bos_token_id")
	if n, ok := meta["tokenizer.ggml.padding_token_id"].(uint64); ok && n < math.MaxInt32 {
		list = append(list, Claim{Key: padding, Value: int(n), Place: at("tokenizer.ggml.padding_token_id")})
	}
	if n, ok := meta["tokenizer.ggml.eos_token_id"].(uint64); ok {
		list = append(list, Claim{Key: "eos_token_id", Value: IDs{int(min(n, math.MaxInt32))}, Place: at("tokenizer.ggml.eos_token_id")})
	}
	for _, k := range []struct {
		key, ours string
		fine      bool
	}{{arch + ".use_parallel_residual", "attention, then the feed-forward network", false}, {arch + ".attention.causal", "attention to what is before, alone", true}} {
		if v, ok := meta[k.key].(bool); ok && v != k.fine {
			list = append(list, Claim{Key: k.key, Value: v, Place: at(k.key), Foreign: k.ours})
		}
	}
	for _, key := range []string{arch + ".attention.clamp_kqv", arch + ".attention.max_alibi_bias", arch + ".attn_logit_softcapping", arch + ".final_logit_softcapping"} {
		if x, ok := real(key); ok && x != 0 {
			list = append(list, Claim{Key: key, Value: x, Place: at(key), Foreign: "none"})
		}
	}
	var unknown []string
	for key := range meta {
		if strings.HasPrefix(key, arch+".") && !slices.Contains(ggufKeys, strings.TrimPrefix(key, arch+".")) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	list = append(list, unknownKeys(file, unknown, nil)...)
	for _, key := range []string{arch + ".logit_scale", arch + ".embedding_scale", arch + ".residual_scale"} {
		if x, ok := real(key); ok && x != 1 && x != 0 {
			list = append(list, Claim{Key: key, Value: x, Place: at(key), Foreign: "1"})
		}
	}
	if x, ok := real(arch + ".attention.scale"); ok && x != 0 && !near(x, 1/math.Sqrt(float64(max(headDim, 1)))) {
		list = append(list, Claim{Key: "attention.scale", Value: x, Place: at(arch + ".attention.scale"), Foreign: "1/√head_dim"})
	}
	return append(list, ggufScaling(file, arch, meta, factors, headDim, theta)), nil
}

// ggufKeys are the keys of an architecture that are read, or that say nothing here.
var ggufKeys = []string{"embedding_length", "feed_forward_length", "block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length", "vocab_size",
	"attention.layer_norm_rms_epsilon", "rope.freq_base", "rope.dimension_count", "expert_count", "expert_used_count", "attention.sliding_window", "logit_scale", "embedding_scale", "residual_scale",
	"attention.scale", "context_length", "use_parallel_residual", "attention.causal", "attention.clamp_kqv", "attention.max_alibi_bias", "attn_logit_softcapping", "final_logit_softcapping",
	"rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned", "tensor_data_layout"}

// ggufScaling is the scaling of the rotary frequencies: keys, or a tensor that
// the converter of llama.cpp makes of the llama3 method.
func ggufScaling(file, arch string, meta map[string]any, factors []float64, headDim int, theta float64) Claim {
	c := Claim{Key: "extend_method", Value: Rope{Method: "none"}, Place: Place{File: file, Name: "no " + arch + ".rope.scaling.type"}}
	kind, _ := meta[arch+".rope.scaling.type"].(string)
	if kind != "" {
		c.Place.Name = arch + ".rope.scaling.type"
	}
	factor, _ := meta[arch+".rope.scaling.factor"].(float64)
	factor = shortest(factor)
	old, _ := meta[arch+".rope.scaling.original_context_length"].(uint64)
	switch kind {
	case "", "none":
	case "linear":
		if factor != 1 && factor != 0 {
			c.Value = Rope{"linear", map[string]float64{"factor": factor}}
		}
	case "yarn":
		c.Value = Rope{"yarn", map[string]float64{"factor": factor, "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": float64(old), "mscale": 1, "mscale_all_dim": 0}}
	default:
		return Claim{Key: "rope_scaling", Value: kind, Place: c.Place, Foreign: "none, PI (linear), NTK, YARN or LLAMA3"}
	}
	if ones(factors) {
		return c
	}
	c.Place.Name = "rope_freqs.weight"
	for _, length := range []float64{8192, float64(old)} { // of published models, or what the file says
		for _, f := range []float64{8, 32, 2, 4, 16, 64} {
			try := map[string]float64{"factor": f, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": length}
			if length > 0 && equal(factors, Llama3(headDim, theta, try)) {
				c.Value = Rope{"llama3", try}
				return c
			}
		}
	}
	return Claim{Key: "rope_freqs", Value: "rotary frequencies that are scaled one by one", Place: c.Place, Foreign: "none, PI (linear), NTK, YARN or LLAMA3"}
}

func ones(list []float64) bool {
	for _, x := range list {
		if x != 1 {
			return false
		}
	}
	return true
}

// equal compares factors that were computed in f32.
func equal(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Abs(a[i]-b[i]) > 1e-3*math.Abs(b[i]) {
			return false
		}
	}
	return true
}

// shortest is the decimal that an f32 was written as: 1e-5, not 9.99999974e-6.
func shortest(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(float64(float32(x)), 'g', -1, 32), 64)
	if err != nil {
		return x
	}
	return y
}
