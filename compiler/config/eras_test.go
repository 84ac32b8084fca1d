package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The configs below spell the same job as each release of MindFormers does;
// their sections hold what the files of that release hold, no value of which
// is copied.
const (
	eraModel = `
model:
  model_config:
    type: LlamaConfig
    batch_size: 1
    seq_length: 32
    hidden_size: 24
    num_layers: 2
    num_heads: 4
    vocab_size: 90
    multiple_of: 8
`
	eraData = `
train_dataset: &train_dataset
  data_loader: {type: MindDataset, dataset_dir: "", shuffle: True}
  input_columns: ["input_ids"]
  num_parallel_workers: 3
  python_multiprocessing: False
  drop_remainder: True
  batch_size: 3
  repeat: 1
  numa_enable: False
  prefetch_size: 1
train_dataset_task: {type: CausalLanguageModelDataset, dataset_config: *train_dataset}
eval_dataset: &eval_dataset
  data_loader: {type: MindDataset, dataset_dir: "", shuffle: False}
  input_columns: ["input_ids"]
  drop_remainder: False
  repeat: 1
eval_dataset_task: {type: CausalLanguageModelDataset, dataset_config: *eval_dataset}
`
	eraTail = `
auto_tune: False
filepath_prefix: './autotune'
autotune_per_step: 9
profile: False
profile_start_step: 2
profile_stop_step: 8
init_start_profile: True
profile_communication: True
profile_memory: True
layer_scale: False
layer_decay: 0.6
lr_scale_factor: 128
remote_save_url: "none"
`
)

var eras = map[string]string{
	"r0.6": eraData + eraTail + eraModel + `    pad_token_id: 90
    compute_dtype: "float16"
    layernorm_compute_dtype: "float32"
    softmax_compute_dtype: "float32"
    rotary_dtype: "float16"
    use_past: False
    offset: 0
    checkpoint_name_or_path: "llama_7b_lora"
  arch:
    type: LlamaForCausalLMWithLora
    pet:
      pet_type: lora
      pet_config: {in_channels: 24, out_channels: 24, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0}
callbacks: [{type: MFLossMonitor}, {type: CheckpointMointor, prefix: "old", save_checkpoint_steps: 5, integrated_save: True, async_save: False}, {type: ObsMonitor}]
optimizer: {type: FP32StateAdamWeightDecay, beta1: 0.9, beta2: 0.95, eps: 1.e-8, learning_rate: 1.e-4}
lr_schedule: {type: CosineWithWarmUpLR, learning_rate: 1.e-4, warmup_ratio: 0.1, total_steps: -1}
runner_wrapper: {type: MFTrainOneStepCell, scale_sense: {type: DynamicLossScaleUpdateCell, loss_scale_value: 1024, scale_factor: 2, scale_window: 100}, use_clip_grad: True}
eval_callbacks: [{type: ObsMonitor}]
parallel: {parallel_mode: 1, gradients_mean: False, enable_alltoall: False, full_batch: True, search_mode: "sharding_propagation", enable_parallel_optimizer: False, strategy_ckpt_save_file: "./s.ckpt"}
parallel_config: {data_parallel: 2, model_parallel: 1, pipeline_stage: 1, optimizer_shard: True, micro_batch_num: 1, vocab_emb_dp: True, gradient_aggregation_group: 4}
`,
	"r0.7": eraData + eraTail + eraModel + `    pretrain_seqlen: 32
    compute_in_2d: False
    use_past_shard: False
    extend_method: "None"
    pet_config: {pet_type: lora, in_channels: 24, out_channels: 24, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0}
  arch: {type: LlamaForCausalLMWithLora}
runner_config: {epochs: 1, batch_size: 3, sink_mode: True, sink_size: 2}
`,
	"r1.0": eraData + eraTail + eraModel + `    scaling_factor: 1.0
    use_flash_attention: False
    use_past_shard: False
    block_size: 16
    num_blocks: 32
    is_dynamic: False
    qkv_has_bias: False
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, target_modules: '.*wq|.*wk|.*wv|.*wo'}
  arch: {type: LlamaForCausalLM}
infer: {prefill_model_path: "a.mindir", increment_model_path: "b.mindir", infer_seq_length: 32, model_type: mindir}
moe_config: {expert_num: 1, capacity_factor: 1.05, aux_loss_factor: 0.1, num_experts_chosen: 1}
recompute_config: {recompute: True, select_recompute: False, parallel_optimizer_comm_recompute: False, mp_comm_recompute: True, recompute_slice_activation: True}
`,
	"r1.3": eraData + eraTail + eraModel + `    fine_grain_interleave: 2
    pp_interleave_num: 1
    fused_rms_norm: True
    tie_word_embeddings: False
    use_ring_attention: False
    use_attn_mask_compression: False
    parallel_optimizer: False
    init_method_std: 0.02
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, lora_a_init: 'normal', lora_b_init: 'zeros', target_modules: '.*wq|.*wk|.*wv|.*wo', freeze_include: ['*'], freeze_exclude: ['*lora*']}
  arch: {type: LlamaForCausalLM}
processor: {return_tensors: ms, tokenizer: {type: LlamaTokenizer, vocab_file: "", pad_token: '<unk>', add_bos_token: True}, type: LlamaProcessor}
metric: {type: PerplexityMetric}
context: {mode: 0, device_target: "Ascend", ascend_config: {precision_mode: "must_keep_origin_dtype", parallel_speed_up_json_path: "x"}, jit_config: {jit_level: "O1"}, max_device_memory: "9GB"}
callbacks: [{type: MFLossMonitor, per_print_times: 1}, {type: CheckpointMonitor, prefix: "a", save_checkpoint_steps: 5, checkpoint_format: safetensors, keep_checkpoint_max: 2}, {type: OnRequestExit, save_ckpt: True, save_mindir: False, file_name: x, directory: y, config_file: z}]
`,
	"r1.5": eraData + eraTail + eraModel + `    calculate_per_token_loss: False
    input_sliced_sig: False
    use_eod_attn_mask_compression: False
    rmsnorm_compute_2d: False
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, target_modules: '.*wq|.*wk|.*wv|.*wo'}
  arch: {type: LlamaForCausalLM}
load_ckpt_format: "ckpt"
load_ckpt_async: False
use_legacy: True
train_precision_sync: False
profile_pipeline: True
profile_level: 1
mstx: True
print_separate_loss: False
swap_config: {swap: False, default_prefetch: 1, layer_swap: [{backward_prefetch: 1, layers: True}], op_swap: [{op_name: '.*\.w1', backward_prefetch: 1, layers: True}]}
monitor_config: {monitor_on: False, dump_path: "./d", target: [".*"], invert: False, step_interval: 1, local_loss_format: null, local_norm_format: [log, tensorboard], throughput_baseline: null, print_struct: False}
moe_config: {expert_num: 1, routing_policy: "TopkRouterV2", use_gmm: False, npu_nums_per_device: 1}
tensorboard: {tensorboard_dir: 'x', tensorboard_queue_size: 9, log_loss_scale_to_tensorboard: True}
recompute_config: {recompute: [1, 0], select_recompute: {'feed_forward\.mul': True}, select_comm_recompute: ['.*\.norm'], select_recompute_exclude: False}
callbacks: [{type: TrainingStateMonitor, config: {a: 1}}, {type: TopkBiasBalanceCallback, balance_via_topk_bias: False}, {type: StressDetectCallBack, detection_interval: 9}]
optimizer: {type: AdamW, betas: [0.9, 0.95], eps: 1.e-8, weight_decay: 0.0}
`,
	"dev": eraData + eraModel + `    model_type: llama
    architectures: ["LlamaForCausalLM"]
    hidden_act: "silu"
    position_embedding_type: "rope"
    add_bias_linear: False
    attention_dropout: 0.0
    hidden_dropout: 0.0
    params_dtype: "float32"
    fp32_residual_connection: False
    input_sliced_sig: True
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, target_modules: '.*wq|.*wk|.*wv|.*wo'}
  arch: {type: LlamaForCausalLM}
pretrained_model_dir: ""
ckpt_use_legacy_format: True
balanced_load: False
use_parallel: True
parallel: {parallel_mode: MANUAL_PARALLEL, full_batch: False, dataset_strategy: [[1, 1], [1, 1]], comm_fusion: {allreduce: {mode: auto}}}
context: {jit_level: "O0", infer_boost: "on", affinity_cpu_list: null, ascend_config: {precision_mode: must_keep_origin_dtype}}
`,
}

// A job in the spelling of every release is accepted, and each key classified.
func TestEras(t *testing.T) {
	for era, text := range eras {
		t.Run(era, func(t *testing.T) {
			c := load(t, text)
			same(t, "targets", strings.Join(c.Targets(), " "), "wq wk wv wo")
			same(t, "rank", c.LoRA.Rank.V, 4)
			same(t, "alpha", c.LoRA.Alpha.V, 8.0)
			same(t, "hidden", c.Model.Hidden.V, 24)
			same(t, "batch", c.Run.BatchSize.V, 3)
			for _, k := range c.Keys {
				if k.Status == Unknown || k.Status == Refused || k.Status == Ignored && k.Why == "" || !k.At.Known() {
					t.Errorf("%+v", k)
				}
			}
		})
	}
}

// Configs of other models, in the spellings of all releases, are refused by
// the place that says which model it is, and their other keys are passed over.
func TestOtherModels(t *testing.T) {
	for name, x := range map[string]struct {
		text, code string
		line       int
	}{
		"chatglm":  {"model:\n  model_config:\n    type: ChatGLM2Config\n    multi_query_attention: True\n    add_qkv_bias: True\n    rope_ratio: 1\n  arch:\n    type: ChatGLM2ForConditionalGeneration\n", "other-model", 8},
		"gpt2":     {"model:\n  arch:\n    type: GPT2LMHeadModel\n  model_config:\n    type: GPT2Config\n    hidden_dropout_prob: 0.1\n    expand_ratio: 4\n", "other-model", 3},
		"bert":     {"model:\n  model_config:\n    type: BertConfig\n    use_one_hot_embeddings: False\n    dropout_prob: 0.1\n", "other-model", 3},
		"baichuan": {"model:\n  arch:\n    type: Baichuan2ForCausalLM\n    auto_register: b.Baichuan2\n  model_config: {type: LlamaConfig, ffn_concat: True, user_token_id: 4}\n", "other-model", 3},
		"qwen3":    {"model:\n  model_config:\n    num_hidden_layers: 3\n    qk_layernorm: True\n    model_type: qwen3\n", "other-model", 5},
		"deepseek": {"model:\n  model_config:\n    kv_lora_rank: 8\n    architectures: ['DeepseekV3ForCausalLM']\n", "other-model", 4},
		"vision":   {"model:\n  arch: {type: LlavaVlm}\n  model_config: {type: LlavaConfig, vision_model: {arch: {type: X}}, freeze_llm: True}\n", "other-model", 2},
		"r0.6 pet": {"model:\n  arch:\n    type: LlamaForCausalLMWithLora\n    pet:\n      pet_type: adapter\n  model_config: {hidden_size: 8}\n", "other-pet", 5},
		"convert":  {"llama:\n  model_class: 'LlamaForCausalLM'\n  input_path: null\n", "refused", 1},
	} {
		l := refuse(t, x.text)
		if d := has(l, x.code, ""); d == nil || d.Pos.Line != x.line {
			t.Errorf("%s: want %s at line %d:\n%v", name, x.code, x.line, l)
		}
		if has(l, "unknown-key", "") != nil {
			t.Errorf("%s: unknown keys are reported, too: %v", name, l)
		}
	}
}

// A key of another architecture passes where it says what a Llama is.
func TestHarmless(t *testing.T) {
	with := func(key string) string { return edit(minimal, "    vocab_size", "    "+key+"\n    vocab_size") }
	for _, key := range []string{"hidden_act: silu", "gated_linear_unit: True", "hidden_dropout: 0.0", "add_bias_linear: False", "normalization: RMSNorm", "model_type: llama", "num_experts: 1", "kv_lora_rank: 0", "architectures: [LlamaForCausalLM]"} {
		load(t, with(key))
	}
	for _, key := range []string{"hidden_act: gelu", "gated_linear_unit: False", "hidden_dropout: 0.1", "add_bias_linear: True", "normalization: LayerNorm", "num_experts: 4", "kv_lora_rank: 8"} {
		if d := has(refuse(t, with(key)), "refused", strings.Split(key, ":")[0]); d == nil || d.Help == "" {
			t.Errorf("%s: %v", key, d)
		}
	}
}

// A key below a section that takes any is still unknown where one that has an
// effect is plainly meant.
func TestNearMissInOpenSection(t *testing.T) {
	d := has(refuse(t, minimal+"processor: {tokenizer: {vocab_fille: a}}\n"), "unknown-key", "vocab_file")
	if d == nil {
		t.Error("a misspelt vocab_file passes")
	}
	load(t, minimal+"processor: {tokenizer: {whatever: a}}\n")
	llama3 := "    extend_method: LLAMA3\n    scaling_factor: {factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192, high_frequency_factor: 4.0}\n    vocab_size"
	if has(refuse(t, edit(minimal, "    vocab_size", llama3)), "unknown-key", "high_freq_factor") == nil {
		t.Error("a field that the method has not passes")
	}
}

// Every key of the census of public files is accounted for where it stands:
// with its own reason, or, below a section of another model, by it.
func TestCensusWhole(t *testing.T) {
	text, err := os.ReadFile("../../../shared/reference/mindformers-yaml-keys.tsv")
	if err != nil {
		t.Skip("no census of keys beside the repository; TestEras stands in")
	}
	class := regexp.MustCompile(`\{[^}]*\}`)
	count := map[Status]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		key := class.ReplaceAllString(strings.SplitN(line, "\t", 2)[0], "")
		r, ok := lookup(key)
		switch {
		case ok:
			count[r.status]++
		case sections[key] != 0:
		case strings.HasPrefix(key, mc+"scaling_factor."): // each method has fields of its own, see scalings
		case len(foreignNear(key)) > 0:
			count[Unknown]++ // a name of other tools, which is answered with ours
		default:
			t.Errorf("%s stands in public files and in no list", key)
		}
	}
	if count[Used] < 80 || count[Ignored] < 300 || count[Refused] < 200 || count[Unknown] > 12 {
		t.Errorf("the census is classified as %v; has its form changed?", count)
	}
	t.Log(fmt.Sprint(count))
}

// foreignNear is the key of ours that a name of another tool stands for.
func foreignNear(key string) string {
	i := strings.LastIndex(key, ".")
	if ours := otherNames[key[i+1:]]; ours != "" && exact(key[:i+1]+ours) {
		return ours
	}
	return ""
}

// A refused key says why, and after a semicolon the way out.
func TestRefusalsHaveAWayOut(t *testing.T) {
	for _, r := range schema {
		if why, out, ok := strings.Cut(r.why, "; "); r.status == Refused && (!ok || why == "" || out == "") {
			t.Errorf("%s is refused without a way out: %q", r.path, r.why)
		}
	}
}

// The report says which callbacks do nothing.
func TestReportNamesCallbacks(t *testing.T) {
	var b strings.Builder
	load(t, eras["r1.3"]).ReportText(&b)
	for _, want := range []string{"a killed run resumes exactly:\n    callbacks[].{type OnRequestExit, save_ckpt,", "callbacks[].type                              CheckpointMonitor"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func init() {
	// The old form of LoRA.
	everything = append(everything, "lr_schedule: {type: cosine}\nmodel: {arch: {type: LlamaForCausalLMWithLora, pet: {pet_type: lora, pet_config: {lora_rank: 1, lora_alpha: 2, lora_dropout: 0.1}}}, model_config: {batch_size: 8}}\n")
}

// A config without a model is refused for that alone; its keys are not called
// useless.
func TestNoModel(t *testing.T) {
	c, l := CheckBytes("x", []byte("optimizer: {type: AdamW}\npretrained_model_dir: /x\nmodel: {arch: {type: LlamaForCausalLM}}\n"), nil)
	if has(l, "no-model", "") == nil || len(l) != 1 {
		t.Errorf("%v", l)
	}
	for _, k := range c.Keys {
		if k.Status == Ignored && k.Why == "" {
			t.Errorf("%+v", k)
		}
	}
}
