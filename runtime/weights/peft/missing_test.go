package peft

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// TestMissing: what target_modules promises and the file lacks is named, unless
// the config itself leaves it out.
func TestMissing(t *testing.T) {
	const start = `{"peft_type":"LORA","r":4,"target_modules":`
	for _, c := range []struct{ config, want string }{
		{start + `["q_proj"]}`, "target_modules names q_proj, which layer 1 lacks"},
		{start + `["q_proj","v_proj"]}`, "target_modules names v_proj, which no layer has; target_modules names q_proj, which layer 1 lacks"},
		{start + `["q_proj"],"layers_to_transform":[0]}`, ""}, {start + `["q_proj"],"layers_to_transform":0}`, ""},
		{start + `["q_proj","v_proj"],"layers_to_transform":[0],"exclude_modules":["v_proj"]}`, ""},
		{start + `".*layers\\.0\\..*q_proj"}`, ""}, {start + `".*layers\\.[01]\\..*q_proj"}`, "target_modules names q_proj, which layer 1 lacks"},
		{start + `["q_proj","embed_tokens"],"layers_to_transform":[0]}`, "target_modules names embed_tokens, which is no linear of a Llama's layers"},
		{start + `["q_proj"],"layers_to_transform":[0],"rank_pattern":{"layers.0.*q_proj":4,"v_proj":8},"alpha_pattern":{"layers.1.*q_proj":2}}`,
			"rank_pattern names v_proj, for which there is no adapter; alpha_pattern names layers.1.*q_proj, for which there is no adapter"},
		{start + `"all-linear"}`, "target_modules is all-linear, and 13 linears have no adapter, of k_proj, v_proj, o_proj, gate_proj, down_proj, up_proj, q_proj"},
		{start + `"(?=x)q"}`, ""}, {`{"peft_type":"LORA","r":4}`, ""},
	} {
		a, err := Load(put(t, c.config))
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		if got := strings.Join(a.Missing(2), "; "); got != c.want {
			t.Errorf("%s: %q, not %q", c.config, got, c.want)
		}
		if a.Idle() {
			t.Errorf("%s: B is not zero", c.config)
		}
	}
	a := &Adapter{Tensors: map[string]Tensor{wqA: {wqA, 1, 1, []float32{3}}, strings.TrimSuffix(wqA, "a") + "b": {"", 1, 1, []float32{0}}}}
	if !a.Idle() {
		t.Error("an adapter whose B is zero changes something")
	}
}

// TestPrefixes: names of wrappers are taken off.
func TestPrefixes(t *testing.T) {
	for _, prefix := range []string{"module.base_model.model.model.", "base_model.model._orig_mod.model.", "base_model.model.base_model.model.model.", "model.", ""} {
		name := prefix + "layers.0.self_attn.q_proj.lora_"
		a, err := Load(put(t, `{"peft_type":"LORA","r":4}`, name+"A.weight", name+"B.weight"))
		if err != nil || len(a.Tensors) != 2 || a.Tensors[wqA].Rows != 4 {
			t.Errorf("%s: %v", prefix, err)
		}
	}
}

// TestMLX: an adapter of MLX-LM is turned round, its scale is alpha/rank.
func TestMLX(t *testing.T) {
	write := func(config string) string {
		dir := t.TempDir()
		var entries []safetensors.Entry
		for name, x := range map[string]Tensor{"lora_a": {"", 3, 2, []float32{1, 2, 3, 4, 5, 6}}, "lora_b": {"", 2, 1, []float32{7, 8}}} {
			entries = append(entries, safetensors.Entry{Name: "model.layers.0.self_attn.q_proj." + name, DType: "F32", Shape: []int{x.Rows, x.Cols}, Write: safetensors.Bytes(Bytes(x.Data))})
		}
		if err := safetensors.Write(filepath.Join(dir, MLXName), entries, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	a, err := LoadStored(write(`{"fine_tune_type":"lora","num_layers":1,"lora_parameters":{"rank":2,"scale":20.0,"dropout":0.0}}`))
	if err != nil {
		t.Fatal(err)
	}
	x := a.Tensors[wqA]
	if x.Rows != 2 || x.Cols != 3 || !slices.Equal(x.Data, []float32{1, 3, 5, 2, 4, 6}) || a.Scale[wqA] != 20 || a.Config.Alpha != 40 || string(a.Stored[wqA].Data) != string(Bytes(x.Data)) {
		t.Errorf("%+v %v", x, a.Scale)
	}
	const start = `{"fine_tune_type":"lora","lora_parameters":{"rank":2,"scale":20.0}`
	for config, want := range map[string]string{ // of a model of one layer, and of two
		start + `}`: "; ", start + `,"num_layers":1}`: "; num_layers is 1, the last ones of 2, and the file has adapters of 1: 0",
		start + `,"num_layers":16}`: "; num_layers is 16, the last ones of 2, and the file has adapters of 1: 0", start + `,"lora_layers":-1}`: "; num_layers is -1, the last ones of 2, and the file has adapters of 1: 0",
	} {
		a, err := Load(write(config))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.Missing(1), ", ") + "; " + strings.Join(a.Missing(2), ", "); got != want {
			t.Errorf("%s: %q, not %q", config, got, want)
		}
	}
	for config, want := range map[string]string{
		start + `,"num_layers":"all"}`:                                        "`num_layers` is \"all\", must be a whole number",
		`{"fine_tune_type":"dora","lora_parameters":{"rank":2,"scale":20.0}}`: `"dora", of MLX-LM`,
		`{"fine_tune_type":"lora","lora_parameters":{"rank":2}}`:              "must have `rank` and `scale`",
		`{"fine_tune_type":"lora","lora_parameters":{"rank":3,"scale":1.0}}`:  "has rank 2",
		`{"r": 2}`: "it has no `peft_type`",
	} {
		if _, err := Load(write(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}
