package config

import (
	"strings"
	"testing"
)

// Every rule, by the smallest change of a valid config that violates it.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		old, new   string
		code, part string
		line       int // of the primary place
	}{
		{"hidden_size: 32", "hidden_size: 30", "mismatch", "30 = 4 × 7 + 2", 30},
		{"hidden_size: 32", "hidden_size: 36", "mismatch", "36 / 4 = 9", 32},
		{"hidden_size: 32", "hidden_size: 0", "range", "`hidden_size` must be positive", 30},
		{"hidden_size: 32", "hidden_size: 99999999", "range", "more than lorac allows", 30},
		{"n_kv_heads: 2", "n_kv_heads: 3", "mismatch", "4 = 3 × 1 + 1", 33},
		{"num_layers: 2", "num_layers: -1", "range", "`num_layers`", 31},
		{"num_heads: 4", "num_heads: 0", "range", "`num_heads`", 32},
		{"vocab_size: 100", "vocab_size: 0", "range", "`vocab_size`", 34},
		{"vocab_size: 100", "vocab_size: 100\n    bos_token_id: 100", "range", "100 ≥ 100", 35},
		{"vocab_size: 100", "vocab_size: 100\n    eos_token_id: [2, 300]", "range", "`eos_token_id` is outside", 35},
		{"multiple_of: 16", "multiple_of: 0", "range", "`multiple_of`", 35},
		{"multiple_of: 16", "ffn_dim_multiplier: -1", "range", "`ffn_dim_multiplier`", 35},
		{"multiple_of: 16", "rms_norm_eps: 0", "range", "`rms_norm_eps`", 35},
		{"multiple_of: 16", "theta: 0.5", "range", "`theta`", 35},
		{"multiple_of: 16", "has_bias: True", "refused", "LlamaForCausalLM does not read it", 35},
		{"multiple_of: 16", "quant_config:\n      quant_method: ptq", "refused", "quantised", 35},
		{"multiple_of: 16", "multiple_of: sixteen", "type", "`model.model_config.multiple_of` must be a whole number, not sixteen", 35},
		{"multiple_of: 16", "multiple_of: [16]", "type", "not [16]", 35},
		{"multiple_of: 16", "multiple_of: 1.5", "type", "not 1.5", 35},
		{"compute_dtype: \"float32\"", "compute_dtype: int8", "value", "bfloat16, float16, float32", 36},
		{"lora_rank: 4", "lora_rank: 0", "range", "`lora_rank` must be positive", 39},
		{"lora_alpha: 8", "lora_alpha: 0", "range", "no effect", 40},
		{"lora_dropout: 0.1", "lora_dropout: 1.0", "range", "[0, 1)", 41},
		{"lora_dropout: 0.1", "lora_dropout: -0.1", "range", "[0, 1)", 41},
		{"'.*wq|.*wv'", "''", "missing", "candidates: wq, wk", 42},
		{"'.*wq|.*wv'", "'.*'", "no-target", "matches `tok_embeddings`", 42},
		{"'.*wq|.*wv'", "'attention.wq'", "no-target", "matches no name", 42},
		{"'.*wq|.*wv'", "'q_proj|v_proj'", "no-target", "'wq|wv'", 42},
		{"'.*wq|.*wv'", "'(?=wq)'", "regexp", "invalid or unsupported Perl syntax: `(?=`", 42},
		{"'.*wq|.*wv'", "'wq)(wv'", "regexp", "unexpected )", 42},
		{"'.*wq|.*wv'", "[wq, wv]", "type", "must be a string, not [wq, wv]", 42},
		{"'.*wq|.*wv'", "'wq'\n      exclude_layers: ['wq']", "no-target", "exclude_layers leaves", 42},
		{"'.*wq|.*wv'", "'wq'\n      exclude_layers: ['(']", "regexp", "missing closing )", 43},
		{"pet_type: lora", "pet_type: ptuning2", "other-pet", "lora", 38},
		{"type: LlamaForCausalLM", "type: GPT2LMHeadModel", "other-model", "LlamaForCausalLM", 44},
		{"type: LlamaForCausalLM", "type: LlamaForCasualLM", "other-model", "did you mean `LlamaForCausalLM`?", 44},
		{"type: LlamaConfig", "type: InternLMConfig", "other-model", "InternLMConfig", 27},
		{"run_mode: 'finetune'", "run_mode: 'fintune'", "value", "eval, finetune, predict, train", 3},
		{"run_mode: 'finetune'", "run_mode: export", "value", "finetune", 3},
		{"seed: 7", "seed: -7", "range", "`seed`", 1},
		{"seed: 7", "seed: '7'", "type", `not "7"`, 1},
		{"epochs: 3", "epochs: 0", "range", "`epochs`", 5},
		{"batch_size: 5", "batch_size: -5", "range", "`batch_size`", 6},
		{"batch_size: 5", "batch_size: 5\n  gradient_accumulation_steps: 0", "range", "`gradient_accumulation_steps`", 7},
		{"batch_size: 5", "batch_size: 5\n  sink_mode: True\n  sink_size: 0", "range", "`sink_size`", 8},
		{"[0.8, 0.95]", "[0.8, 1.0]", "range", "`beta2`", 9},
		{"eps: 1.e-7", "eps: 0", "range", "`eps`", 10},
		{"weight_decay: 0.01", "weight_decay: -1", "range", "`weight_decay`", 11},
		{"learning_rate: 2.e-4", "learning_rate: 0", "range", "learning rate must be positive", 14},
		{"learning_rate: 2.e-4", "learning_rate: fast", "type", "not fast", 14},
		{"learning_rate: 2.e-4", "learning_rate: .inf", "type", "not .inf", 14},
		{"lr_end: 1.e-6", "lr_end: -1.e-6", "range", "must not be negative", 15},
		{"warmup_ratio: 0.1", "warmup_ratio: 3", "range", "[0, 1]", 16},
		{"warmup_ratio: 0.1", "warmup_steps: -3", "range", "`warmup_steps`", 16},
		{"warmup_ratio: 0.1", "warmup_steps: 30\n  total_steps: 20", "mismatch", "30 > 20", 16},
		{"warmup_ratio: 0.1", "total_steps: 0", "range", "`total_steps`", 16},
		{"type: CosineWithWarmUpLR", "type: StepLR", "value", "CosineWithWarmUpLR", 13},
		{"type: CosineWithWarmUpLR\n  learning_rate: 2.e-4\n  lr_end: 1.e-6", "type: polynomial\n  learning_rate: 2.e-4\n  lr_end: 3.e-4", "mismatch", "below `learning_rate`", 15},
		{"type: CosineWithWarmUpLR", "type: cosine_annealing\n  t_max: 0", "range", "`t_max`", 14},
		{"type: CosineWithWarmUpLR", "type: cosine\n  num_cycles: 0", "range", "`num_cycles`", 14},
		{"type: CosineWithWarmUpLR", "type: polynomial\n  power: 0", "range", "`power`", 14},
		{"max_grad_norm: 0.5", "max_grad_norm: 0", "range", "`max_grad_norm`", 47},
		{"use_clip_grad: True", "use_clip_grad: Flase", "type", "True or False, not Flase", 46},
		{"shuffle: False", "shuffle: 3", "type", "True or False", 21},
		{"shuffle: False", "shuffle: False\n    format: csv", "value", "alpaca, auto, completion", 22},
		{"shuffle: False", "shuffle: False\n    prompt: chatgpt", "value", "alpaca, auto, chatml, llama2, llama3, plain, tokenizer, vicuna", 22},
		{"seed: 7", "seed: 7\nmoe_config:\n  expert_num: 8", "refused", "mixtures of experts", 3},
		{"seed: 7", "seed: 7\ntrainer:\n  type: ImageClassificationTrainer", "refused", "causal language models", 3},
		{"seed: 7", "seed: 7\nlr_scale: True\nlr_scale_factor: 0", "range", "must be positive", 3},
		{"seed: 7", "seed: 7\ntop_p: 0\ndo_sample: True", "range", "`top_p`", 2},
		{"seed: 7", "seed: 7\nrepetition_penalty: 0", "range", "`repetition_penalty`", 2},
		{"seed: 7", "seed: 7\nmax_length: 0", "range", "`max_length`", 2},
		{"seed: 7", "seed: 7\nseed: 8", "duplicate-key", "`seed` is duplicated", 2},
		{"seed: 7", "seed: 7\n'optimizer.type': AdamW", "unknown-key", "`optimizer.type`", 2},
		{"seed: 7", "seed: !secret 7", "yaml-tag", "!secret", 1},
		{"seed: 7", "seed: !!int seven", "type", "!!int", 1},
		{"seed: 7", "seed: 7\n<<: 3", "type", "`<<` merges", 2},
		{"seed: 7", "seed: 7\n? [a]\n: 1", "type", "a key must be a scalar", 2},
		{"eps: 1.e-7", "esp: 1.e-7", "unknown-key", "did you mean `eps`", 0},
	} {
		text := edit(minimal, c.old, c.new)
		l := refuse(t, text)
		if c.new == "esp: 1.e-7" { // too short for a suggestion
			if d := has(l, "unknown-key", "keys allowed here"); d == nil || d.Label != "" {
				t.Errorf("%s: %v", c.new, l)
			}
			continue
		}
		d := has(l, c.code, c.part)
		if d == nil {
			t.Errorf("%s: no %s with %q in\n%v", c.new, c.code, c.part, l)
			continue
		}
		if d.Pos.Line != c.line {
			t.Errorf("%s: %s stands at line %d, want %d", c.new, c.code, d.Pos.Line, c.line)
		}
		if n := len(l); n != 1 && c.code != "duplicate-key" && !strings.Contains(c.new, "<<") {
			t.Errorf("%s: %d diagnostics for one cause:\n%v", c.new, n, l)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ old, new, code, part string }{
		{"seq_length: 64", "seq_length: 64\n    max_position_embedding: 32", "positions", "64 > 32"},
		{"eps: 1.e-7", "eps: 1e-7", "yaml-float", "write `1.e-7`"},
		{"lora_rank: 4", "lora_rank: 17", "rank", "17 > 16"},
		{"'.*wq|.*wv'", "'.*wq|.*lm_head'", "no-target", "`.*lm_head`"},
	} {
		cfg, l := LoadBytes("config.yaml", []byte(edit(minimal, c.old, c.new)), nil)
		if cfg == nil || len(l) != 1 || has(l, c.code, c.part) == nil {
			t.Errorf("%s: want one warning %s with %q, got %v", c.new, c.code, c.part, l)
		}
	}
}

// One typo must not hide the other errors, nor cause new ones.
func TestAllErrorsAtOnce(t *testing.T) {
	text := strings.NewReplacer("hidden_size: 32", "hiden_size: 30", "lora_rank: 4", "lora_rnk: 0", "optimizer:", "optimiser:", "eps: 1.e-7", "eps: none").Replace(minimal)
	l := refuse(t, text)
	want := []string{"unknown key `optimiser`", "`optimizer.eps` must be a number", "unknown key `hiden_size`", "30 = 4 × 7 + 2", "unknown key `lora_rnk`", "`lora_rank` must be positive"}
	if len(l) != len(want) {
		t.Errorf("%d diagnostics, want %d:\n%v", len(l), len(want), l)
	}
	for i, d := range l {
		if i < len(want) && !strings.Contains(d.Message+d.Label, want[i]) {
			t.Errorf("diagnostic %d is %v, want %q", i, d, want[i])
		}
		if i > 0 && d.Pos.Line < l[i-1].Pos.Line {
			t.Errorf("not in order: %v after %v", d.Pos, l[i-1].Pos)
		}
	}
	if d := has(l, "unknown-key", "lora_rnk"); d == nil || !strings.Contains(strings.Join(d.Notes, " "), "the default, 8") {
		t.Error("it is not said what the typo would have led to")
	}
}

func TestUnknownKeysAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString("zz" + strings.Repeat("z", i) + ": 1\n")
	}
	if l := refuse(t, minimal+b.String()); len(l) > maxUnknown {
		t.Errorf("%d diagnostics", len(l))
	}
}
