package claims

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// TestKeys: a key that changes the network contradicts, one that could matter is noted,
// and of the others nothing is said.
func TestKeys(t *testing.T) {
	for _, c := range []struct{ more, differs, noted string }{
		{`"clip_qkv": 8.0`, "clip_qkv", ""}, {`"clip_qkv": null`, "", ""},
		{`"no_rope_layers": [1, 0]`, "no_rope_layers", ""}, {`"no_rope_layers": [1, 1]`, "", ""}, {`"no_rope_layer_interval": 4`, "no_rope_layer_interval", ""},
		{`"use_parallel_residual": true`, "use_parallel_residual", ""}, {`"use_parallel_residual": false`, "", ""}, {`"parallel_attn": true`, "parallel_attn", ""},
		{`"query_pre_attn_scalar": 256`, "query_pre_attn_scalar", ""}, {`"query_pre_attn_scalar": 16`, "", ""},
		{`"attention_dropout": 0.1`, "", "attention_dropout"}, {`"attention_dropout": 0.0`, "", ""}, {`"resid_pdrop": 0.1`, "", "resid_pdrop"},
		{`"max_position_embeddings": 16`, "", "max_position_embeddings"}, {`"max_position_embeddings": 32`, "", ""},
		{`"use_qk_norm": true`, "use_qk_norm", ""}, {`"qk_layernorm": false`, "", ""}, {`"final_logit_softcapping": 30.0`, "final_logit_softcapping", ""},
		{`"rotary_pct": 0.25`, "rotary_pct", ""}, {`"rotary_dim": 8`, "rotary_dim", ""}, {`"rotary_dim": 16`, "", ""},
		{`"rope_interleaved": true`, "rope_interleaved", ""}, {`"alibi": true`, "alibi", ""}, {`"position_embedding_type": "alibi"`, "position_embedding_type", ""},
		{`"position_embedding_type": "rope"`, "", ""}, {`"layer_norm_type": "rms"`, "", ""}, {`"norm_type": "layer_norm"`, "norm_type", ""}, {`"do_layer_norm_before": false`, "do_layer_norm_before", ""},
		{`"layer_norm_eps": 1e-6`, "rms_norm_eps", ""}, {`"rotary_emb_base": 500000`, "theta", ""}, {`"layer_norm_eps": 1e-5`, "", ""},
		{`"activation_function": "gelu"`, "activation_function", ""}, {`"ffn_act_fn": {"name": "silu"}`, "", ""}, {`"scale_depth": 1.4`, "scale_depth", ""},
		{`"layer_types": ["full_attention", "full_attention"]`, "", ""}, {`"layer_types": ["mamba", "full_attention"]`, "layer_types", ""},
		{`"layer_types": ["sliding_attention"], "sliding_window": 8, "use_sliding_window": false`, "sliding_window", ""}, {`"attention_chunk_size": 16`, "sliding_window", ""},
		{`"kv_lora_rank": 512`, "kv_lora_rank", ""}, {`"is_encoder_decoder": true`, "is_encoder_decoder", ""}, {`"mup_base": 3`, "mup_base", ""}, {`"pruned_heads": {}`, "", ""},
		{`"num_experts": 1`, "", ""}, {`"scale_embedding": true`, "scale_embedding", ""}, {`"pretraining_tp": 2, "use_cache": true, "top_p": 0.9, "id2label": {"0": "x"}`, "", ""},
		{`"my_own_trick": 3, "other": "x", "empty": [], "off": false, "nothing": null`, "", "my_own_trick, other"}, {`"quantization_config": {"bits": 4, "quant_method": "gptq"}`, "", "it says gptq"},
		{`"rope_scaling": {"rope_type": "linear", "factor": 1.0, "trick": 2}`, "", "rope_scaling.trick"},
	} {
		list, err := HuggingFace("config.json", plainWith(c.more))
		if err != nil {
			t.Errorf("%s: %v", c.more, err)
			continue
		}
		f := llama2()
		var got []string
		for _, d := range Compare(f, list) {
			got = append(got, d.Key)
		}
		if s := strings.Join(got, " "); s != c.differs {
			t.Errorf("%s: %q differ, not %q", c.more, s, c.differs)
		}
		notes := strings.Join(Notes(f, list), "; ")
		if c.noted == "" && notes != "" || !strings.Contains(notes, c.noted) {
			t.Errorf("%s: noted %q, want %q", c.more, notes, c.noted)
		}
	}
	list, err := HuggingFace("config.json", []byte(`{"model_type": "llama", "hidden_size": 64}`))
	if d := Compare(llama2(), list); err != nil || !slices.ContainsFunc(d, func(d Difference) bool { return d.Key == "rms_norm_eps" && d.Said() == "1.0e-06" }) {
		t.Errorf("no rms_norm_eps: %v %v", d, err)
	}
}

// TestFormatsKeys: the same for params.json and GGUF.
func TestFormatsKeys(t *testing.T) {
	const meta = `{"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": -1, "norm_eps": 1e-05`
	for more, want := range map[string]string{`, "max_batch_size": 3`: "", `, "head_dim": 8`: "head_dim", `, "hidden_dim": 100`: "intermediate_size", `, "moe": {"num_experts": 8}`: "moe",
		`, "sliding_window": 8`: "sliding_window", `, "lora_args": {"rank": 8}`: "lora_args", `, "trick": 3`: "+trick"} {
		list, err := Meta("params.json", []byte(meta+more+"}"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range Compare(llama2(), list) {
			got += d.Key
		}
		if n := Notes(llama2(), list); len(n) > 0 {
			got += "+trick"
			if !strings.Contains(n[0], "params.json:1 (trick)") {
				t.Errorf("noted %q", n)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", more, got, want)
		}
	}
	for key, c := range map[string]struct {
		value any
		want  string
	}{"llama.rope.dimension_count": {uint64(8), "rope.dimension_count"}, "llama.attention.value_length": {uint64(8), "attention.value_length"}, "llama.context_length": {uint64(16), "+"},
		"llama.use_parallel_residual": {true, "llama.use_parallel_residual"}, "llama.attention.causal": {false, "llama.attention.causal"}, "llama.attention.clamp_kqv": {8.0, "llama.attention.clamp_kqv"},
		"llama.trick": {uint64(1), "+"}, "llama.rope.scaling.finetuned": {true, ""}} {
		list, err := GGUF("a.gguf", map[string]any{"general.architecture": "llama", "llama.embedding_length": uint64(64), "llama.attention.head_count": uint64(4),
			"llama.attention.head_count_kv": uint64(2), key: c.value}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range Compare(llama2(), list) {
			got += d.Key
		}
		if n := Notes(llama2(), list); len(n) > 0 {
			got += "+"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", key, got, c.want)
		}
	}
}

// TestFreqs: tables of rotary frequencies are compared with theta and scaling, as far as
// their type can say.
func TestFreqs(t *testing.T) {
	f := llama2()
	scaled := func(by float64, x []float64) []float64 {
		for i := range x {
			x[i] /= by
		}
		return x
	}
	for i, c := range []struct {
		table   Freqs
		method  string
		differs bool
	}{
		{Freqs{unscaled(8, 10000), "F32"}, "none", false},
		{Freqs{unscaled(8, 500000), "F32"}, "none", true},
		{Freqs{scaled(4, unscaled(8, 10000)), "F32"}, "none", true},
		{Freqs{scaled(4, unscaled(8, 10000)), "F32"}, "pi", false},
		{Freqs{unscaled(8, 10000), "F32"}, "pi", false}, // of a program that scales positions
		{Freqs{unscaled(8, 40000), "F32"}, "ntk", false},
		{Freqs{scaled(1.003, unscaled(8, 10000)), "BF16"}, "none", false},
		{Freqs{scaled(1.003, unscaled(8, 10000)), "F32"}, "none", true},
		{Freqs{unscaled(4, 10000), "F32"}, "none", true},
	} {
		f.Method, f.Factors = c.method, map[string]float64{"factor": 4}
		claim := Claim{Key: "inv_freq", Value: c.table, Place: Place{File: "base", Name: "x.rotary_emb.inv_freq"}}
		if d := Compare(f, []Claim{claim}); len(d) > 0 != c.differs {
			t.Errorf("%d: %v with %s: %v", i, c.table, c.method, d)
		}
	}
	for _, theta := range []float64{10000, 500000, 1e6} {
		if got := (Freqs{unscaled(64, theta), "F32"}).Theta(); math.Abs(got-theta) > 1e-6*theta {
			t.Errorf("theta is %v, not %v", got, theta)
		}
	}
	if s := (Freqs{unscaled(8, 10000), "F32"}).String(); s != "8 frequencies of theta 10000" {
		t.Error(s)
	}
	table := Claim{Key: "inv_freq", Value: Freqs{unscaled(8, 10000), "F32"}}
	if _, _, ok := Agree([]Claim{table, {Key: "theta", Value: 10000.0}, table}); !ok {
		t.Error("a table contradicts its theta")
	}
	if _, _, ok := Agree([]Claim{table, {Key: "theta", Value: 5e5}}); ok {
		t.Error("a table agrees with another theta")
	}
	if keys, _ := table.Settings(32); keys != nil {
		t.Error("a key sets a table")
	}
}
