package claims

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// llama2 are the facts of a small model that the texts below describe.
func llama2() *Facts {
	return &Facts{Hidden: 64, FFN: 96, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 128, SeqLength: 32, Eps: 1e-5, Theta: 10000, Method: "none"}
}

const plain = `"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
 "num_key_value_heads": 2, "vocab_size": 128, "rms_norm_eps": 1e-05, "hidden_act": "silu", "torch_dtype": "bfloat16", "tie_word_embeddings": false, "max_position_embeddings": 64`

// plainWith is the text with keys that are added or have another value.
func plainWith(more string) []byte {
	keys := map[string]json.RawMessage{}
	for _, text := range []string{plain, more} {
		if err := json.Unmarshal([]byte("{"+text+"}"), &keys); err != nil {
			panic(err)
		}
	}
	text, _ := json.Marshal(keys)
	return text
}

// TestHuggingFace: each fact of config.json that differs is found, with its line,
// and nothing else.
func TestHuggingFace(t *testing.T) {
	for _, c := range []struct{ more, want string }{
		{"", ""},
		{`"rope_theta": 10000.0, "rope_scaling": null, "attention_bias": false, "sliding_window": null, "head_dim": 16`, ""},
		{`"rope_theta": 500000.0`, "theta"},
		{`"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}`, "theta"},
		{`"rope_scaling": {"type": "linear", "factor": 2.0}`, "extend_method"},
		{`"rope_scaling": {"type": "linear", "factor": 1.0}`, ""},
		{`"rope_scaling": {"type": "dynamic", "factor": 2.0}`, ""}, // rows of 32, trained with 64
		{`"rope_scaling": {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 16}`, "extend_method"},
		{`"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}`, "extend_method"},
		{`"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}`, "extend_method"},
		{`"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}`, "rope_scaling"},
		{`"num_attention_heads": 8`, "num_heads"}, {`"num_key_value_heads": 4`, "n_kv_heads"}, {`"head_dim": 32`, "head_dim"},
		{`"hidden_size": 32`, "hidden_size"}, {`"vocab_size": 130`, "vocab_size"}, {`"num_hidden_layers": 3`, "num_layers"}, {`"intermediate_size": 100`, "intermediate_size"},
		{`"rms_norm_eps": 1e-6`, "rms_norm_eps"}, {`"tie_word_embeddings": true`, "tie_word_embeddings"},
		{`"hidden_act": "gelu"`, "hidden_act"}, {`"attention_bias": true`, "qkv_has_bias attn_proj_has_bias"}, {`"mlp_bias": true`, "mlp_has_bias"}, {`"qkv_bias": true`, "qkv_bias"},
		{`"sliding_window": 16`, "sliding_window"}, {`"sliding_window": 32`, ""}, {`"sliding_window": 16, "use_sliding_window": false`, ""},
		{`"model_type": "qwen2"`, "qkv_has_bias"}, {`"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "attention_bias": true`, "qkv_has_bias"},
		{`"architectures": ["Qwen2MoeForCausalLM"]`, "architectures"}, {`"model_type": "qwen2_moe"`, "model_type"}, {`"architectures": ["LlamaForCausalLM"]`, ""}, {`"architectures": ["LlamaForSequenceClassification"]`, "architectures"},
		{`"model_type": "mistral", "architectures": ["MistralForCausalLM"]`, ""},
		{`"model_type": "granite", "embedding_multiplier": 12.0, "residual_multiplier": 0.22, "logits_scaling": 8.0, "attention_multiplier": 0.25`, "embedding_multiplier residual_multiplier logits_scaling"},
		{`"scale_emb": 12, "scale_depth": 1.4142135, "dim_model_base": 32`, "scale_emb dim_model_base"},
		{`"num_local_experts": 8`, "num_local_experts"}, {`"partial_rotary_factor": 0.5`, "partial_rotary_factor"},
	} {
		list, err := HuggingFace("base/config.json", plainWith(c.more))
		if err != nil {
			t.Errorf("%s: %v", c.more, err)
			continue
		}
		var got []string
		for _, d := range Compare(llama2(), list) {
			got = append(got, d.Key)
			if d.Place.File != "base/config.json" || d.Ours == "" || d.Said() == "" {
				t.Errorf("%s: %+v", c.more, d)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q differ, not %q", c.more, s, c.want)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"<html>": "no JSON object", `{"hidden_size": "many"}`: "config.json:1: `hidden_size` is \"many\", a number is due",
		`{"hidden_size": 1.5}`:                                   "a whole number from 1 is due",
		`{"hidden_size": 8, "tie_word_embeddings": "false"}`:     "`tie_word_embeddings` is \"false\", true or false is due",
		"{\"hidden_size\": 8,\n\"rope_theta\": -1}":              "config.json:2: `rope_theta` is -1, a number above 0 is due",
		`{"hidden_size": 8, "num_key_value_heads": 0}`:           "a whole number from 1 is due",
		`{"hidden_size": 8, "architectures": "Llama"}`:           "a list is due",
		`{"hidden_size": 8, "eos_token_id": "2"}`:                "`eos_token_id` is \"2\", a number is due",
		`{"hidden_size": 8, "bos_token_id": [1, 2]}`:             "`bos_token_id` is \"1 2\", one number is due",
		"{\"hidden_size\": 8,\n\"a\": {\"b\": 1,\n\"b\": 2}}":    "`a.b` is written twice, in line 2 and in line 3",
		`{"hidden_size": 8, "rope_scaling": "linear"}`:           "an object or null is due",
		`{"hidden_size": 8, "rope_scaling": {"type": "linear"}}`: "it has no `factor`",
	} {
		if _, err := HuggingFace("config.json", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if list, err := HuggingFace("config.json", []byte(`{"name": "a package"}`)); err != nil || len(list) > 0 {
		t.Errorf("another program's file claims %v, %v", list, err)
	}
}

// TestIDs: control tokens are compared where a file has them. Ends agree where they
// share one.
func TestIDs(t *testing.T) {
	f := llama2()
	f.BOS, f.EOS = 1, []int{2}
	for more, want := range map[string]string{
		"": "", `"eos_token_id": 2, "bos_token_id": 1, "pad_token_id": null`: "", `"eos_token_id": [7, 2]`: "", `"pad_token_id": -1`: "", `"pad_token_id": 0`: "",
		`"eos_token_id": 7`: "eos_token_id 7", `"eos_token_id": [7, 8]`: "eos_token_id [7, 8]", `"bos_token_id": 9`: "bos_token_id 9", `"pad_token_id": 2`: "pad_token_id 2",
	} {
		list, err := HuggingFace("config.json", plainWith(more))
		got := ""
		for _, d := range Compare(f, list) {
			got += d.Key + " " + d.Said()
		}
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", more, got, err, want)
		}
	}
	list, _ := HuggingFace("config.json", plainWith(`"eos_token_id": 2`))
	if d := Compare(llama2(), list); len(d) > 0 {
		t.Errorf("a program without control tokens differs: %v", d)
	}
	more, err := Generation("generation_config.json", []byte("{\n\"eos_token_id\": [7, 2], \"temperature\": 0.6}"))
	if err != nil || len(more) != 1 || more[0].Place.Line != 2 {
		t.Fatalf("%v %v", more, err)
	}
	list = append(list, more...)
	Ends(list)
	for _, c := range list {
		if keys, values := c.Settings(32); c.Key == "eos_token_id" && c.Place.File == "config.json" && (len(keys) != 1 || values[0] != "[2, 7]") {
			t.Errorf("%v %v", keys, values)
		}
	}
	if _, _, ok := Agree(list); !ok {
		t.Error("ends that share one contradict each other")
	}
}

// TestTwoPlaces: two places of one file that say a fact in two ways contradict each
// other, and each is named with its line.
func TestTwoPlaces(t *testing.T) {
	for more, want := range map[string]string{
		"\"rope_theta\": 10000.0,\n\"rope_parameters\": {\n\"rope_theta\": 500000.0}":                 "theta 2 rope_theta 4 rope_parameters.rope_theta",
		"\"rope_theta\": 10000.0,\n\"rope_scaling\": {\n\"rope_theta\": 500000.0}":                    "theta 2 rope_theta 4 rope_scaling.rope_theta",
		"\"rope_scaling\": {\"type\": \"linear\",\n\"factor\": 2.0,\n\"rope_type\": \"default\"}":     "extend_method 4 rope_scaling.rope_type 2 rope_scaling.type",
		"\"rope_theta\": 10000.0,\n\"rope_parameters\": {\n\"rope_theta\": 10000.0}":                  "",
		"\"rope_scaling\": {\"type\": \"linear\",\n\"factor\": 2.0,\n\"rope_type\": \"linear\"}":      "",
		"\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 2.0},\n \"rope_scaling\": null": "",
	} {
		list, err := HuggingFace("config.json", []byte("{\"hidden_size\": 64,\n"+more+"}"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if a, b, ok := Agree(list); !ok {
			got = fmt.Sprintf("%s %d %s %d %s", a.Key, a.Place.Line, a.Place.Name, b.Place.Line, b.Place.Name)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", more, got, want)
		}
	}
}

// TestSettings: what a claim sets makes the program agree with it.
func TestSettings(t *testing.T) {
	for _, r := range []Rope{{Method: "none"}, {"linear", map[string]float64{"factor": 4}},
		{"llama3", map[string]float64{"factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}} {
		keys, values := Claim{Key: "extend_method", Value: r}.Settings(32)
		f := llama2()
		f.Method = strings.ToLower(values[0])
		f.Factors = r.Factors
		if len(keys) != len(values) || len(Compare(f, []Claim{{Key: "extend_method", Value: r}})) > 0 {
			t.Errorf("%v sets %v to %v, which differs", r, keys, values)
		}
	}
	if keys, _ := (Claim{Key: "head_dim", Value: 3}).Settings(32); keys != nil {
		t.Error("no key sets head_dim")
	}
	f := llama2()
	f.Method, f.Factors = "ntk", map[string]float64{"factor": 4} // the base of the frequencies, times 4
	if d := Compare(f, []Claim{{Key: "theta", Value: 40000.0}, {Key: "extend_method", Value: Rope{Method: "none"}}}); len(d) > 0 {
		t.Errorf("NTK differs from the same frequencies: %v", d)
	}
}

func TestMeta(t *testing.T) {
	text := `{"dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": -1, "multiple_of": 32, "norm_eps": 1e-05, "use_scaled_rope": true}`
	list, err := Meta("params.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d := Compare(llama2(), list)
	if len(d) != 2 || d[0].Key != "intermediate_size" || d[0].Said() != "192" || d[1].Key != "extend_method" {
		t.Errorf("%+v", d)
	}
}

// TestGGUF: the tensor that llama.cpp's converter makes of the llama3 method is
// recognised.
func TestGGUF(t *testing.T) {
	meta := map[string]any{"general.architecture": "llama", "llama.embedding_length": uint64(64), "llama.block_count": uint64(2), "llama.attention.head_count": uint64(4),
		"llama.attention.head_count_kv": uint64(2), "llama.attention.layer_norm_rms_epsilon": float64(float32(1e-5)), "llama.rope.freq_base": 10000.0}
	if list, err := GGUF("a.gguf", meta, nil); err != nil || len(Compare(llama2(), list)) > 0 {
		t.Errorf("%v %v", list, err)
	}
	qwen := map[string]any{}
	for k, v := range meta {
		qwen[strings.Replace(k, "llama.", "qwen2.", 1)] = v
	}
	qwen["general.architecture"], qwen["qwen2.rope.freq_base"] = "qwen2", 1e6
	if list, err := GGUF("q.gguf", qwen, nil); err != nil || len(Compare(llama2(), list)) != 1 || Compare(llama2(), list)[0].Place.Name != "qwen2.rope.freq_base" {
		t.Errorf("%v %v", list, err)
	}
	factors := map[string]float64{"factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}
	list, _ := GGUF("a.gguf", meta, Llama3(16, 10000, factors))
	if d := Compare(llama2(), list); len(d) != 1 || d[0].Place.Name != "rope_freqs.weight" || d[0].Value.(Rope).Method != "llama3" {
		t.Errorf("%+v", d)
	}
	list, _ = GGUF("a.gguf", meta, []float64{1, 2, 3, 4, 5, 6, 7, 8})
	if d := Compare(llama2(), list); len(d) != 1 || d[0].Foreign == "" {
		t.Errorf("%+v", d)
	}
	f := llama2()
	f.BOS, f.EOS = 1, []int{2}
	meta["tokenizer.ggml.bos_token_id"], meta["tokenizer.ggml.eos_token_id"] = uint64(1), uint64(7)
	list, _ = GGUF("a.gguf", meta, nil)
	if d := Compare(f, list); len(d) != 1 || d[0].Key != "eos_token_id" || d[0].Said() != "7" {
		t.Errorf("%+v", d)
	}
	meta["tokenizer.ggml.eos_token_id"], meta["tokenizer.ggml.padding_token_id"] = uint64(2), uint64(3)
	list, _ = GGUF("a.gguf", meta, nil)
	if d, notes := Compare(f, list), Notes(f, list); len(d) != 0 || len(notes) != 1 || !strings.Contains(notes[0], "a.gguf (tokenizer.ggml.padding_token_id) is 3, and `pad_token_id` is 0, which counts") {
		t.Errorf("padding: %+v %q", d, notes)
	}
	for _, c := range list { // which is no key of a config
		if keys, _ := c.Settings(16); slices.Contains(keys, padding) {
			t.Errorf("%s sets %v", c.Place, keys)
		}
	}
	f.Pad = 3
	if notes := Notes(f, list); len(notes) != 0 {
		t.Errorf("padding that is the same: %q", notes)
	}
	meta["llama.rope.freq_base"] = 5e5
	list, _ = GGUF("a.gguf", meta, nil)
	if d := Compare(llama2(), list); len(d) != 1 || d[0].Key != "theta" {
		t.Errorf("%+v", d)
	}
}

func TestAgree(t *testing.T) {
	one, two := Claim{Key: "theta", Value: 10000.0}, Claim{Key: "theta", Value: 5e5}
	if _, _, ok := Agree([]Claim{one, {Key: "num_heads", Value: 4}, two}); ok {
		t.Error("two values of theta agree")
	}
	if _, _, ok := Agree([]Claim{one, {Key: "theta", Value: float64(float32(10000))}}); !ok {
		t.Error("one value does not agree")
	}
	if math.IsNaN(float(1)) || !math.IsNaN(float("x")) {
		t.Error("float")
	}
}
