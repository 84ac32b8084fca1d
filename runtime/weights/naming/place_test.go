package naming

import (
	"slices"
	"testing"
)

func TestPlace(t *testing.T) {
	for _, want := range [][]string{
		{"model.tok_embeddings.embedding_weight", "model.layers.0.ffn_norm.weight", "model.layers.2.attention.wq.weight", "model.layers.10.attention.wq.weight", "model.norm_out.weight", "lm_head.weight"},
		{"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.9.input_layernorm.weight", "model.norm.weight", "lm_head.weight"},
	} {
		got := slices.Sorted(slices.Values(want))
		slices.SortStableFunc(got, func(a, b string) int { return Place(a) - Place(b) })
		if !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	}
}
