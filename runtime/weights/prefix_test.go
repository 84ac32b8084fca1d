package weights

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/mindspore"
)

// TestUnwrap: names of wrappers are taken off parameters of every scheme, mixed and
// doubled ones too, and off nothing else.
func TestUnwrap(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"network.model.norm_out.weight network.lm_head.weight network.model.layers.0.attention.wq.weight epoch_num adam_m.x.y",
			"model.norm_out.weight lm_head.weight model.layers.0.attention.wq.weight epoch_num adam_m.x.y"},
		{"model.norm_out.weight network.lm_head.weight", "model.norm_out.weight lm_head.weight"},
		{"a.lm_head.weight b.model.norm_out.weight", "lm_head.weight model.norm_out.weight"},
		{"module.model.norm.weight module.lm_head.weight module.model.layers.1.mlp.up_proj.weight", "model.norm.weight lm_head.weight model.layers.1.mlp.up_proj.weight"},
		{"_orig_mod.model.layers.0._orig_mod.mlp.up_proj.weight base_model.model.model.norm.weight model.model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight model.norm.weight model.embed_tokens.weight"},
		{"base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
			"model.layers.0.self_attn.q_proj.weight model.layers.0.self_attn.q_proj.lora_A.weight"},
		{"embed_tokens.weight layers.0.mlp.up_proj.weight norm.weight", "model.embed_tokens.weight model.layers.0.mlp.up_proj.weight model.norm.weight"},
		{"module.module.layers.0.attention.wq.weight module.norm.weight tok_embeddings.weight", "layers.0.attention.wq.weight norm.weight tok_embeddings.weight"},
		{"network.model.norm_out.weight adam_m.network.model.norm_out.weight network.adam_v.model.norm_out.weight", "model.norm_out.weight adam_m.model.norm_out.weight adam_v.model.norm_out.weight"},
		{"model.norm.weight ema.model.norm.weight", ""}, // two of one name: the second stays, and has no place
		{"lm_head.weight model.norm_out.weight", ""},
		{"conv1.weight", ""}, {"epoch_num", ""}, {"xlm_head.weight", ""},
	} {
		var entries []mindspore.Entry
		for i, n := range strings.Fields(c.names) {
			e := mindspore.Int(n, i)
			if strings.Contains(n, ".") {
				e.Shape = []int{1}
			}
			entries = append(entries, e)
		}
		path := filepath.Join(t.TempDir(), "a.ckpt")
		if err := mindspore.Write(path, entries, false); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		want := strings.Fields(c.want)
		if c.want == "" {
			want = strings.Fields(c.names)
		}
		u := Unwrap(s)
		if got := u.Names(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", c.names, got)
		}
		for i, n := range want {
			x, ok := u.Tensor(n)
			h, ok2 := Describe(u, n)
			if !ok || !ok2 || x.Name != n || int(x.Data[0]) != i || len(h.Chunks[0]) != 4 {
				t.Errorf("%s: %s is %+v", c.names, n, x)
			}
		}
		if _, ok := u.Tensor("nothing"); ok {
			t.Error("a tensor is there that is not")
		}
	}
}
