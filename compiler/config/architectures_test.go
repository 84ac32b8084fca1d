package config

import (
	"strings"
	"testing"

	"lorac/ir/diag"
)

// InternLM and InternLM2 train where their network is a Llama's, with their own defaults;
// else they are refused by what differs.
func TestFamilies(t *testing.T) {
	load := func(arch, kind, more string) (*Config, string) {
		c, l := CheckBytes("config.yaml", []byte(`
train_dataset: {data_loader: {dataset_dir: rows.jsonl}}
model:
  arch: {type: `+arch+`}
  model_config: {type: `+kind+`, seq_length: 16, num_layers: 2`+more+`, pet_config: {pet_type: lora, target_modules: '.*wq'}}
`), nil)
		var text strings.Builder
		for _, d := range l {
			if d.Severity == diag.Error {
				text.WriteString(d.Message + "; " + strings.Join(d.Notes, "; "))
			}
		}
		return c, text.String()
	}
	c, text := load("InternLMForCausalLM", "InternLMConfig", ", has_bias: False")
	if m := c.Model; text != "" || m.RMSEps.V != 1e-6 || m.PadID.V != 2 || m.FFN.V != 11008 || m.KVHeads.V != 32 {
		t.Errorf("InternLM without biases: %+v %s", c.Model, text)
	}
	if m := c.Model; m.QKVBias.V || m.ProjBias.V {
		t.Errorf("InternLM without biases: %+v", m)
	}
	c, text = load("InternLMForCausalLM", "InternLMConfig", "")
	if m := c.Model; text != "" || !m.QKVBias.V || !m.ProjBias.V || m.MLPBias.V {
		t.Errorf("InternLM with biases: %+v %s", m, text)
	}
	c, text = load("InternLM2ForCausalLM", "InternLM2Config", ", qkv_concat: False, theta: 500000")
	if m := c.Model; text != "" || m.KVHeads.V != 8 || m.FFN.V != 14336 || m.Vocab.V != 92544 || m.Theta.V != 500000 || m.QKVConcat.V {
		t.Errorf("InternLM2: %+v %s", c.Model, text)
	}
	for want, x := range map[string][3]string{
		"rows of q, k and v of each key head":      {"InternLM2ForCausalLM", "InternLM2Config", ", qkv_concat: True"},
		"the model `LlamaConfig` is not supported": {"InternLM2ForCausalLM", "LlamaConfig", ", qkv_concat: False"},
		"divides each row of its weight":           {"Baichuan7BV2ForCausalLM", "LlamaConfig", ""},
		"(ALiBi)":                                  {"Baichuan13BV2ForCausalLM", "LlamaConfig", ""},
		"latent attention":                         {"DeepseekV3ForCausalLM", "DeepseekV3Config", ""},
	} {
		if _, text := load(x[0], x[1], x[2]); !strings.Contains(text, want) {
			t.Errorf("%v: %q, want %q", x, text, want)
		}
	}
}
