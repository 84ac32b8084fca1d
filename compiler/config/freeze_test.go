package config

import (
	"fmt"
	"strings"
	"testing"
)

// What Python 3 answers to fnmatch.fnmatchcase(name, pattern).
func TestFnmatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*wq*", "model.layers.0.attention.wq.weight", true},
		{"wq", "model.layers.0.attention.wq.weight", false},
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "a.b", true}, {"?", "", false}, {"a?c", "a.c", true},
		{"*.[01].*wq*", "model.layers.1.attention.wq.weight", true},
		{"*.[01].*wq*", "model.layers.2.attention.wq.weight", false},
		{"*.[!01].*wq*", "model.layers.2.attention.wq.weight", true},
		{"*.[0-9].*", "model.layers.10.wq", false},
		{"[]]", "]", true}, {"[!]]", "]", false}, {"[!]]", "a", true}, {"[]-]", "-", true}, {"[a-", "[a-", true}, {"[", "[", true}, {"[!", "[!", true},
		{"[a-c-e]", "-", true}, {"[a-c-e]", "d", false}, {"[z-a]", "b", false}, {"[-a]", "-", true}, {"[a-]", "-", true},
		{`\*`, `\x`, true}, {`\*`, "*", false}, {".*norm.*", "model.norm", false}, {"*a*b*c", "xxaxxbxxbxxc", true}, {"*ab", "aab", true}, {"*é?", "éx", true},
	} {
		if got := fnmatch(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

const freezing = `
run_mode: finetune
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    {type: LlamaConfig, seq_length: 8, hidden_size: 8, num_layers: 2, num_heads: 2, vocab_size: 10,
    pet_config: {pet_type: lora, lora_rank: 2, target_modules: 'wq|wo', %s}}
`

// check counts what trains, and says where patterns leave something idle.
func TestFreezing(t *testing.T) {
	for _, c := range []struct {
		patterns, want string
		adapters, base int
	}{
		{"freeze_include: []", "", 128, 0},
		{"freeze_include: ['*wq*']", "", 64, 0},
		{"freeze_include: '*wq*'", "", 64, 0},
		{"freeze_include: ['*.1.*wq*_lora_a', '*wo*_lora_b']", "model.layers.0.attention.wo.mindpet_delta_lora_a and 1 more", 80, 0},
		{"freeze_include: ['*wo*_lora_b'], freeze_exclude: ['*norm*', '*wo*']", "", 128, 40 + 128},
		{"freeze_include: ['*lora_b']", "the gradient of a factor A stays zero", 64, 0},
		{"freeze_include: ['*']", "`freeze_include` freezes every parameter, so that nothing trains", 0, 0},
		{"freeze_exclude: ['.*wq.*']", "write '*wq*'", 128, 0},
		{"freeze_exclude: ['attention_norm']", "write '*attention_norm*'", 128, 0},
		{"freeze_exclude: ['layers\\.0.*|^norm_out$']", "write '*layers.0*', '*norm_out*'", 128, 0},
		{"freeze_exclude: ['*zz*']", "a pattern of `freeze_exclude` matches no parameter", 128, 0},
	} {
		text := fmt.Sprintf(freezing, c.patterns)
		got, list := CheckBytes("c.yaml", []byte(text), nil)
		shown := render(got, list)
		if !strings.Contains(shown, c.want) || c.want == "" && strings.Contains(shown, "[freeze]") {
			t.Errorf("%s: %q is not in\n%s", c.patterns, c.want, shown)
		}
		if a, b := got.Trainable(); a != c.adapters || b != c.base {
			t.Errorf("%s: %d parameters of adapters and %d of the base train, want %d and %d", c.patterns, a, b, c.adapters, c.base)
		}
	}
	for key, want := range map[string]string{
		"quant: int8":   "`quant` is int8, but parameters of the base train",
		"compute: int8": "`compute` is int8, but every linear of the layers trains",
	} {
		got, list := CheckBytes("c.yaml", []byte(key+fmt.Sprintf(freezing, "freeze_exclude: ['*.weight']")), nil)
		if shown := render(got, list); !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	got, list := CheckBytes("c.yaml", []byte(strings.Replace(fmt.Sprintf(freezing, "freeze_include: ['*']"), "finetune", "predict", 1)), nil)
	if a, b := got.Trainable(); a+b != 0 || list.HasErrors() {
		t.Errorf("%d parameters train in prediction: %v", a+b, list)
	}
}

// That nothing decays is said.
func TestDecays(t *testing.T) {
	for freeze, want := range map[string]bool{"freeze_exclude: ['*norm*']": true, "freeze_exclude: ['*norm_out*']": false, "lora_alpha: 8": false} {
		c, list := CheckBytes("c.yaml", []byte("optimizer: {type: AdamW, weight_decay: 0.5}\n"+fmt.Sprintf(freezing, freeze)), nil)
		said := false
		for _, n := range c.notes() {
			said = said || strings.Contains(n, "weight_decay 0.5 has no effect")
		}
		if list.HasErrors() || said != want {
			t.Errorf("%s: %v, %v", freeze, said, list)
		}
	}
}
