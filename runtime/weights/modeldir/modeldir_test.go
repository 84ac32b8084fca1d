package modeldir

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := Write(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

// What belongs to a model is copied, weights are not, the rest is listed.
func TestCopy(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "new")
	fill(t, from, map[string]string{"config.json": "{}", "model.safetensors": "", "model.safetensors.index.json": "", "tokenizer.json": "1", "added_tokens.json": "2",
		"chat_template.jinja": "3", "additional_chat_templates/tool.jinja": "4", "README.md": "", ".gitattributes": ""})
	files, err := Copy(from, to)
	if err != nil || !slices.Equal(files, []string{"tokenizer.json", "added_tokens.json", "chat_template.jinja", filepath.Join("additional_chat_templates", "tool.jinja")}) {
		t.Errorf("%v, %v", files, err)
	}
	if text, _ := os.ReadFile(filepath.Join(to, "additional_chat_templates", "tool.jinja")); string(text) != "4" {
		t.Errorf("a template is %q", text)
	}
	if got := Others(from); !slices.Equal(got, []string{"README.md"}) {
		t.Errorf("others: %q", got)
	}
}

// A config keeps its keys and numbers; only the type of the weights is set.
func TestConfig(t *testing.T) {
	dir := t.TempDir()
	if text, err := Config(dir, "float32", 0); text != nil || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	fill(t, dir, map[string]string{"config.json": `{"model_type": "llama", "torch_dtype": "bfloat16", "rms_norm_eps": 1e-05, "eos_token_id": [2, 32001], "mine": 12345678901234567890}`})
	text, err := Config(dir, "float32", 0)
	want := "{\n  \"eos_token_id\": [\n    2,\n    32001\n  ],\n  \"mine\": 12345678901234567890,\n  \"model_type\": \"llama\",\n  \"rms_norm_eps\": 1e-05,\n  \"torch_dtype\": \"float32\"\n}\n"
	if string(text) != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	fill(t, dir, map[string]string{"config.json": `{"model_type": `})
	if _, err := Config(dir, "float32", 0); err == nil {
		t.Error("a config that is cut short is read")
	}
}

// A config that is made has what transformers needs to build the model.
func TestLlama(t *testing.T) {
	var keys map[string]any
	if err := json.Unmarshal(config(t, Llama{Hidden: 64, Heads: 8, KVHeads: 4, HeadDim: 16, Layers: 5, Tied: true, BOS: 1, EOS: -1}), &keys); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"head_dim": 16.0, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "torch_dtype": "float16", "bos_token_id": 1.0, "model_type": "llama", "tie_word_embeddings": true} {
		if keys[key] != want {
			t.Errorf("%s is %v, not %v", key, keys[key], want)
		}
	}
	if _, there := keys["eos_token_id"]; there {
		t.Error("an unknown id is written")
	}
}

// A chat template is found in its file first, then in the tokenizer's config.
func TestChatTemplate(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, text, want string }{
		{"tokenizer_config.json", `{"bos_token": "<s>"}`, ""},
		{"tokenizer_config.json", `{"chat_template": "a"}`, "a"},
		{"tokenizer_config.json", `{"chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": "b"}]}`, "b"},
		{"chat_template.json", `{"chat_template": "c"}`, "c"},
		{"chat_template.jinja", "d", "d"},
	} {
		fill(t, dir, map[string]string{c.file: c.text})
		if got, err := ChatTemplate(dir); got != c.want || err != nil {
			t.Errorf("with %s: %q, %v", c.file, got, err)
		}
	}
}

func config(t *testing.T, m Llama) []byte {
	t.Helper()
	text, err := m.Config("float16")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestBiases: each set of biases is that of a network of transformers, or refused.
func TestBiases(t *testing.T) {
	for _, c := range []struct {
		m              Llama
		kind           string
		attention, mlp any
	}{
		{Llama{}, "llama", false, false},
		{Llama{QKVBias: true}, "qwen2", nil, nil},
		{Llama{QKVBias: true, ProjBias: true}, "llama", true, false},
		{Llama{MLPBias: true}, "llama", false, true},
	} {
		var keys map[string]any
		if err := json.Unmarshal(config(t, c.m), &keys); err != nil {
			t.Fatal(err)
		}
		if keys["model_type"] != c.kind || keys["attention_bias"] != c.attention || keys["mlp_bias"] != c.mlp {
			t.Errorf("%+v: %v", c.m, keys)
		}
	}
	for _, m := range []Llama{{ProjBias: true}, {QKVBias: true, MLPBias: true}} {
		if _, err := m.Config("float16"); err == nil || !strings.Contains(err.Error(), "transformers has no model with these biases") {
			t.Errorf("%+v: %v", m, err)
		}
	}
}
