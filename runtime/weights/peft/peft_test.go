package peft

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// sharedData is the directory of real files next to the repository, if present.
const sharedData = "../../../../shared/data"

// count makes n values that differ: from, from+1, …
func count(from float32, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = from + float32(i)
	}
	return x
}

const (
	wqA = "model.layers.0.attention.wq.mindpet_delta_lora_a"
	wqB = "model.layers.0.attention.wq.mindpet_delta_lora_b"
)

func pairOf(linear string, rank, in, out int) []Tensor {
	return []Tensor{
		{linear + ".mindpet_delta_lora_a", rank, in, count(1, rank*in)},
		{linear + ".mindpet_delta_lora_b", out, rank, count(100, out*rank)},
	}
}

// wanted is the config of TestSave, written out from PEFT's documented form.
const wanted = `{
  "alpha_pattern": {},
  "auto_mapping": null,
  "base_model_name_or_path": "models/<tiny> & co",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "layer_replication": null,
  "layers_pattern": null,
  "layers_to_transform": null,
  "loftq_config": {},
  "lora_alpha": 16,
  "lora_dropout": 0.05,
  "megatron_config": null,
  "megatron_core": "megatron.core",
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 2,
  "rank_pattern": {},
  "revision": null,
  "target_modules": [
    "down_proj",
    "q_proj"
  ],
  "task_type": "CAUSAL_LM",
  "use_dora": false,
  "use_rslora": false
}`

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out", "adapter")
	tensors := append(pairOf("model.layers.0.attention.wq", 2, 3, 4), pairOf("model.layers.10.feed_forward.w2", 2, 5, 3)...)
	config := Config{Base: "models/<tiny> & co", Rank: 2, Alpha: 16, Dropout: 0.05, Trainer: "0.1"}
	if err := Save(dir, config, tensors); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != wanted {
		t.Errorf("adapter_config.json is\n%s\nwant\n%s", text, wanted)
	}
	f, err := safetensors.Open(filepath.Join(dir, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Metadata["format"] != "pt" || f.Metadata["lorac"] != "0.1" {
		t.Errorf("metadata %v", f.Metadata)
	}
	want := []string{
		"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight F32 [2 3]",
		"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight F32 [4 2]",
		"base_model.model.model.layers.10.mlp.down_proj.lora_A.weight F32 [2 5]",
		"base_model.model.model.layers.10.mlp.down_proj.lora_B.weight F32 [3 2]",
	}
	for i, name := range f.Names() {
		x, _ := f.Tensor(name)
		if got := fmt.Sprint(name, " ", x.DType, " ", x.Shape); i >= len(want) || got != want[i] {
			t.Errorf("tensor %d is %s", i, got)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "adapter_model.safetensors")} {
		a, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Tensors) != 4 || a.Config.Rank != 2 || a.Config.Alpha != 16 || a.Config.Dropout != 0.05 || a.Config.Base != config.Base {
			t.Errorf("read %d tensors, %+v", len(a.Tensors), a.Config)
		}
		for _, x := range tensors {
			if got := a.Tensors[x.Name]; got.Rows != x.Rows || got.Cols != x.Cols || !slices.Equal(got.Data, x.Data) {
				t.Errorf("%s came back as %v", x.Name, got)
			}
		}
		if a.Scale[wqA] != 8 {
			t.Errorf("scale %v", a.Scale)
		}
	}
}

func TestSaveConcatenated(t *testing.T) {
	dir := t.TempDir()
	// Width 4, two heads of which one key/value head: q has 4 rows, k and v 2.
	tensors := append(pairOf("model.layers.1.attention.w_qkv", 2, 4, 8), pairOf("model.layers.1.feed_forward.w_gate_hidden", 2, 4, 6)...)
	if err := Save(dir, Config{Rank: 2, Alpha: 2}, tensors); err != nil {
		t.Fatal(err)
	}
	a, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"gate_proj", "k_proj", "q_proj", "up_proj", "v_proj"}; !slices.Equal(a.Config.Targets, want) {
		t.Errorf("targets %v", a.Config.Targets)
	}
	for _, c := range []struct {
		name       string
		rows, cols int
		first      float32
	}{
		{"attention.wq.mindpet_delta_lora_a", 2, 4, 1}, {"attention.wk.mindpet_delta_lora_a", 2, 4, 1}, {"attention.wv.mindpet_delta_lora_a", 2, 4, 1},
		{"attention.wq.mindpet_delta_lora_b", 4, 2, 100}, {"attention.wk.mindpet_delta_lora_b", 2, 2, 108}, {"attention.wv.mindpet_delta_lora_b", 2, 2, 112},
		{"feed_forward.w1.mindpet_delta_lora_b", 3, 2, 100}, {"feed_forward.w3.mindpet_delta_lora_b", 3, 2, 106}, {"feed_forward.w3.mindpet_delta_lora_a", 2, 4, 1},
	} {
		x := a.Tensors["model.layers.1."+c.name]
		if x.Rows != c.rows || x.Cols != c.cols || !slices.Equal(x.Data, count(c.first, c.rows*c.cols)) {
			t.Errorf("%s is %v", c.name, x)
		}
	}
}

// What Save split, Find concatenates again.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	tensors := append(pairOf("model.layers.1.attention.w_qkv", 2, 4, 8), pairOf("model.layers.1.attention.wo", 2, 4, 4)...)
	if err := Save(dir, Config{Rank: 2, Alpha: 3}, tensors); err != nil {
		t.Fatal(err)
	}
	a, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, want := range tensors {
		got, scale, from, err := a.Find(want.Name)
		if err != nil || scale != 1.5 || got.Rows != want.Rows || got.Cols != want.Cols || !slices.Equal(got.Data, want.Data) {
			t.Errorf("%s: %v %v %v", want.Name, got, scale, err)
		}
		used = append(used, from...)
	}
	if slices.Sort(used); len(slices.Compact(used)) != len(a.Tensors) {
		t.Errorf("made from %q", used)
	}
	const k = "model.layers.1.attention.wk.mindpet_delta_lora_a"
	a.Scale[k] = 2
	if _, _, _, err := a.Find(tensors[0].Name); err == nil || !strings.Contains(err.Error(), "scales") {
		t.Errorf("different scales: %v", err)
	}
	a.Scale[k] = 1.5
	a.Tensors[k].Data[0]++
	if _, _, _, err := a.Find(tensors[0].Name); err == nil || !strings.Contains(err.Error(), "qkv_concat: False") {
		t.Errorf("different A: %v", err)
	}
	if _, _, _, err := a.Find(wqA); err == nil || !strings.Contains(err.Error(), "q_proj.lora_A") {
		t.Errorf("missing: %v", err)
	}
}

func TestSaveRefuses(t *testing.T) {
	p := pairOf("model.layers.0.attention.wq", 2, 3, 4)
	for name, c := range map[string]struct {
		rank    int
		tensors []Tensor
		words   string
	}{
		"nothing":     {2, nil, "no matrices"},
		"alone":       {2, p[:1], "other factor"},
		"duplicated":  {2, append(slices.Clone(p), p[0]), "duplicated"},
		"rank":        {3, p, "rank is not 3"},
		"values":      {2, []Tensor{{wqA, 2, 3, count(0, 5)}, p[1]}, "5 values"},
		"no adapter":  {2, []Tensor{{"model.layers.0.attention.wq.weight", 1, 1, count(0, 1)}}, "not a matrix of an adapter"},
		"no linear":   {2, pairOf("model.layers.0.attention.wx", 2, 3, 4), "no name in PEFT"},
		"indivisible": {2, pairOf("model.layers.0.attention.w_qkv", 2, 4, 7), "cannot be divided"},
	} {
		dir := t.TempDir()
		err := Save(dir, Config{Rank: c.rank, Alpha: 1}, c.tensors)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.words)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// put writes an adapter of one linear with the given config.
func put(t testing.TB, config string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	if len(names) == 0 {
		names = []string{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"}
	}
	var entries []safetensors.Entry
	for _, name := range names {
		shape := []int{4, 3}
		if strings.Contains(name, "lora_B") || strings.HasSuffix(name, "_b") {
			shape = []int{5, 4}
		}
		entries = append(entries, safetensors.Entry{Name: name, DType: "F32", Shape: shape, Write: safetensors.Bytes(Bytes(count(1, shape[0]*shape[1])))})
	}
	if err := safetensors.Write(filepath.Join(dir, weightsName), entries, nil); err != nil {
		t.Fatal(err)
	}
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		config string
		scale  float64
	}{
		{`{"peft_type":"LORA","r":4,"lora_alpha":8}`, 2},
		{`{"peft_type":"LORA","r":4}`, 2}, // alpha 8 if none is given
		{`{"peft_type":"LORA","r":4,"lora_alpha":6.5}`, 1.625},
		{`{"peft_type":"LORA","r":4,"lora_alpha":8,"use_rslora":true}`, 4},
		{`{"peft_type":"LORA","r":8,"lora_alpha":8,"rank_pattern":{"q_proj":4}}`, 2},
		{`{"peft_type":"LORA","r":8,"lora_alpha":8,"rank_pattern":{"k_proj":2,"layers.0.self_attn.q_proj":4,"q_proj":8}}`, 2}, // the first match counts
		{`{"peft_type":"LORA","r":4,"lora_alpha":8,"alpha_pattern":{"proj":1,"self_attn\\.[qk]_proj":32,".*":2}}`, 8},
		{`{"peft_type":"LORA","r":8,"use_rslora":true,"rank_pattern":{"q_proj":4},"alpha_pattern":{"^model.layers.0.self_attn.q_proj":6}}`, 3},
		{`{"peft_type":"LORA","r":4,"target_modules":["q_proj","v_proj"]}`, 2},
		{`{"peft_type":"LORA","r":4,"target_modules":".*q_proj"}`, 2},
		{`{"peft_type":"LORA","r":4,"target_modules":"all-linear"}`, 2},
		{`{"peft_type":"LORA","r":4,"target_modules":"(?=x)q"}`, 2}, // a pattern that Go does not support
		{`{"peft_type":"LORA","r":4,"bias":"none","modules_to_save":[],"use_dora":false,"layer_replication":null,"init_lora_weights":"gaussian","peft_version":"0.20"}`, 2},
	} {
		a, err := Load(put(t, c.config))
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		if got := a.Scale[wqA]; got != c.scale || len(a.Scale) != 1 {
			t.Errorf("%s: scale %v, want %v", c.config, a.Scale, c.scale)
		}
	}
}

// TestDoRA: magnitudes are written as PEFT has them and read back; a config and a file
// that do not agree on them are refused.
func TestDoRA(t *testing.T) {
	dir := t.TempDir()
	linear := "model.layers.0.attention.wq"
	m := Tensor{linear + ".mindpet_delta_lora_magnitude", 3, 1, []float32{1, 2, 3}}
	tensors := []Tensor{{linear + ".mindpet_delta_lora_a", 1, 2, []float32{1, 2}}, {linear + ".mindpet_delta_lora_b", 3, 1, []float32{0, 0, 0}}, m}
	if err := Save(dir, Config{Rank: 1, Alpha: 2, DoRA: true}, tensors); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(dir, "adapter_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := f.Tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector"); !ok || !slices.Equal(got.Shape, []int{3}) {
		t.Errorf("%v %v", f.Names(), got.Shape)
	}
	f.Close()
	a, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Tensors[m.Name]; !a.Config.DoRA || a.Idle() || !slices.Equal(got.Data, m.Data) || got.Rows != 3 || got.Cols != 1 {
		t.Errorf("%+v %+v", a.Config, a.Tensors)
	}
	if err := Save(t.TempDir(), Config{Rank: 1, Alpha: 2}, tensors); err == nil || !strings.Contains(err.Error(), "use_dora is false") {
		t.Error(err)
	}
	config := filepath.Join(dir, "adapter_config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, bytes.Replace(text, []byte(`"use_dora": true`), []byte(`"use_dora": false`), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "does not say `use_dora: true`") {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	const lora = `{"peft_type":"LORA","r":4`
	q := "base_model.model.model.layers.0.self_attn.q_proj."
	for _, c := range []struct {
		config string
		names  []string
		words  string
	}{
		{`[]`, nil, "not a JSON object"},
		{`{`, nil, "not a JSON object"},
		{`{"r":4}`, nil, "peft_type"},
		{`{"peft_type":"LOHA"}`, nil, `"LOHA"`},
		{`{"peft_type":"LORA","r":"4"}`, nil, "`r`"},
		{`{"peft_type":"LORA","r":0}`, nil, "`r` is 0"},
		{lora + `,"lora_alpha":"x"}`, nil, "`lora_alpha`"},
		{lora + `,"lora_alpha":"8"}`, nil, "`lora_alpha` is \"8\", a number is due"},
		{lora + `,"lora_alpha":0}`, nil, "`lora_alpha` is 0, so the adapter changes nothing"},
		{lora + `,"lora_alpha":8,` + "\n" + `"lora_alpha":64}`, nil, "`lora_alpha` is written twice, in line 1 and in line 2"},
		{lora + `,"lora_dropout":1}`, nil, "`lora_dropout`"},
		{lora + `,"use_dora":true}`, nil, "it holds no lora_magnitude_vector"},
		{lora + `,"use_dora":1}`, nil, "`use_dora` is 1, true or false is due"},
		{lora + `,"bias":"all"}`, nil, "`bias"},
		{lora + `,"modules_to_save":["lm_head"]}`, nil, "modules_to_save"},
		{lora + `,"use_dora":true,"bias":"lora_only"}`, nil, "lora_only"}, // all at once
		{lora + `,"fan_in_fan_out":true}`, nil, "fan_in_fan_out"},
		{lora + `,"layer_replication":[[0,4],[2,5]]}`, nil, "layer_replication"},
		{lora + `,"init_lora_weights":"pissa_niter_4"}`, nil, "pissa"},
		{lora + `,"trainable_token_indices":[1]}`, nil, "trainable_token_indices"},
		{lora + `,"rank_pattern":[]}`, nil, "rank_pattern"},
		{lora + `,"rank_pattern":{"q":1.5}}`, nil, "1.5"},
		{lora + `,"rank_pattern":{"q":"1"}}`, nil, "not a number"},
		{lora + `,"rank_pattern":{"(?=q)":1}}`, nil, "pattern"},
		{lora + `,"target_modules":3}`, nil, "target_modules"},
		{lora + `,"target_modules":["v_proj"]}`, nil, "does not select it"},
		{lora + `,"target_modules":["proj"]}`, nil, "does not select it"},
		{lora + `,"target_modules":"q"}`, nil, "does not select it"},
		{`{"peft_type":"LORA","r":8}`, nil, "rank 4"},
		{lora + `,"rank_pattern":{"q_proj":2}}`, nil, "rank 4"},
		{lora + `}`, []string{q + "lora_A.weight"}, "is missing"},
		{lora + `}`, []string{q + "lora_B.weight"}, "is missing"},
		{lora + `}`, []string{q + "lora_A.weight", q + "lora_A.default.weight"}, "another name"},
		{lora + `}`, []string{q + "lora_A.weight", q + "lora_magnitude_vector"}, "is not that of a vector"},
		{lora + `}`, []string{"base_model.model.model.embed_tokens.lora_embedding_A"}, "embedding"},
		{lora + `}`, []string{"base_model.model.lm_head.weight"}, "holds no matrices of an adapter"},
		{lora + `}`, []string{"base_model.model.score.weight"}, "modules_to_save"},
		{lora + `,"modules_to_save":"lm_head"}`, nil, "a list of names is due"},
		{lora + `}`, []string{q + "bias"}, "bias"},
		{lora + `}`, []string{q + "alpha"}, "a scale as kohya's scripts store it"},
		{lora + `}`, []string{"base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"}, "no linear of a Llama"},
	} {
		_, err := Load(put(t, c.config, c.names...))
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s %v: error %v, want %q in it", c.config, c.names, err, c.words)
		}
	}
}

// TestOtherBase: a base is the one that is named where its path has that name.
func TestOtherBase(t *testing.T) {
	for _, c := range []struct {
		named, base string
		other       bool
	}{
		{"mistralai/Mistral-7B-v0.1", "/models/llama-2-7b", true}, {"meta-llama/Llama-2-7b-hf", "/models/llama-2-7b-hf/model.safetensors", false},
		{"meta-llama/Llama-2-7b-hf", "/hub/models--meta-llama--Llama-2-7b-hf/snapshots/0", false}, {"/a/tiny/model.safetensors", "/b/tiny", false},
		{"", "/models/x", false}, {"a/b", "", false}, {".", "/models/x", false},
	} {
		if got := OtherBase(c.named, c.base); (got != "") != c.other || c.other && !(strings.Contains(got, c.named) && strings.Contains(got, c.base)) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestTwoFiles: matrices that are there in two formats are said.
func TestTwoFiles(t *testing.T) {
	dir := put(t, `{"peft_type":"LORA","r":4,"lora_alpha":8}`)
	if err := os.WriteFile(filepath.Join(dir, "adapter_model.bin"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := Load(dir)
	if err != nil || len(a.Notes()) != 1 || !strings.Contains(a.Notes()[0], "adapter_model.bin beside adapter_model.safetensors is not read") {
		t.Fatalf("%v %v", a, err)
	}
}

func TestLoadFiles(t *testing.T) {
	if _, err := Load(put(t, "")); !errors.Is(err, ErrNoConfig) || !strings.Contains(err.Error(), configName) {
		t.Errorf("without a config: %v", err)
	}
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), weightsName) {
		t.Errorf("an empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "adapter_model.bin"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(`{"peft_type":"LORA","r":4}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "adapter_model.bin") {
		t.Errorf("an empty file of torch: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Errorf("a missing directory: %v", err)
	}
}

func TestLoadBare(t *testing.T) {
	for _, names := range [][]string{nil, {wqA, wqB}} {
		a, err := LoadBare(put(t, "", names...), 6)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Tensors) != 2 || a.Scale[wqA] != 1.5 || a.Config.Rank != 4 {
			t.Errorf("%d tensors, scale %v, %+v", len(a.Tensors), a.Scale, a.Config)
		}
	}
}

func TestShapesAndTypes(t *testing.T) {
	const a, b = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
	good := safetensors.Entry{Name: b, DType: "F32", Shape: []int{2, 1}, Write: safetensors.Bytes(Bytes([]float32{1, 2}))}
	for _, c := range []struct {
		dtype string
		shape []int
		data  []byte
		words string // "" if it is good
	}{
		{"F64", []int{1, 1}, []byte{0, 0, 0, 0, 0, 0, 0xF8, 0x3F}, ""},
		{"F32", []int{1, 1}, []byte{0, 0, 0xC0, 0x3F}, ""},
		{"F16", []int{1, 1}, []byte{0x00, 0x3E}, ""},
		{"BF16", []int{1, 1}, []byte{0xC0, 0x3F}, ""},
		{"I32", []int{1, 1}, []byte{1, 0, 0, 0}, "I32"},
		{"F16", []int{1, 1}, []byte{0x00, 0x7C}, "diverged"},
		{"F32", []int{1, 1}, []byte{0, 0, 0xC0, 0x7F}, "diverged"},
		{"F16", []int{1}, []byte{0, 0}, "not that of a matrix"},
		{"F16", []int{0, 1}, nil, "not that of a matrix"},
		{"F16", []int{2, 1}, []byte{0, 0, 0, 0}, "rank 2"},
	} {
		dir := put(t, `{"peft_type":"LORA","r":1}`)
		entry := safetensors.Entry{Name: a, DType: c.dtype, Shape: c.shape, Write: safetensors.Bytes(c.data)}
		if err := safetensors.Write(filepath.Join(dir, weightsName), []safetensors.Entry{entry, good}, nil); err != nil {
			t.Fatal(err)
		}
		x, err := Load(dir)
		switch {
		case c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)):
			t.Errorf("%s %v: error %v, want %q in it", c.dtype, c.shape, err, c.words)
		case c.words == "" && err != nil:
			t.Errorf("%s: %v", c.dtype, err)
		case c.words == "" && x.Tensors[wqA].Data[0] != 1.5:
			t.Errorf("%s: 1.5 became %v", c.dtype, x.Tensors[wqA].Data)
		}
	}
	if _, err := Floats("F32", make([]byte, 5)); err == nil {
		t.Error("five bytes are accepted as F32")
	}
}

// A crash between the two files must not leave new matrices with an old config.
func TestSaveOverOther(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, Config{Rank: 2, Alpha: 16}, pairOf("model.layers.0.attention.wq", 2, 3, 4)); err != nil {
		t.Fatal(err)
	}
	// A directory in place of the matrices makes the second Save fail there.
	weights := filepath.Join(dir, weightsName)
	if err := os.Remove(weights); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(weights, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Save(dir, Config{Rank: 1, Alpha: 16}, pairOf("model.layers.0.attention.wq", 1, 3, 4)); err == nil {
		t.Fatal("wrote over a directory")
	}
	if _, err := os.Stat(filepath.Join(dir, configName)); !os.IsNotExist(err) {
		t.Error("the old config stays:", err)
	}
}

func TestRealAdapters(t *testing.T) {
	dir := filepath.Join(sharedData, "adapters/smollm135m_medical_ckpt1000")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the real adapters are not here:", err)
	}
	a, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Tensors) != 120 || a.Config.Rank != 16 || a.Config.Alpha != 32 || !slices.Equal(a.Config.Targets, []string{"v_proj", "q_proj"}) {
		t.Errorf("%d tensors, %+v", len(a.Tensors), a.Config)
	}
	b := a.Tensors["model.layers.29.attention.wv.mindpet_delta_lora_b"]
	if b.Rows != 192 || b.Cols != 16 || a.Scale["model.layers.29.attention.wv.mindpet_delta_lora_a"] != 2 {
		t.Errorf("v of layer 29 is %d×%d, scale %v", b.Rows, b.Cols, a.Scale["model.layers.29.attention.wv.mindpet_delta_lora_a"])
	}
	if sum := func() (s float64) {
		for _, x := range b.Data {
			s += math.Abs(float64(x))
		}
		return
	}(); sum == 0 {
		t.Error("a trained matrix is zero")
	}
	bare, err := LoadBare(filepath.Join(sharedData, "goldens/torch_lora_stories260K_qv/adapter_init.safetensors"), 16)
	if err != nil {
		t.Fatal(err)
	}
	if len(bare.Tensors) != 20 || bare.Scale[wqA] != 2 {
		t.Errorf("%d tensors, scale %v", len(bare.Tensors), bare.Scale[wqA])
	}
	// What is saved is what was loaded, byte for byte of the matrices.
	var tensors []Tensor
	for _, x := range a.Tensors {
		tensors = append(tensors, x)
	}
	out := t.TempDir()
	if err := Save(out, a.Config, tensors); err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(filepath.Join(dir, weightsName))
	if got, _ := os.ReadFile(filepath.Join(out, weightsName)); string(got) != string(want) {
		t.Error("the matrices are written differently from PEFT")
	}
}

func FuzzPeftConfig(f *testing.F) {
	for _, text := range []string{
		`{"peft_type":"LORA","r":4}`, `{"peft_type":"LORA","rank_pattern":{"q":2},"target_modules":"all-linear"}`,
		`{"peft_type":"LORA","alpha_pattern":{"(.*":2}}`, `{"peft_type":"LORA","r":-1e9}`, `{"peft_type":"LORA","target_modules":["a",1]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text)
		if err != nil {
			return
		}
		rank, scale := c.scaling("model.layers.0.self_attn.q_proj")
		if rank < 1 || math.IsNaN(scale) {
			t.Fatalf("rank %d, scale %v", rank, scale)
		}
		c.targets("model.layers.0.self_attn.q_proj")
		if _, err := parseConfig(c.text("")); err != nil {
			t.Fatalf("what is written cannot be read: %v\n%s", err, c.text(""))
		}
	})
}
