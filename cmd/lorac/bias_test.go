package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// Models with biases against transformers, and one with DoRA against PEFT, whose losses are in testdata/peers/biases.json.

const biasYAML = `
seed: 7
run_mode: finetune
runner_config: {epochs: 1, batch_size: 2}
optimizer: {type: AdamW, betas: [0.9, 0.95], eps: 1.e-8, weight_decay: 0.1}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-2, warmup_steps: 0}
train_dataset: {drop_remainder: False, data_loader: {shuffle: False}}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 12
    hidden_size: 16
    intermediate_size: 24
    num_layers: 3
    num_heads: 4
    n_kv_heads: 2
    vocab_size: 40
    theta: 1.e+6
    rms_norm_eps: 1.e-6
    param_init_type: float32
    pet_config: {pet_type: lora, lora_rank: 2, lora_alpha: 6, lora_dropout: 0.0, target_modules: '.*wq|.*wv|.*wo'}
`

// biased are the models of the golden: what the config says, and what config.json does.
var biased = map[string]struct {
	set    []string
	config string
}{
	"qwen2":      {[]string{"qkv_has_bias"}, `"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": false`},
	"qwen2_tied": {[]string{"qkv_has_bias", "tie_word_embeddings"}, `"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": true`},
	"llama":      {[]string{"qkv_has_bias", "attn_proj_has_bias", "mlp_has_bias"}, `"model_type": "llama", "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": false`},
}

// peerNumber is `number` of testdata/peers/biases.py.
func peerNumber(name string, i int) float64 {
	x := crc32.ChecksumIEEE([]byte(name)) + uint32(i)*2654435761
	for range 2 {
		x ^= x >> 16
		x *= 0x45D9F3B
	}
	x ^= x >> 16
	return float64(x)/(1<<32) - 0.5
}

// newBiased compiles a model of the golden and makes its weights, adapter and rows. It
// is built where a trainer is wanted.
func newBiased(t *testing.T, kind, how string, built bool) *tiny {
	t.Helper()
	x := &tiny{t: t, dir: t.TempDir(), weights: map[string][]float32{}, shapes: map[string][]int{}}
	text := biasYAML
	if how == "full" {
		text = text[:strings.Index(text, "    pet_config:")]
	}
	var o []config.Override
	for _, key := range biased[kind].set {
		o = append(o, config.Override{Path: "model.model_config." + key, Value: "True", Origin: "test"})
	}
	tied := strings.HasSuffix(kind, "_tied")
	if how == "modules" {
		o = append(o, config.Override{Path: "model.model_config.pet_config.modules_to_save", Value: "[embed_tokens, lm_head]", Origin: "test"},
			config.Override{Path: "model.model_config.pet_config.ensure_weight_tying", Value: map[bool]string{true: "True", false: "False"}[tied], Origin: "test"})
	}
	if how == "dora" {
		o = append(o, config.Override{Path: "model.model_config.pet_config.use_dora", Value: "True", Origin: "test"})
	}
	cfg, list := config.LoadBytes("bias.yaml", []byte(text), o)
	if cfg == nil {
		t.Fatal(list)
	}
	x.cfg = cfg
	r, err := compiler.Compile(cfg, nil)
	x.must(err)
	x.module = r.Module
	if built {
		home, now := filepath.Join(trainers, r.Module.Hash()), time.Now()
		x.bin, _, err = codegen.BuildHere(home, "tiny", r.Module, filepath.Join(trainers, "sources"))
		x.must(err)
		x.must(os.Chtimes(home, now, now))
	}
	var base []safetensors.Entry
	var adapter []peft.Tensor
	for _, s := range r.Module.Storages {
		for i := 0; s.Kind == ir.Param && i < s.Count(); i++ {
			mf := s.TensorName(i)
			name, scale, add := strings.TrimSuffix(naming.HF(mf), ".weight"), 0.5, 0.0
			if !s.Adapter() {
				name, scale = naming.HF(mf), 0.6
			}
			name = strings.NewReplacer("lora_A", "lora_a", "lora_B", "lora_b").Replace(name)
			if strings.HasSuffix(name, "norm.weight") || strings.HasSuffix(name, "lora_magnitude_vector") {
				scale, add = 0.4, 1
			}
			data := make([]float32, s.Type.Elems(nil))
			for k := range data {
				data[k] = float32(add + scale*peerNumber(name, k))
			}
			x.weights[mf] = data
			if s.Adapter() {
				adapter = append(adapter, peft.Tensor{Name: mf, Rows: s.Extents()[0], Cols: len(data) / s.Extents()[0], Data: data})
				continue
			}
			if s.Module() {
				adapter = append(adapter, peft.Tensor{Name: mf, Rows: s.Extents()[0], Cols: s.Extents()[1], Data: data})
			}
			base = append(base, safetensors.Entry{Name: name, DType: "F32", Shape: s.Extents(), Write: safetensors.Bytes(peft.Bytes(data))})
		}
	}
	x.must(safetensors.Write(filepath.Join(x.dir, "base", "model.safetensors"), base, nil))
	x.must(os.WriteFile(filepath.Join(x.dir, "base", "config.json"), fmt.Appendf(nil, `{%s, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
 "num_key_value_heads": 2, "vocab_size": 40, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "bos_token_id": 1, "eos_token_id": 2}`, biased[kind].config), 0o666))
	if how != "full" {
		x.must(peft.Save(filepath.Join(x.dir, "init"), peft.Config{Rank: 2, Alpha: 6, DoRA: how == "dora", Modules: cfg.SavedModules(), Tied: cfg.TiesSaved()}, adapter))
	}
	var lines strings.Builder
	for r := range 12 {
		var ids []int
		for i := range 4 + int((peerNumber("length", r)+0.5)*8) {
			ids = append(ids, int((peerNumber(fmt.Sprint("row ", r), i)+0.5)*40))
		}
		x.rows = append(x.rows, [2][]int{ids, ids})
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": ids})
		fmt.Fprintf(&lines, "%s\n", line)
	}
	x.must(os.WriteFile(filepath.Join(x.dir, "rows.jsonl"), []byte(lines.String()), 0o666))
	return x
}

func eachBiased(t *testing.T, do func(t *testing.T, kind, how string, want []float64)) {
	text, err := os.ReadFile(root + "/testdata/peers/biases.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][]float64
	if err := json.Unmarshal(text, &golden); err != nil || len(golden) != 2*len(biased)+3 {
		t.Fatalf("%d runs, %v", len(golden), err)
	}
	for run, losses := range golden {
		kind, how, _ := strings.Cut(run, " ")
		t.Run(run, func(t *testing.T) { do(t, kind, how, losses) })
	}
}

func compareLosses(t *testing.T, got []record, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d steps, transformers took %d", len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i].Loss-w) <= 1e-5*w) {
			t.Errorf("step %d: loss %v, transformers has %v", i+1, got[i].Loss, w)
		}
	}
}

// TestBiasesAsTransformers: float64 training of models with biases has the losses of
// transformers.
func TestBiasesAsTransformers(t *testing.T) {
	t.Parallel()
	eachBiased(t, func(t *testing.T, kind, how string, want []float64) {
		x := newBiased(t, kind, how, false)
		got, _ := x.reference(len(want), []float64{1e-2, 1e-2, 1e-2, 1e-2, 1e-2, 1e-2})
		compareLosses(t, got, want)
	})
}

// TestBiasedTrainersAsTransformers: so have trainers, which read a Hugging Face
// directory.
func TestBiasedTrainersAsTransformers(t *testing.T) {
	testkit.Slow(t, "programs")
	eachBiased(t, func(t *testing.T, kind, how string, want []float64) {
		x := newBiased(t, kind, how, true)
		out := filepath.Join(x.dir, "out")
		x.run(out, "--threads", "2")
		compareLosses(t, metricsOf(t, out), want)
	})
}
