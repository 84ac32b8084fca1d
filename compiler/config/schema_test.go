package config

import (
	"strings"
	"testing"
)

func TestSchemaIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range schema {
		if seen[r.path] {
			t.Errorf("%s has two rows", r.path)
		}
		seen[r.path] = true
		if r.status != Used && r.why == "" {
			t.Errorf("%s is %s without a reason", r.path, r.status)
		}
		if strings.ContainsAny(r.path, "{}") || strings.HasPrefix(r.path, "DATASET") {
			t.Errorf("%s was not expanded", r.path)
		}
		if r.why != strings.TrimSpace(r.why) || strings.HasSuffix(r.why, ".") {
			t.Errorf("%s: a reason is no sentence: %q", r.path, r.why)
		}
		if got, ok := lookup(strings.Replace(r.path, ".*", ".anything.below", 1)); !ok || got.status != r.status {
			t.Errorf("%s is looked up as %v", r.path, got)
		}
	}
	for ours, theirs := range map[string]string{"eval_dataset.data_loader.shuffle": "", "callbacks[].whatever": "", "context.mode": "", "train_dataset_task.dataset_config.batch_size": ""} {
		if _, ok := lookup(ours); !ok {
			t.Errorf("%s%s is unknown", ours, theirs)
		}
	}
	for _, path := range []string{"", "model", "model.model_config.lora_rank", "contextual", "parallel_config.x", "trainer"} {
		if r, ok := lookup(path); ok {
			t.Errorf("%q is known as %v", path, r)
		}
	}
}

// everything gives every key a value; the variants give values to the keys
// that exclude each other.
var everything = []string{
	minimal + `base_config: ""
load_checkpoint: a
resume_training: False
auto_trans_ckpt: True
src_strategy_path_or_dir: a
do_eval: True
context: {device_target: Ascend, device_id: 1}
quant: int8
compute: int8
check_for_nan_in_loss_and_grad: True
eval_step_interval: 5
eval_epoch_interval: 2
early_stopping_patience: 3
early_stopping_threshold: 0.01
load_best_model_at_end: True
metric: [{type: PerplexityMetric}]
input_data: [a]
use_parallel: True
parallel: {parallel_mode: 1, full_batch: True, enable_parallel_optimizer: True}
parallel_config: {data_parallel: 2, model_parallel: 1, pipeline_stage: 2, context_parallel: 1, micro_batch_num: 2, vocab_emb_dp: False, use_seq_parallel: True}
save_ranks: True
units: 2
micro_batch_interleave_num: 1
devices: 4
calculate_per_token_loss: False
trainer: {type: CausalLanguageModelingTrainer}
moe_config: {expert_num: 1}
processor: {tokenizer: {vocab_file: a, special_tokens: text, add_bos_token: False, add_eos_token: True}}
eval_dataset:
  data_loader: {dataset_dir: a, shuffle: False, format: auto, prompt: vicuna, train_on: last}
  drop_remainder: False
  repeat: 1
callbacks:
  - {type: CheckpointMonitor, prefix: a, save_checkpoint_steps: 0, save_checkpoint_seconds: 5, keep_checkpoint_max: 1, checkpoint_format: ckpt, save_network_params: True, save_trainable_params: True}
  - {type: MFLossMonitor, per_print_times: 2}
max_length: 1
top_k: 1
top_p: 1
do_sample: False
temperature: 1
repetition_penalty: 1
`,
	"use_parallel: True\nsave_ranks: True\nparallel_config: {pipeline_stage: 2, micro_batch_num: 2}\nmodel: {model_config: {offset: [1, 0]}}\n",
	minimal + "lr_scale: True\nlr_scale_factor: 256\n",
	minimal + "use_parallel: True\ndevices: 2\nshard_by: stride\nparallel: {parallel_mode: 0, gradients_mean: False}\n",
	`runner_config: {sink_mode: True, sink_size: 2, gradient_accumulation_steps: 1}
optimizer: {type: AdamW, beta1: 0.9, beta2: 0.9, eps: 1.e-8, learning_rate: 1.e-3, weight_decay: 0}
lr_schedule: {type: polynomial, power: 2.0, lr_end: 0.0, decay_steps: 5, warmup_steps: 1, warmup_lr_init: 0, total_steps: 9}
train_dataset:
  batch_size: 3
  drop_remainder: True
  repeat: 1
  data_loader: {type: CommonDataLoader, num_samples: 5, packing: pack, handler: [{type: take, n: 3}, {type: AlpacaInstructDataHandler, seq_length: 6, instruction_key: a, input_key: b, output_key: c}, {type: PackingHandler, pack_strategy: truncate}], dataset_files: [a], format: text, prompt: plain, train_on: all, split: test}
  eod_reset: True
  eod_token_id: 2
  input_columns: [input_ids, labels]
eval_dataset:
  data_loader: {type: CommonDataLoader, num_samples: 5, packing: pack, handler: [{type: take, n: 3}, {type: AlpacaInstructDataHandler, seq_length: 6, instruction_key: a, input_key: b, output_key: c}, {type: PackingHandler, pack_strategy: truncate}], dataset_files: [b], split: test}
  eod_reset: True
  eod_token_id: 2
  input_columns: [input_ids]
runner_wrapper: {type: MFTrainOneStepCell}
model:
  model_config:
    ffn_dim_multiplier: 1.0
    max_position_embedding: 4096
    rms_norm_eps: 1.e-5
    bos_token_id: 1
    eos_token_id: 2
    pad_token_id: 0
    ignore_token_id: -100
    theta: 10000
    extend_method: PI
    scaling_factor: 2
    param_init_type: float32
    qkv_concat: False
    qkv_has_bias: False
    attn_proj_has_bias: False
    mlp_has_bias: False
    has_bias: False
    tie_word_embeddings: False
    checkpoint_name_or_path: a/b
    max_decode_length: 5
    max_new_tokens: 3
    min_length: 1
    min_new_tokens: 1
    num_beams: 1
    repetition_penalty: 1
    top_k: 1
    top_p: 1
    temperature: 1
    do_sample: False
    pet_config: {target_modules: wq, exclude_layers: [wk], freeze_include: ['*x'], freeze_exclude: ['*y'], use_rslora: True, loraplus_lr_ratio: 2, layers_to_transform: [0], init_lora_weights: gaussian, use_dora: True, modules_to_save: [embed_tokens, lm_head], ensure_weight_tying: True, added_tokens: [x], rank_pattern: {wq: 3}, alpha_pattern: {wq: 3}}
`,
	"train_dataset: {data_loader: {path: json, data_files: a.json}}\neval_dataset: {data_loader: {path: json, data_files: [b.json]}}\nmodel: {model_config: {batch_size: 8}}\n",
	"runner_wrapper: {scale_sense: 2.0}\noptimizer: {type: SGD, momentum: 0.5, dampening: 0.0, nesterov: True}\nlr_schedule: {type: ConstantWithCoolDownLR, learning_rate: 0.1, keep_steps: 1, final_steps: 1, lr_end1: 0, lr_end2: 0}\nmodel: {model_config: {batch_size: 8}}\n",
	"runner_wrapper: {scale_sense: {type: AdaptiveLossScaleUpdateCell, loss_scale_value: 8, scale_factor: 2, scale_window: 20, max_scale_window: 30, min_scale_window: 20}}\noptimizer: {type: Adam, use_nesterov: True}\nlr_schedule: {type: WarmUpStableDecayLR, learning_rate: 0.1, decay_start_steps: 1}\nmodel: {model_config: {batch_size: 8}}\n",
	"optimizer: {type: Adagrad, accum: 0.1}\nlr_schedule: {type: WarmUpStableDecayLR, learning_rate: 0.1, decay_start_ratio: 0.5}\nmodel: {model_config: {batch_size: 8}}\n",
	"optimizer: {type: Came, beta3: 0.9, clip_threshold: 1, decay_rate: 0.5, scale_parameter: True, relative_step: False, warmup_init: False}\nlr_schedule: {type: cosine, learning_rate: 0.1, decay_ratio: 0.5}\nmodel: {model_config: {batch_size: 8}}\n",
	"lr_schedule: {type: cosine_annealing, base_lr: 0.1, t_max: 2, eta_min: 0}\nmodel: {model_config: {intermediate_size: 8, max_length: 4}}\n",
	"lr_schedule: {type: CosineAnnealingWarmRestarts, base_lr: 0.1, t_0: 2, t_mult: 1}\nmodel: {model_config: {batch_size: 8}}\n",
	"lr_schedule: {type: cosine, learning_rate: 0.1, num_cycles: 0.5, warmup_epochs: 1}\nmodel: {model_config: {batch_size: 8}}\n",
}

// Every used key of the schema is read by the loader for one of these configs, and
// every key that is read is in the schema.
func TestUsedMeansRead(t *testing.T) {
	used := map[string]bool{}
	for _, text := range everything {
		c := load(t, text)
		for _, k := range c.Keys {
			if k.Status == Used {
				used[k.Path] = true
			}
		}
		for _, d := range c.Defaults {
			if r, ok := lookup(d.Path); !ok || r.status != Used || !exact(d.Path) && !strings.HasPrefix(d.Path, mc+"scaling_factor.") {
				t.Errorf("the loader reads %s, which the schema has as %q", d.Path, r.status)
			}
		}
	}
	for _, r := range schema {
		if r.status == Used && !used[r.path] && r.path != "base_config" {
			t.Errorf("%s is called used, but no config here makes the loader read it", r.path)
		}
	}
}
