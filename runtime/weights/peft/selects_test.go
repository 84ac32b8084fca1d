package peft

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSelects: matrices that the adapter's own config leaves out are refused, as PEFT
// would ignore them; what cannot be compared is said.
func TestSelects(t *testing.T) {
	const start = `{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":`
	for _, c := range []struct{ config, refused, note string }{
		{config: start + `["q_proj"],"exclude_modules":["v_proj"],"layers_to_transform":[0,3],"layers_pattern":"layers"}`},
		{config: start + `["q_proj"],"exclude_modules":[],"layers_to_transform":[],"layers_pattern":[]}`},
		{config: start + `["q_proj"],"layers_pattern":"h"}`}, // counts with layers_to_transform alone
		{config: start + `["model.layers.0.self_attn.q_proj"],"layers_to_transform":[1]}`},
		{config: start + `["q_proj"],"layers_to_transform":[0],"layers_pattern":["h","lay.*"]}`},
		{config: start + `["q_proj"],"exclude_modules":["q_proj"]}`, refused: "q_proj has an adapter, but `exclude_modules` excludes it"},
		{config: start + `["q_proj"],"exclude_modules":".*\\.0\\..*"}`, refused: "`exclude_modules` excludes it"},
		{config: start + `["q_proj"],"layers_to_transform":1}`, refused: "`layers_to_transform` leaves layer 0 out"},
		{config: start + `["q_proj"],"layers_to_transform":[1,2]}`, refused: "`layers_to_transform` leaves layer 0 out"},
		{config: start + `["q_proj"],"layers_to_transform":[0],"layers_pattern":"h"}`, refused: "`layers_pattern` is h"},
		{config: start + `".*q_proj","layers_to_transform":[0]}`, refused: "PEFT takes it with a list of names only"},
		{config: start + `["v_proj"]}`, refused: "`target_modules` does not select it"},
		{config: start + `["q_proj"],"exclude_modules":3}`, refused: "`exclude_modules` is 3"},
		{config: start + `["q_proj"],"layers_pattern":3}`, refused: "`layers_pattern` is 3"},
		{config: start + `["q_proj"],"rank_pattern":{"q_proj":3}}`, refused: "has rank 4"},
		{config: start + `["q_proj"],"modules_to_save":["lm_head"]}`, refused: "it holds no module of the name lm_head"},
		{config: start + `"(?=x)q"}`, note: "`target_modules` is \"(?=x)q\", a pattern that is not understood"},
		{config: start + `["q_proj"],"exclude_modules":"(?!x)q"}`, note: "`exclude_modules` is \"(?!x)q\", a pattern that is not understood"},
		{config: `{"peft_type":"LORA","r":4}`, note: "has no `lora_alpha`, on which its effect depends: 8 counts"},
		{config: `{"peft_type":"LORA","r":4,"lora_alpha":null}`, note: "has no `lora_alpha`"},
		{config: `{"peft_type":"LORA","r":4,"lora_alpha":8,"task_type":"CAUSAL_LM"}`},
		{config: `{"peft_type":"LORA","r":4,"lora_alpha":8,"task_type":"SEQ_CLS"}`, note: "its `task_type` is \"SEQ_CLS\", not CAUSAL_LM"},
		{config: `{"fine_tune_type":"lora","lora_parameters":{"rank":4,"scale":20.0}}`, note: "an adapter of MLX-LM: its factors are turned round, its scale is 20"},
		{config: `{"fine_tune_type":"lora","lora_parameters":{"rank":4,"scale":20.0,"keys":["self_attn.q_proj"]}}`, note: "an adapter of MLX-LM"},
		{config: `{"fine_tune_type":"lora","lora_parameters":{"rank":4,"scale":20.0,"keys":["self_attn.v_proj"]}}`, refused: "`lora_parameters.keys` does not name it"},
	} {
		a, err := Load(put(t, c.config))
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v, want %q", c.config, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		if got := strings.Join(a.Notes(), "; "); !strings.Contains(got, c.note) || c.note == "" && got != "" {
			t.Errorf("%s: notes %q, want %q", c.config, got, c.note)
		}
	}
}

// TestBeside: a config next to matrices of another format is compared with them.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	config := `{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj","v_proj"],"exclude_modules":["v_proj"]}`
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := Uniform(dir)
	if err != nil || b.Alpha != 8 || b.Rank != 4 {
		t.Fatalf("%+v, %v", b, err)
	}
	for linear, want := range map[string]string{"wq": "", "wk": "`target_modules` does not select it", "wv": "`exclude_modules` excludes it"} {
		err := b.Check("model.layers.0.attention."+linear, 4)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", linear, err)
		}
	}
	if err := b.Check("model.layers.0.attention.wq", 3); err == nil || !strings.Contains(err.Error(), "has rank 3") {
		t.Errorf("another rank: %v", err)
	}
	if b, err := Uniform(t.TempDir()); b != nil || err != nil {
		t.Errorf("without a config: %v, %v", b, err)
	}
}
