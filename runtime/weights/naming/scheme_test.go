package naming

import (
	"slices"
	"testing"
)

// Names written out by hand from the sources of each project: Meta's
// llama/model.py, torchtune's modules/transformer.py and peft/_utils.py,
// llama.cpp's gguf-py/gguf/constants.py.
var spellings = []map[Scheme]string{
	{SchemeHuggingFace: "model.embed_tokens.weight", SchemeMeta: "tok_embeddings.weight", SchemeTorchtune: "tok_embeddings.weight", SchemeGGUF: "token_embd.weight"},
	{SchemeHuggingFace: "model.layers.0.self_attn.q_proj.weight", SchemeMeta: "layers.0.attention.wq.weight", SchemeTorchtune: "layers.0.attn.q_proj.weight", SchemeGGUF: "blk.0.attn_q.weight"},
	{SchemeHuggingFace: "model.layers.31.self_attn.k_proj.weight", SchemeMeta: "layers.31.attention.wk.weight", SchemeTorchtune: "layers.31.attn.k_proj.weight", SchemeGGUF: "blk.31.attn_k.weight"},
	{SchemeHuggingFace: "model.layers.2.self_attn.v_proj.weight", SchemeMeta: "layers.2.attention.wv.weight", SchemeTorchtune: "layers.2.attn.v_proj.weight", SchemeGGUF: "blk.2.attn_v.weight"},
	{SchemeHuggingFace: "model.layers.2.self_attn.o_proj.weight", SchemeMeta: "layers.2.attention.wo.weight", SchemeTorchtune: "layers.2.attn.output_proj.weight", SchemeGGUF: "blk.2.attn_output.weight"},
	{SchemeHuggingFace: "model.layers.2.mlp.gate_proj.weight", SchemeMeta: "layers.2.feed_forward.w1.weight", SchemeTorchtune: "layers.2.mlp.w1.weight", SchemeGGUF: "blk.2.ffn_gate.weight"},
	{SchemeHuggingFace: "model.layers.2.mlp.down_proj.weight", SchemeMeta: "layers.2.feed_forward.w2.weight", SchemeTorchtune: "layers.2.mlp.w2.weight", SchemeGGUF: "blk.2.ffn_down.weight"},
	{SchemeHuggingFace: "model.layers.2.mlp.up_proj.weight", SchemeMeta: "layers.2.feed_forward.w3.weight", SchemeTorchtune: "layers.2.mlp.w3.weight", SchemeGGUF: "blk.2.ffn_up.weight"},
	{SchemeHuggingFace: "model.layers.2.input_layernorm.weight", SchemeMeta: "layers.2.attention_norm.weight", SchemeTorchtune: "layers.2.sa_norm.scale", SchemeGGUF: "blk.2.attn_norm.weight"},
	{SchemeHuggingFace: "model.layers.2.post_attention_layernorm.weight", SchemeMeta: "layers.2.ffn_norm.weight", SchemeTorchtune: "layers.2.mlp_norm.scale", SchemeGGUF: "blk.2.ffn_norm.weight"},
	{SchemeHuggingFace: "model.norm.weight", SchemeMeta: "norm.weight", SchemeTorchtune: "norm.scale", SchemeGGUF: "output_norm.weight"},
	{SchemeHuggingFace: "lm_head.weight", SchemeMeta: "output.weight", SchemeTorchtune: "output.weight", SchemeGGUF: "output.weight"},
	{SchemeHuggingFace: "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight", SchemeTorchtune: "layers.3.attn.q_proj.lora_a.weight", SchemeGGUF: "blk.3.attn_q.weight.lora_a"},
	{SchemeHuggingFace: "base_model.model.model.layers.3.mlp.down_proj.lora_B.weight", SchemeTorchtune: "layers.3.mlp.w2.lora_b.weight", SchemeGGUF: "blk.3.ffn_down.weight.lora_b"},
}

func TestEverySchemeToEveryOther(t *testing.T) {
	for _, row := range spellings {
		for from, name := range row {
			for to, want := range row {
				if got, ok := Translate(name, from, to); !ok || got != want {
					t.Errorf("%s (%v) is %q in %v, want %s", name, from, got, to, want)
				}
			}
			if mf, ok := Translate(name, from, SchemeMindFormers); !ok {
				t.Errorf("%s has no MindFormers name", name)
			} else if back, _ := Translate(mf, SchemeMindFormers, from); back != name {
				t.Errorf("%s comes back from MindFormers as %s", name, back)
			}
		}
	}
	if name, ok := Translate("model.layers.0.attention.wq.mindpet_delta_lora_a", SchemeMindFormers, SchemeMeta); ok {
		t.Errorf("Meta has no adapters, yet: %s", name)
	}
}

func TestPaired(t *testing.T) {
	for _, c := range []struct {
		s    Scheme
		name string
		want bool
	}{
		{SchemeHuggingFace, "model.layers.0.self_attn.q_proj.weight", false},
		{SchemeMindFormers, "model.layers.0.attention.wk.weight", false},
		{SchemeMeta, "layers.0.attention.wk.weight", true},
		{SchemeMeta, "layers.0.attention.wv.weight", false},
		{SchemeTorchtune, "layers.0.attn.q_proj.weight", true},
		{SchemeTorchtune, "layers.0.attn.q_proj.lora_a.weight", false},
		{SchemeTorchtune, "layers.0.attn.q_proj.lora_b.weight", true},
		{SchemeTorchtune, "layers.0.attn.v_proj.lora_b.weight", false},
		{SchemeGGUF, "blk.0.attn_k.weight.lora_b", true},
		{SchemeGGUF, "blk.0.attn_k.weight", true},
	} {
		if c.s.Paired(c.name) != c.want {
			t.Errorf("%s in %v: paired is %v", c.name, c.s, !c.want)
		}
	}
}

func TestSchemeOf(t *testing.T) {
	for want, names := range map[Scheme][]string{
		SchemeMeta:        {"output.weight", "tok_embeddings.weight", "norm.weight", "rope.freqs"},
		SchemeTorchtune:   {"output.weight", "tok_embeddings.weight", "norm.scale"},
		SchemeHuggingFace: {"lm_head.weight", "model.norm.weight"},
		SchemeMindFormers: {"lm_head.weight", "model.layers.0.attention.w_qkv.weight", "epoch_num"},
		SchemeGGUF:        {"output.weight", "blk.0.attn_q.weight"},
	} {
		if got, ok := SchemeOf(names); !ok || got != want {
			t.Errorf("%v is detected as %v", names, got)
		}
	}
	if s, ok := SchemeOf([]string{"conv1.weight", "fc.bias"}); ok {
		t.Errorf("a network that is no Llama is detected as %v", s)
	}
}

func TestParameterNames(t *testing.T) {
	want := []string{"model.tok_embeddings.embedding_weight",
		"model.layers.0.attention_norm.weight", "model.layers.0.attention.w_qkv.weight", "model.layers.0.attention.wo.weight",
		"model.layers.0.ffn_norm.weight", "model.layers.0.feed_forward.w_gate_hidden.weight", "model.layers.0.feed_forward.w2.weight",
		"model.norm_out.weight", "lm_head.weight"}
	if got := ParameterNames(1, SchemeMindFormers, true); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := ParameterNames(3, SchemeTorchtune, false); len(got) != 3+3*9 || got[10] != "layers.1.sa_norm.scale" {
		t.Errorf("%v", got)
	}
}
