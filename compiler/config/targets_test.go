package config

import (
	"strings"
	"testing"
)

// llama is a config with the given pattern, excluded layers and concatenation.
func llama(target string, concat bool, exclude ...string) *Config {
	c := &Config{LoRA: &LoRA{}}
	c.Model.Layers.V = 12
	c.Model.QKVConcat.V = concat
	c.LoRA.TargetModules.V = target
	c.LoRA.ExcludeLayers.V = exclude
	return c
}

// MindFormers r1.3 pet/tuners/pet_adapter.py: prefix-anchored match of the leaf
// name, no descent below a match.
func TestTargets(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{".*wq|.*wk|.*wv|.*wo", "wq wk wv wo"},
		{".*wq|.*wv", "wq wv"},
		{"wq", "wq"},
		{"w", "wq wk wv wo w1 w2 w3"},
		{"w[qv]", "wq wv"},
		{"w[123]$", "w1 w2 w3"},
		{".*wq|.*wk|.*wv|.*wo|.*w1|.*w2|.*w3", "wq wk wv wo w1 w2 w3"},
		{"q", ""},                   // anchored at the start
		{".*", ""},                  // swallows tok_embeddings and layers
		{"attention.wq", ""},        // no dotted paths
		{"model.layers.0.*", ""},    // no dotted paths
		{".*w", "wq wk wv wo"},      // swallows feed_forward, which has a w
		{"attention|w1", "w1"},      // swallows attention
		{"lm_head", ""},             // is outside
		{"wq|tok_embeddings", "wq"}, // no linear
		{"(?i)WQ", "wq"},            //
		{"wqx?", "wq"},              //
		{"w_qkv|w_gate_hidden", ""}, // only when concatenated
		{"wq|wk|wv|wo|layers_", "wq wk wv wo"},
	} {
		if got := strings.Join(llama(c.target, false).Targets(), " "); got != c.want {
			t.Errorf("%q selects %q, want %q", c.target, got, c.want)
		}
	}
}

func TestTargetsConcatenated(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{".*wq|.*wv", ""},
		{"w_qkv", "w_qkv"},
		{"w_", "w_qkv w_gate_hidden"},
		{".*wo|.*w2", "wo w2"},
	} {
		if got := strings.Join(llama(c.target, true).Targets(), " "); got != c.want {
			t.Errorf("%q selects %q, want %q", c.target, got, c.want)
		}
	}
}

func TestTargetsExcluded(t *testing.T) {
	for _, c := range []struct {
		exclude []string
		want    string
	}{
		{[]string{"wq"}, "wk wv wo w1 w2 w3"},
		{[]string{"w1", "wo"}, "wq wk wv w2 w3"},
		{[]string{"attention$"}, "w1 w2 w3"},
		{[]string{"attention"}, "w1 w2 w3"},
		{[]string{"layers"}, ""},
		{[]string{"nothing"}, "wq wk wv wo w1 w2 w3"},
	} {
		if got := strings.Join(llama("w", false, c.exclude...).Targets(), " "); got != c.want {
			t.Errorf("without %q: %q, want %q", c.exclude, got, c.want)
		}
	}
	// Layer numbers are module names like others: 1 also means 10 and 11.
	sel := llama("w", false, "1").selection()
	for layer, want := range map[int]bool{0: true, 1: false, 2: true, 10: false, 11: false} {
		if got := len(sel.byLayer[layer]) > 0; got != want {
			t.Errorf("layer %d is adapted: %v", layer, got)
		}
	}
	c := llama("w", false, "1", "w3")
	by := c.TargetsByLayer()
	if len(by) != c.Model.Layers.V || len(by[1]) != 0 || strings.Join(by[2], " ") != "wq wk wv wo w1 w2" {
		t.Errorf("by layer: %v", by)
	}
}

func TestTargetsOfFullFineTuning(t *testing.T) {
	if got := (&Config{}).Targets(); got != nil {
		t.Errorf("targets without an adapter: %v", got)
	}
	if (&Config{}).TrainableAdapters() != 0 {
		t.Error("adapters without an adapter")
	}
}

func TestAlternatives(t *testing.T) {
	for in, want := range map[string]string{
		"a|b": "a,b", "a": "", "(a|b)|c": "(a|b),c", `a\|b|c`: `a\|b,c`, "[|]|x": "[|],x", "a|": "a,", "a|(b|(c|d))": "a,(b|(c|d))",
	} {
		if got := strings.Join(alternatives(in), ","); got != want {
			t.Errorf("%q is cut into %q, want %q", in, got, want)
		}
	}
}

func TestParameterCounts(t *testing.T) {
	// 13B, rank 8 on wq and wv (MindFormers r1.2 lora_llama2_13b.yaml); the base
	// count is that of the published checkpoint.
	c := load(t, strings.NewReplacer("4096\n    num_layers: 32\n    num_heads: 32", "5120\n    num_layers: 40\n    num_heads: 40",
		"lora_rank: 16", "lora_rank: 8", ".*wq|.*wk|.*wv|.*wo", ".*wq|.*wv").Replace(partial))
	same(t, "13B", c.Parameters(), 13_015_864_320)
	same(t, "13B adapters", c.TrainableAdapters(), 6_553_600)
	// 70B: grouped queries.
	c = load(t, strings.NewReplacer("4096\n    num_layers: 32\n    num_heads: 32", "8192\n    num_layers: 80\n    num_heads: 64\n    n_kv_heads: 8\n    intermediate_size: 28672").Replace(partial))
	same(t, "70B", c.Parameters(), 68_976_648_192)
	same(t, "70B adapters", c.TrainableAdapters(), 80*16*(2*(8192+8192)+2*(8192+1024)))
	// Biases: those of the published checkpoints of Qwen2.5-7B and, with a tied head, 0.5B.
	c = load(t, strings.NewReplacer("4096\n    num_layers: 32\n    num_heads: 32", "3584\n    num_layers: 28\n    num_heads: 28\n    n_kv_heads: 4\n    intermediate_size: 18944\n    qkv_has_bias: True").Replace(partial),
		Override{mc + "vocab_size", "152064", ""})
	same(t, "Qwen2.5-7B", c.Parameters(), 7_615_616_512)
	c = load(t, strings.NewReplacer("4096\n    num_layers: 32\n    num_heads: 32", "896\n    num_layers: 24\n    num_heads: 14\n    n_kv_heads: 2\n    intermediate_size: 4864\n    qkv_has_bias: True").Replace(partial),
		Override{mc + "vocab_size", "151936", ""}, Override{mc + "tie_word_embeddings", "True", ""})
	same(t, "Qwen2.5-0.5B", c.Parameters(), 494_032_768)
	// Concatenation and tying change names, not sums.
	one := load(t, edit(partial, "    vocab_size", "    qkv_concat: True\n    tie_word_embeddings: True\n    vocab_size"),
		Override{mc + "pet_config.target_modules", "w", ""})
	same(t, "tied and concatenated", one.Parameters(), 6_738_415_616-32000*4096)
	same(t, "adapters on all", one.TrainableAdapters(), 32*16*((4096+3*4096)+(4096+4096)+(4096+2*11008)+(11008+4096)))
}
