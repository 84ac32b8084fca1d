package model

import (
	"math"
	"math/rand/v2"
	"testing"

	"lorac/ir"
)

// next, called with a prompt and then with one id at a time, gives the logits
// that logits gives for the whole text: the same graph but for the caches.
func TestNextEqualsLogits(t *testing.T) {
	for _, more := range []string{"multiple_of: 8", "multiple_of: 8, n_kv_heads: 2, qkv_concat: True, tie_word_embeddings: True", "pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: '.*wq|.*wv'}",
		"multiple_of: 8, n_kv_heads: 2, qkv_has_bias: True, attn_proj_has_bias: True, pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, target_modules: '.*wq|.*wo'}"} {
		m := build(t, "AdamW", more)
		in := ir.NewInterp(m, ir.Env{})
		rng := rand.New(rand.NewPCG(1, 2))
		for _, s := range m.Storages {
			for i := range in.Storage[s.Name].F {
				switch {
				case s.Kind == ir.Param:
					in.Storage[s.Name].F[i] = rng.Float64() - 0.5
				case s.Kind == ir.Table:
					half := s.Attrs.Int("head_dim") / 2
					angle := float64(i/half) * math.Pow(s.Attrs.Float("theta"), -float64(i%half)/float64(half))
					if in.Storage[s.Name].F[i] = math.Cos(angle); s.Attrs.Str("part") == "sin" {
						in.Storage[s.Name].F[i] = math.Sin(angle)
					}
				case s.Kind == ir.Cache:
					in.Storage[s.Name].F[i] = rng.Float64() // of a text before
				}
			}
		}
		text := []int64{1, 17, 4, 30, 9, 22, 39}
		ints := func(x ...int64) *ir.Array { return &ir.Array{Shape: []int{len(x)}, I: x} }
		run := func(name string, from, to int) []float64 {
			in.Env["T"], in.Env["S"], in.Env["N"] = to-from, 1, 1
			var args []*ir.Array
			for _, p := range m.Func(name).Params {
				switch p.Name {
				case "tokens":
					args = append(args, ints(text[from:to]...))
				case "pos":
					var pos []int64
					for i := from; i < to; i++ {
						pos = append(pos, int64(i))
					}
					args = append(args, ints(pos...))
				case "starts", "base":
					args = append(args, ints(0))
				case "rows":
					args = append(args, ints(int64(to-from-1)))
				default:
					t.Fatalf("%s takes %s", name, p.Name)
				}
			}
			return in.Call(name, args...)[0].F
		}
		from := 0
		for _, to := range []int{3, 4, 5, 7} { // a prompt, two ids, two at once
			want, got := run("logits", 0, to), run("next", from, to)
			from = to
			for i := range want {
				if math.Abs(want[i]-got[i]) > 1e-12 {
					t.Fatalf("%s: logit %d after %d ids is %v, from scratch %v", more, i, to, got[i], want[i])
				}
			}
		}
	}
}
