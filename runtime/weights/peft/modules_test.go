package peft

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// Whole modules are written under the names of PEFT, beside the matrices, and read again.
func TestModules(t *testing.T) {
	dir := t.TempDir()
	pair := []Tensor{
		{"model.layers.0.attention.wq.mindpet_delta_lora_a", 1, 2, []float32{1, 2}},
		{"model.layers.0.attention.wq.mindpet_delta_lora_b", 2, 1, []float32{3, 4}},
	}
	modules := []Tensor{
		{"model.tok_embeddings.embedding_weight", 3, 2, []float32{1, 2, 3, 4, 5, 6}},
		{"model.layers.0.attention_norm.weight", 2, 1, []float32{7, 8}},
	}
	if err := Save(dir, Config{Rank: 1, Alpha: 2, Layers: 1, Modules: []string{"embed_tokens", "input_layernorm"}}, append(pair, modules...)); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(dir, weightsName))
	if err != nil {
		t.Fatal(err)
	}
	names := f.Names()
	f.Close()
	for _, want := range []string{"base_model.model.model.embed_tokens.weight", "base_model.model.model.layers.0.input_layernorm.weight"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in %v", want, names)
		}
	}
	a, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Tensors) != 2 || len(a.Modules) != 2 || !slices.Equal(a.Config.Targets, []string{"q_proj"}) || a.Idle() {
		t.Errorf("%+v", a)
	}
	for _, m := range modules {
		got := a.Modules[m.Name]
		x := make([]float32, len(m.Data))
		if err := got.Into(x); err != nil || !slices.Equal(x, m.Data) || got.Rows != m.Rows || got.Vector != (m.Cols == 1) {
			t.Errorf("%s is %+v: %v (%v)", m.Name, got, x, err)
		}
	}
}

// What PEFT saves of an embedding that has grown is not named in modules_to_save; a copy
// that a whole state has is taken as well. What is tied must be one.
func TestModulesOfPEFT(t *testing.T) {
	const start = `{"peft_type":"LORA","r":4,"lora_alpha":8`
	const q, embed, head = "base_model.model.model.layers.0.self_attn.q_proj.", "base_model.model.model.embed_tokens.weight", "base_model.model.lm_head.weight"
	for _, c := range []struct {
		config string
		names  []string
		note   string
		fault  string
	}{
		{start + `,"modules_to_save":["embed_tokens","lm_head"]}`, []string{embed, head}, "", ""},
		{start + `,"modules_to_save":["lm_head"]}`, []string{"base_model.model.lm_head.modules_to_save.default.weight"}, "", ""},
		{start + `}`, []string{embed}, "a whole module that modules_to_save does not name", ""},
		{start + `,"modules_to_save":["embed_tokens","lm_head"]}`, []string{embed}, "", "it holds no module of the name lm_head"},
		{start + `,"modules_to_save":["embed_tokens"],"ensure_weight_tying":true}`, []string{embed, head}, "", ""},
		{start + `,"modules_to_save":["embed_tokens"]}`, []string{embed, "base_model.model.model.embed_tokens.modules_to_save.default.weight"}, "", "also stored under another name"},
	} {
		a, err := Load(put(t, c.config, append([]string{q + "lora_A.weight", q + "lora_B.weight"}, c.names...)...))
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s %v: %v, want %q", c.config, c.names, err, c.fault)
			}
		case err != nil:
			t.Errorf("%s %v: %v", c.config, c.names, err)
		case len(a.Modules) != len(c.names) || len(a.Config.Modules) == 0 || !strings.Contains(strings.Join(a.Notes(), "\n"), c.note):
			t.Errorf("%s %v: %v, %v", c.config, c.names, a.Modules, a.Notes())
		}
	}
}

// A tied module whose two copies differ is refused.
func TestTiedModules(t *testing.T) {
	dir := t.TempDir()
	tensors := []Tensor{
		{"model.layers.0.attention.wq.mindpet_delta_lora_a", 1, 2, []float32{1, 2}},
		{"model.layers.0.attention.wq.mindpet_delta_lora_b", 2, 1, []float32{3, 4}},
		{"model.tok_embeddings.embedding_weight", 2, 2, []float32{1, 2, 3, 4}},
	}
	c := Config{Rank: 1, Alpha: 2, Layers: 1, Modules: []string{"embed_tokens"}, Tied: true}
	if err := Save(dir, c, tensors); err != nil {
		t.Fatal(err)
	}
	if a, err := Load(dir); err != nil || len(a.Modules) != 2 {
		t.Errorf("%v, %v", a, err)
	}
	c.Tied, c.Modules = false, []string{"embed_tokens", "lm_head"}
	if err := Save(dir, c, append(tensors, Tensor{"lm_head.weight", 2, 2, []float32{1, 2, 3, 5}})); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, configName)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), `"fan_in_fan_out"`, `"ensure_weight_tying": true, "fan_in_fan_out"`, 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "its embedding and head differ") {
		t.Error(err)
	}
}
