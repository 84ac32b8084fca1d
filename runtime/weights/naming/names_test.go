package naming

import (
	"slices"
	"testing"
)

// Pairs written out by hand from MindFormers r1.3 convert_weight.py and the
// PEFT adapter naming.
var pairs = [][2]string{
	{"model.tok_embeddings.embedding_weight", "model.embed_tokens.weight"},
	{"model.layers.0.attention.wq.weight", "model.layers.0.self_attn.q_proj.weight"},
	{"model.layers.7.attention.wk.weight", "model.layers.7.self_attn.k_proj.weight"},
	{"model.layers.10.attention.wv.weight", "model.layers.10.self_attn.v_proj.weight"},
	{"model.layers.79.attention.wo.weight", "model.layers.79.self_attn.o_proj.weight"},
	{"model.layers.1.feed_forward.w1.weight", "model.layers.1.mlp.gate_proj.weight"},
	{"model.layers.1.feed_forward.w2.weight", "model.layers.1.mlp.down_proj.weight"},
	{"model.layers.1.feed_forward.w3.weight", "model.layers.1.mlp.up_proj.weight"},
	{"model.layers.3.attention_norm.weight", "model.layers.3.input_layernorm.weight"},
	{"model.layers.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"},
	{"model.norm_out.weight", "model.norm.weight"},
	{"lm_head.weight", "lm_head.weight"},
	{"model.layers.12.attention.wq.mindpet_delta_lora_a", "base_model.model.model.layers.12.self_attn.q_proj.lora_A.weight"},
	{"model.layers.12.attention.wq.mindpet_delta_lora_b", "base_model.model.model.layers.12.self_attn.q_proj.lora_B.weight"},
	{"model.layers.0.feed_forward.w2.mindpet_delta_lora_b", "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight"},
}

func TestTranslateBothWays(t *testing.T) {
	for _, p := range pairs {
		if got, ok := Translate(p[0], SchemeMindFormers, SchemeHuggingFace); !ok || got != p[1] {
			t.Errorf("%s → %q %v, want %s", p[0], got, ok, p[1])
		}
		if got, ok := Translate(p[1], SchemeHuggingFace, SchemeMindFormers); !ok || got != p[0] {
			t.Errorf("%s → %q %v, want %s", p[1], got, ok, p[0])
		}
	}
}

func TestTranslateOldSpellings(t *testing.T) {
	for name, want := range map[string]string{
		"model.layers.2.attention.wo.tk_delta_lora_a":      "base_model.model.model.layers.2.self_attn.o_proj.lora_A.weight",
		"model.layers.2.attention.wo.mindpet_delta_lora_B": "base_model.model.model.layers.2.self_attn.o_proj.lora_B.weight",
	} {
		if got, ok := Translate(name, SchemeMindFormers, SchemeHuggingFace); !ok || got != want {
			t.Errorf("%s → %q %v", name, got, ok)
		}
	}
	got, ok := Translate("base_model.model.model.layers.2.mlp.up_proj.lora_B.default.weight", SchemeHuggingFace, SchemeMindFormers)
	if want := "model.layers.2.feed_forward.w3.mindpet_delta_lora_b"; !ok || got != want {
		t.Errorf("→ %q %v, want %s", got, ok, want)
	}
}

func TestTranslateRefuses(t *testing.T) {
	for _, name := range []string{
		"", "model", "model.layers.attention.wq.weight", "model.layers.x.attention.wq.weight", "model.layers.01.attention.wq.weight",
		"model.layers.-1.attention.wq.weight", "model.layers.99999999999999999999.attention.wq.weight",
		"model.layers.0.attention_norm.bias", "model.layers.0.self_attn.q_proj.weight", "model.layers.0.attention.w_qkv.weight",
		".mindpet_delta_lora_a", "model.layers.0.attention.mindpet_delta_lora_a", "model.layers.0.attention.wq.weight ",
		"model.tok_embeddings.mindpet_delta_lora_a",
	} {
		if got, ok := Translate(name, SchemeMindFormers, SchemeHuggingFace); ok {
			t.Errorf("%q became %q", name, got)
		}
	}
}

func TestParts(t *testing.T) {
	const layer = "model.layers.4."
	for _, c := range []struct {
		name   string
		parts  []string
		shared bool
	}{
		{"attention.wq.weight", nil, false},
		{"attention.w_q.weight", nil, false},
		{"attention.wq.mindpet_delta_lora_a", nil, false},
		{"attention.w_qkv.weight", []string{"attention.wq.weight", "attention.wk.weight", "attention.wv.weight"}, false},
		{"feed_forward.w_gate_hidden.weight", []string{"feed_forward.w1.weight", "feed_forward.w3.weight"}, false},
		{"feed_forward.w_gate_hidden.mindpet_delta_lora_a", []string{
			"feed_forward.w1.mindpet_delta_lora_a", "feed_forward.w3.mindpet_delta_lora_a"}, true},
		{"attention.w_qkv.mindpet_delta_lora_b", []string{
			"attention.wq.mindpet_delta_lora_b", "attention.wk.mindpet_delta_lora_b", "attention.wv.mindpet_delta_lora_b"}, false},
	} {
		for i := range c.parts {
			c.parts[i] = layer + c.parts[i]
		}
		if got := Parts(layer + c.name); !slices.Equal(got, c.parts) {
			t.Errorf("Parts(%s) = %q, want %q", c.name, got, c.parts)
		}
		if got := Shared(layer + c.name); got != c.shared {
			t.Errorf("Shared(%s) = %v", c.name, got)
		}
		for _, part := range c.parts {
			if HF(part) == "" {
				t.Errorf("part %s has no Hugging Face name", part)
			}
		}
	}
}

func TestShortForms(t *testing.T) {
	const a = "model.layers.3.attention.wk.mindpet_delta_lora_a"
	if got, want := HF(a), "model.layers.3.self_attn.k_proj.lora_A.weight"; got != want {
		t.Errorf("HF = %q, want %q", got, want)
	}
	for _, name := range []string{HF(a), PEFTPrefix + HF(a)} {
		if got := MindFormers(name); got != a {
			t.Errorf("MindFormers(%s) = %q", name, got)
		}
	}
	if HF("x") != "" || MindFormers("x") != "" {
		t.Error("an unknown name has a translation")
	}
	for leaf, want := range map[string]string{"wq": "q_proj", "wo": "o_proj", "w1": "gate_proj", "w2": "down_proj", "w3": "up_proj", "w_qkv": "w_qkv"} {
		if got := Module(leaf); got != want {
			t.Errorf("Module(%s) = %s, want %s", leaf, got, want)
		}
	}
}

func TestLayer(t *testing.T) {
	for name, want := range map[string]int{
		"model.layers.31.attention.wq.weight":                       31,
		"base_model.model.model.layers.2.mlp.up_proj.lora_A.weight": 2,
		"model.norm_out.weight":                                     -1,
		"model.layers.two.attention.wq.weight":                      -1,
		"model.layers.0":                                            0,
	} {
		if got := Layer(name); got != want {
			t.Errorf("Layer(%s) = %d, want %d", name, got, want)
		}
	}
}

// TestBiases: biases have names where a scheme has them, belong to keys, and are in
// rotary pairs where their rows are.
func TestBiases(t *testing.T) {
	const q, up = "model.layers.3.attention.wq.bias", "model.layers.3.feed_forward.w3.bias"
	for name, want := range map[string][schemes]string{
		q:  {q, "model.layers.3.self_attn.q_proj.bias", "blk.3.attn_q.bias", "", "layers.3.attn.q_proj.bias"},
		up: {up, "model.layers.3.mlp.up_proj.bias", "blk.3.ffn_up.bias", "", "layers.3.mlp.w3.bias"},
	} {
		for s := Scheme(0); s < schemes; s++ {
			got, ok := Translate(name, SchemeMindFormers, s)
			if got != want[s] || ok != (want[s] != "") {
				t.Errorf("%s in %s: %q %v", name, s, got, ok)
			}
			if !ok {
				continue
			}
			if back, _ := Translate(got, s, SchemeMindFormers); back != name || !IsBias(got, s) {
				t.Errorf("%s of %s is %q", got, s, back)
			}
			if paired := s.Paired(got); paired != (name == q && (s == SchemeGGUF || s == SchemeTorchtune)) {
				t.Errorf("%s of %s is paired: %v", got, s, paired)
			}
		}
	}
	for name, key := range map[string]string{q: "qkv_has_bias", "model.layers.0.attention.w_qkv.bias": "qkv_has_bias", "model.layers.0.attention.wo.bias": "attn_proj_has_bias", up: "mlp_has_bias",
		"model.layers.0.feed_forward.w_gate_hidden.bias": "mlp_has_bias", "model.layers.0.attention.wq.weight": "", "model.norm_out.bias": "", "blk.3.attn_q.bias": ""} {
		if got := BiasKey(name); got != key {
			t.Errorf("%s: %q", name, got)
		}
	}
	if BiasOf("model.layers.3.attention.wq.weight", SchemeMindFormers) != q || BiasOf("model.norm_out.weight", SchemeMindFormers) != "" || BiasOf(q, SchemeMindFormers) != "" {
		t.Error("the bias of a weight")
	}
	names := WithBiases(ParameterNames(1, SchemeMindFormers, true), SchemeMindFormers, func(bias string) bool { return BiasKey(bias) == "qkv_has_bias" })
	if at := slices.Index(names, "model.layers.0.attention.w_qkv.bias"); at < 1 || names[at-1] != "model.layers.0.attention.w_qkv.weight" || len(names) != 10 {
		t.Errorf("%v", names)
	}
	for want, list := range map[bool][]string{true: {"layers.0.attn.q_proj.bias", "layers.0.attn.v_proj.bias"}, false: {"layers.0.attn.q_proj.bias", "layers.0.attn.output_proj.bias"}} {
		if LikeQwen2(list, SchemeTorchtune) != want {
			t.Errorf("%v", list)
		}
	}
}
