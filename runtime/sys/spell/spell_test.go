package spell

import "testing"

// Words that both names share do not make them alike.
func TestAlike(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want bool
	}{
		{"lora_rnk", "lora_rank", true}, {"LoraRank", "lora_rank", true}, {"batchsize", "batch_size", true}, {"loralpha", "lora_alpha", true},
		{"LammaForCausalLM", "LlamaForCausalLM", true}, {"llamaForCausalLM", "LlamaForCausalLM", true}, {"LlamaForCasualLM", "LlamaForCausalLM", true}, {"LLamaConfig", "LlamaConfig", true},
		{"GemmaForCausalLM", "LlamaForCausalLM", false}, {"GLMForCausalLM", "LlamaForCausalLM", false}, {"QwenConfig", "LlamaConfig", false},
		{"AlpacaInstructHandler", "AlpacaInstructDataHandler", true}, {"use_flash", "use_flash_attention", false}, {"beta3", "beta2", false}, {"train_data_dir", "train_dataset_dir", true}, {"target_module", "target_modules", true}, {"use_past", "use_clip_grad", false}, {"CheckpointMontor", "CheckpointMonitor", true},
	} {
		if _, got := Alike(x.a, x.b); got != x.want {
			t.Errorf("%s and %s: %v, %v", x.a, x.b, got, x.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"rank", "rank", 0}, {"rank", "rnk", 1}, {"rank", "ranks", 1}, {"rank", "bank", 1},
		{"rank", "arnk", 1}, {"abcd", "badc", 2}, {"ca", "abc", 3}, {"lora_rnak", "lora_rank", 1}, {"kitten", "sitting", 3},
	} {
		if got := Distance(x.a, x.b); got != x.want {
			t.Errorf("%q to %q: %d, want %d", x.a, x.b, got, x.want)
		}
		if got := Distance(x.b, x.a); got != x.want {
			t.Errorf("%q to %q: %d, want %d", x.b, x.a, got, x.want)
		}
	}
}
