package start

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/compiler/config"
	"lorac/ir/diag"
	"lorac/runtime/weights/claims"
)

// small is the config.json of a small model.
const smallModel = `{"model_type": "llama", "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 4,
 "vocab_size": 512, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "max_position_embeddings": 1024, "bos_token_id": 1, "eos_token_id": [2, 5], "tie_word_embeddings": true,
 "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}}`

func said(t *testing.T, text string) Claims {
	return func(string) ([]claims.Claim, error) {
		t.Helper()
		return claims.HuggingFace("config.json", []byte(text))
	}
}

func drafted(t *testing.T) *Draft {
	t.Helper()
	d, list := FromBase(t.TempDir(), said(t, smallModel), nil)
	if d == nil {
		t.Fatal(list)
	}
	return d
}

// What a draft says of the model is what its base says, and no key of it is without effect
// or worth a warning.
func TestDraft(t *testing.T) {
	d := drafted(t)
	c, list := config.CheckBytes("draft.yaml", d.YAML(), nil)
	if len(list) > 0 {
		t.Fatalf("%v\n%s", list, d.YAML())
	}
	m := &c.Model
	if m.Hidden.V != 64 || m.FFN.V != 172 || m.Layers.V != 3 || m.Heads.V != 8 || m.KVHeads.V != 4 || m.Vocab.V != 512 || m.Theta.V != 500000 || m.RMSEps.V != 1e-5 ||
		!m.TieEmbeddings.V || !slices.Equal(m.EosIDs.V, []int{2, 5}) || m.SeqLength.V != 1024 || m.RopeMethod.V != "llama3" || m.RopeFactors["factor"] != 8 || m.PadID.V != -1 {
		t.Errorf("%+v\n%s", m, d.YAML())
	}
	if c.LoRA.Rank.V != 16 || len(c.Targets()) != 4 || c.Schedule.LR.V != 1e-3 || c.Optimizer.Rule != "torch" {
		t.Errorf("%+v %+v", c.LoRA, c.Schedule)
	}
	for _, k := range c.Keys {
		if k.Status == config.Ignored && !strings.HasPrefix(k.Path, "trainer.") && !strings.Contains(k.Path, "_dataset_task.") && !strings.Contains(k.Path, "processor") && !strings.Contains(k.Path, "max_position") {
			t.Errorf("%s has no effect: %s", k.Path, k.Why)
		}
	}
}

// A size that nothing says is asked for by its flag, and taken from there.
func TestUnsaid(t *testing.T) {
	lacks := strings.Replace(smallModel, `"num_attention_heads": 8, "num_key_value_heads": 4,`, "", 1)
	_, list := FromBase(t.TempDir(), said(t, lacks), nil)
	if len(list) != 1 || !strings.Contains(list[0].Message, "says `num_heads` of the model") || !strings.Contains(list[0].Help, "--model.model_config.num_heads N") {
		t.Fatal(list)
	}
	d, list := FromBase(t.TempDir(), said(t, lacks), []config.Override{{Path: "model.model_config.num_heads", Value: "4", Origin: "--set"}})
	if d == nil || d.Model.Heads.V != 4 || d.Model.KVHeads.V != 4 {
		t.Fatal(list)
	}
}

// A base that is no Llama is refused by its difference.
func TestForeign(t *testing.T) {
	_, list := FromBase(t.TempDir(), said(t, strings.Replace(smallModel, `"llama"`, `"gemma"`, 1)), nil)
	if !strings.Contains(list.Error(), "model_type is gemma") {
		t.Error(list)
	}
}

func TestIsBase(t *testing.T) {
	dir := t.TempDir()
	for name, x := range map[string]struct {
		text string
		want bool
	}{
		"a.gguf": {"GGUF\x03\x00\x00\x00", true}, "b": {"\x20\x00\x00\x00\x00\x00\x00\x00{}", true}, "c.yaml": {"\x00", false}, "d.json": {"{}", false},
		"model.safetensors.index.json": {"{}", true}, "e.conf": {"\xff\xfea\x00", false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(x.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if IsBase(path) != x.want {
			t.Errorf("%s: %v", name, !x.want)
		}
	}
	if !IsBase(dir) || IsBase(filepath.Join(dir, "nothing")) {
		t.Error("a directory may be a base, and nothing is none")
	}
}

// migrated translates a text over the small model.
func migrated(t *testing.T, text string, leave ...string) *Migration {
	t.Helper()
	path := filepath.Join(t.TempDir(), "theirs.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := Migrate(path, t.TempDir(), leave, func(base string) (*Draft, diag.List) { return FromBase(base, said(t, smallModel), nil) })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// taken is the config that a migration leads to.
func taken(t *testing.T, m *Migration) *config.Config {
	t.Helper()
	c, list := config.CheckBytes("migrated.yaml", m.Draft.YAML(), nil)
	if list.HasErrors() {
		t.Fatalf("%v\n%s", list, m.Draft.YAML())
	}
	return c
}

func status(m *Migration, key string) string {
	for _, r := range m.Rows {
		if r.Key == key {
			return string(r.Status)
		}
	}
	return ""
}

func TestLlamaFactory(t *testing.T) {
	m := migrated(t, `
model_name_or_path: meta-llama/Llama-3.2-1B
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 9
lora_alpha: 6
use_rslora: true
lora_target: q_proj,v_proj
dataset: identity
template: alpaca
cutoff_len: 512
overwrite_cache: true
output_dir: saves/x
per_device_train_batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 1e-4
num_train_epochs: 2.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
val_size: 0
resume_from_checkpoint: null
use_dora: false
eval_strategy: steps
eval_steps: 7
early_stopping_steps: 2
load_best_model_at_end: true
metric_for_best_model: eval_loss
greater_is_better: false
`)
	if failed := m.Failed(); len(failed) > 0 || len(m.Rows) != 31 {
		t.Errorf("%d rows, failed: %v", len(m.Rows), failed)
	}
	c := taken(t, m)
	if c.LoRA.Rank.V != 9 || c.LoRA.Alpha.V != 6 || !slices.Equal(c.Targets(), []string{"wq", "wv"}) || c.LoRA.Dropout.V != 0 {
		t.Errorf("%+v", c.LoRA)
	}
	if c.Run.BatchSize.V != 2 || c.Run.GradAccum.V != 4 || !c.Run.PerTokenLoss.V || c.Run.Epochs.V != 2 || c.Schedule.LR.V != 1e-4 || c.Schedule.WarmupRatio.V != 0.1 || c.Schedule.Type.V != "cosine" ||
		c.Model.SeqLength.V != 512 || c.Train.Prompt.V != "alpaca" || c.Seed.V != 42 || c.Train.DropRemainder.V || c.Output.V != "saves/x" || c.Optimizer.Rule != "torch" {
		t.Errorf("%+v %+v %+v", c.Run, c.Schedule, c.Train)
	}
	if !c.DoEval.V || c.Patience.V != 2 || !c.LoadBest.V {
		t.Errorf("%v %v %v", c.DoEval, c.Patience, c.LoadBest)
	}
	if status(m, "bf16") != "no effect" || status(m, "use_dora") != "used" || status(m, "use_rslora") != "used" {
		t.Error(m.Rows)
	}
}

// Keys that would train another thing are refused, unknown ones too, unless they are left
// out by name.
func TestMigrateRefuses(t *testing.T) {
	text := "model_name_or_path: x\nstage: sft\nadditional_target: [x]\nlora_rnk: 3\nlora_target: lm_head\nnum_train_epochs: 1.5\n"
	m := migrated(t, text)
	if got := m.Failed(); !slices.Equal(got, []string{"additional_target", "lora_rnk", "lora_target", "num_train_epochs"}) {
		t.Errorf("%v", got)
	}
	if status(m, "lora_rnk") != "unknown" || status(m, "additional_target") != "refused" {
		t.Error(m.Rows)
	}
	if got := migrated(t, text, "additional_target", "lora_rnk", "lora_target", "num_train_epochs").Failed(); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestAxolotl(t *testing.T) {
	m := migrated(t, `
base_model: NousResearch/Llama-3.2-1B
model_type: LlamaForCausalLM
load_in_4bit: true
strict: false
datasets:
  - path: teknium/GPT4-LLM-Cleaned
    type: alpaca
    field_nonsense: 3
dataset_prepared_path: last_run_prepared
val_set_size: 0.0
output_dir: ./outputs/lora-out
adapter: qlora
sequence_len: 640
sample_packing: true
pad_to_sequence_len: true
lora_r: 16
lora_alpha: 32
lora_dropout: 0.05
lora_target_linear: true
gradient_accumulation_steps: 2
micro_batch_size: 2
num_epochs: 1
optimizer: adamw_bnb_8bit
lr_scheduler: linear
learning_rate: 0.0002
warmup_steps: 10
max_steps: 20
weight_decay: 0.1
flash_attention: true
wandb_project:
special_tokens:
  pad_token: "<|end_of_text|>"
`)
	if failed := m.Failed(); !slices.Equal(failed, []string{"datasets[0].field_nonsense"}) {
		t.Errorf("failed: %v", failed)
	}
	c := taken(t, m)
	if c.Quant.V != "int4" || len(c.Targets()) != 7 || c.Train.Pack.V != "pack" || c.Train.Format.V != "alpaca" || c.Schedule.WarmupSteps.V != 10 || c.Schedule.Type.V != "linear" ||
		c.Schedule.TotalSteps.V != 20 || c.Optimizer.WeightDecay.V != 0.1 || c.Model.SeqLength.V != 640 {
		t.Errorf("%+v %+v %v", c.Train, c.Schedule, c.Quant)
	}
	if next := strings.Join(m.Draft.Next("f.yaml"), "\n"); !strings.Contains(next, "--steps 20") {
		t.Error(next)
	}
}

func TestPEFT(t *testing.T) {
	m := migrated(t, `{"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "x", "r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "bias": "none",
 "target_modules": ["v_proj", "q_proj"], "layers_to_transform": [0, 2], "modules_to_save": null, "rank_pattern": {}, "init_lora_weights": "gaussian", "use_dora": true, "inference_mode": true}`)
	if failed := m.Failed(); len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
	c := taken(t, m)
	if by := c.TargetsByLayer(); len(by[0]) != 2 || len(by[1]) != 0 || len(by[2]) != 2 || c.LoRA.Alpha.V != 8 || c.LoRA.Dropout.V != 0.1 || c.LoRA.Init.V != "gaussian" || !c.LoRA.DoRA.V {
		t.Errorf("%v %+v", by, c.LoRA)
	}
}

// Patterns keep their numbers and their order, in the names that linears have here.
func TestPEFTPatterns(t *testing.T) {
	m := migrated(t, `{"peft_type": "LORA", "base_model_name_or_path": "x", "r": 8, "lora_alpha": 16, "target_modules": "all-linear", "use_rslora": true,
 "rank_pattern": {"^model.layers.0.self_attn.v_proj": 2, "v_proj": 4, "layers.1.mlp.(gate_proj|up_proj)": 3}, "alpha_pattern": {"q_proj": 32}, "exclude_modules": ["k_proj", "down_proj"]}`)
	if failed := m.Failed(); len(failed) > 0 {
		t.Fatalf("failed: %v\n%+v", failed, m.Rows)
	}
	c := taken(t, m)
	var ranks []int
	for _, x := range []struct {
		layer int
		leaf  string
	}{{0, "wv"}, {1, "wv"}, {0, "w1"}, {1, "w1"}, {1, "w3"}, {0, "wq"}} {
		ranks = append(ranks, c.RankOf(x.layer, x.leaf))
	}
	if !slices.Equal(ranks, []int{2, 4, 8, 3, 3, 8}) || c.AlphaOf(0, "wq") != 32 || c.AlphaOf(0, "wv") != 16 || slices.Contains(c.Targets(), "wk") || slices.Contains(c.Targets(), "w2") || !c.LoRA.RSLoRA.V {
		t.Errorf("%v %v\n%s", ranks, c.Targets(), m.Draft.YAML())
	}
	for text, want := range map[string]string{
		`"rank_pattern": {"lm_head": 4}`:                              "no linear of a Llama",
		`"rank_pattern": {"q_proj": "many"}`:                          "a mapping of names to numbers is due",
		`"target_modules": ["q_proj"], "exclude_modules": ["q_proj"]`: "leaves no module",
	} {
		m := migrated(t, `{"peft_type": "LORA", "r": 8, `+text+`}`)
		if !slices.ContainsFunc(m.Rows, func(r Row) bool { return r.Status == config.Refused && strings.Contains(r.Text, want) }) {
			t.Errorf("%s: %+v", text, m.Rows)
		}
	}
}

// Each key of a table is in one rule of it, and each rule says what becomes of its keys.
func TestRules(t *testing.T) {
	for name, tables := range map[string][][]rule{
		"LLaMA-Factory": {llamaFactoryModel, llamaFactoryLoRA, llamaFactoryData, trainingArguments, llamaFactoryRest},
		"Axolotl":       {axolotlModel, axolotlLoRA, axolotlTraining, axolotlRest},
	} {
		seen := map[string]bool{}
		for _, table := range tables {
			for _, r := range table {
				if n := len(r.why) + len(r.refused); (r.take == nil) != (n > 0) || r.take != nil && r.to == "" {
					t.Errorf("%s: the rule of %s", name, r.keys)
				}
				for _, k := range strings.Fields(r.keys) {
					if seen[k] {
						t.Errorf("%s: %s is in two rules", name, k)
					}
					seen[k] = true
				}
			}
		}
	}
}

// A config of another program is told from one of MindFormers.
func TestRecognise(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		smallModel: "lorac init ",
		`{"dim": 4, "n_layers": 2, "n_heads": 2}`:                                      "lorac init ",
		"base_model: x\nadapter: lora\n":                                               "lorac migrate ",
		"model_name_or_path: x\nstage: sft\n":                                          "lorac migrate ",
		`{"peft_type": "LORA"}`:                                                        "lorac migrate ",
		"model:\n  _component_: torchtune.models.llama2.lora_llama2_7b\n":              "lorac init ",
		"model: {arch: {type: LlamaForCausalLM}, model_config: {type: LlamaConfig}}\n": "",
		"run_mode: finetune\nbase_model: x\nadapter: y\n":                              "",
		"a: [": "", "": "", "- a": "",
	} {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		d := Recognise(path)
		if (d == nil) != (want == "") || d != nil && !strings.Contains(d.Help, want) {
			t.Errorf("%q: %v", text, d)
		}
	}
}

// Models in the cache of Hugging Face's programs have their names, and are found below it.
func TestHubCache(t *testing.T) {
	hub := t.TempDir()
	model := filepath.Join(hub, "models--org--small-1B", "snapshots", "0123")
	if err := os.MkdirAll(model, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "config.json"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := nameOf(model); got != "small-1B" {
		t.Errorf("it is called %s", got)
	}
	if got := nameOf("some/model.gguf"); got != "model.gguf" {
		t.Errorf("a file is called %s", got)
	}
	for _, above := range []string{hub, filepath.Dir(model)} {
		if got := Below(above); !slices.Equal(got, []string{model}) {
			t.Errorf("below %s: %v", above, got)
		}
	}
	if got := Below(model); len(got) != 0 {
		t.Errorf("below the model: %v", got)
	}
}
