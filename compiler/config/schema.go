package config

import "strings"

// row is one key the loader knows. A path ending in ".*" stands for everything
// below it; callbacks[] is an element of the list.
type row struct {
	path   string
	status Status
	why    string // for keys without effect, and refused ones
}

const (
	ascend   = "concerns the Ascend runtime"
	parallel = "concerns a cluster of devices; one process runs here"
	ms       = "concerns MindSpore's data engine"
	infer    = "concerns inference servers"
	tuning   = "MindSpore autotuning and profiling; see `lorac bench`"
	aicc     = "concerns Huawei's cloud platform"
	vision   = "layer-wise rates exist for vision models only"
)

// schema is every key lorac accounts for, once. It follows MindFormers r0.8 to
// r1.5 for the Llama family.
var schema = expand([]row{
	{"base_config", Used, ""},
	{"seed", Used, ""},
	{"output_dir", Used, ""},
	{"load_checkpoint", Used, ""},
	{"load_ckpt_format", Ignored, "the format is read from the file"},
	{"pretrained_model_dir", Ignored, "give load_checkpoint"},
	{"src_strategy_path_or_dir", Ignored, parallel},
	{"auto_trans_ckpt", Ignored, parallel},
	{"transform_process_num", Ignored, parallel},
	{"transform_by_rank", Ignored, parallel},
	{"only_save_strategy", Ignored, parallel},
	{"npu_num_per_node", Ignored, parallel},
	{"resume_training", Used, ""},
	{"resume_by_last_timestamp_ckpt", Ignored, "resuming takes the newest good checkpoint"},
	{"ignore_data_skip", Ignored, "resuming is exact, data position included"},
	{"data_skip_steps", Ignored, "resuming is exact, data position included"},
	{"run_mode", Used, ""},
	{"do_eval", Used, ""},
	{"eval_step_interval", Used, ""},
	{"eval_epoch_interval", Ignored, "evaluation goes by steps"},
	{"use_parallel", Used, ""},
	{"calculate_per_token_loss", Used, ""},
	{"check_for_nan_in_loss_and_grad", Ignored, "a loss that is not finite always ends the run"},
	{"use_legacy", Ignored, "there is one model implementation"},
	{"use_graceful_exit", Ignored, "a killed run resumes exactly"},
	{"exclude_cann_cpu", Ignored, ascend},
	{"train_precision_sync", Ignored, ascend},
	{"infer_precision_sync", Ignored, ascend},
	{"postprocess_use_numpy", Ignored, infer},
	{"kernel_launch_group.*", Ignored, ascend},
	{"print_separate_loss", Ignored, "there is one loss"},
	{"input_data", Ignored, "give --predict_data"},
	{"predict_batch_size", Ignored, "prompts run one by one"},
	{"adapter_id", Ignored, "give --load_adapter"},

	{"trainer.type", Used, ""},
	{"trainer.model_name", Ignored, "a name for logs"},

	{"runner_config.epochs", Used, ""},
	{"runner_config.batch_size", Used, ""},
	{"runner_config.sink_mode", Used, ""},
	{"runner_config.sink_size", Used, ""},
	{"runner_config.gradient_accumulation_steps", Used, ""},
	{"runner_config.num_classes", Ignored, "concerns vision models"},
	{"runner_config.image_size", Ignored, "concerns vision models"},
	{"runner_config.initial_epoch", Ignored, "resuming sets it"},
	{"runner_config.initial_step", Ignored, "resuming sets it"},
	{"runner_config.has_trained_epoches", Ignored, "resuming sets it"},
	{"runner_config.has_trained_steps", Ignored, "resuming sets it"},
	{"runner_config.stop_step", Ignored, "has no effect in MindFormers r1.3; use --steps"},

	{"optimizer.type", Used, ""},
	{"optimizer.beta1", Used, ""},
	{"optimizer.beta2", Used, ""},
	{"optimizer.betas", Used, ""},
	{"optimizer.eps", Used, ""},
	{"optimizer.learning_rate", Used, ""},
	{"optimizer.weight_decay", Used, ""},
	{"optimizer.swap", Ignored, ascend},

	{"lr_schedule.type", Used, ""},
	{"lr_schedule.learning_rate", Used, ""},
	{"lr_schedule.base_lr", Used, ""},
	{"lr_schedule.lr_end", Used, ""},
	{"lr_schedule.warmup_lr_init", Used, ""},
	{"lr_schedule.warmup_ratio", Used, ""},
	{"lr_schedule.warmup_steps", Used, ""},
	{"lr_schedule.warmup_epochs", Used, ""},
	{"lr_schedule.total_steps", Used, ""},
	{"lr_schedule.decay_steps", Used, ""},
	{"lr_schedule.num_cycles", Used, ""},
	{"lr_schedule.power", Used, ""},
	{"lr_schedule.t_max", Used, ""},
	{"lr_schedule.t_0", Used, ""},
	{"lr_schedule.t_mult", Used, ""},
	{"lr_schedule.eta_min", Used, ""},
	{"lr_scale", Refused, "scaling the rate by the device count hides what the rate is; write the rate itself"},
	{"lr_scale_factor", Ignored, "acts with lr_scale only"},
	{"layer_scale", Ignored, vision},
	{"layer_decay", Ignored, vision},

	{"DATASET.data_loader.type", Used, ""},
	{"DATASET.data_loader.dataset_dir", Used, ""},
	{"DATASET.data_loader.dataset_files", Used, ""},
	{"DATASET.data_loader.shuffle", Used, ""},
	{"DATASET.data_loader.num_samples", Ignored, "all rows are read; use --steps"},
	{"DATASET.data_loader.handler.*", Ignored, "the format of the rows is recognised"},
	{"DATASET.data_loader.format", Used, ""},
	{"DATASET.data_loader.prompt", Used, ""},
	{"DATASET.tokenizer.*", Ignored, "processor.tokenizer is used"},
	{"DATASET.input_columns", Used, ""},
	{"DATASET.output_columns", Ignored, "the columns are input_ids and labels"},
	{"DATASET.column_order", Ignored, "the columns are input_ids and labels"},
	{"DATASET.num_parallel_workers", Ignored, ms},
	{"DATASET.python_multiprocessing", Ignored, ms},
	{"DATASET.drop_remainder", Used, ""},
	{"DATASET.batch_size", Used, ""},
	{"DATASET.repeat", Used, ""},
	{"DATASET.numa_enable", Ignored, ms},
	{"DATASET.prefetch_size", Ignored, ms},
	{"DATASET.seed", Ignored, "the seed at the top is used"},
	{"DATASET.do_eval", Ignored, ms},
	{"DATASET.auto_tune", Ignored, tuning},
	{"DATASET.filepath_prefix", Ignored, tuning},
	{"DATASET.autotune_per_step", Ignored, tuning},
	{"DATASET.profile", Ignored, tuning},
	{"DATASET.dynamic_batch", Ignored, "rows are never padded, so batches may be of any length"},
	{"DATASET.divisor", Ignored, "rows are never padded"},
	{"DATASET.remainder", Ignored, "rows are never padded"},
	{"DATASET.pad_token_id", Ignored, "rows are never padded"},
	{"DATASET.eod_reset", Refused, "resetting attention at document ends is not built yet; give one document a row"},
	{"DATASET.eod_token_id", Ignored, "acts with eod_reset only"},
	{"DATASET_task.type", Used, ""},
	{"DATASET_task.dataset_config.*", Ignored, "repeats the data set's own section"},

	{"parallel.*", Ignored, parallel},
	{"parallel_config.data_parallel", Used, ""},
	{"parallel_config.model_parallel", Used, ""},
	{"parallel_config.pipeline_stage", Used, ""},
	{"parallel_config.*", Ignored, parallel},
	{"micro_batch_interleave_num", Ignored, parallel},
	{"recompute_config.*", Ignored, "the compiler decides what is kept and what is rebuilt"},
	{"swap_config.*", Ignored, ascend},
	{"moe_config.expert_num", Used, ""},
	{"moe_config.*", Ignored, "acts with more than one expert only"},
	{"monitor_config.*", Ignored, "metrics.jsonl is always written"},
	{"tensorboard.*", Ignored, "metrics.jsonl is always written"},

	{"callbacks[].type", Used, ""},
	{"callbacks[].prefix", Used, ""},
	{"callbacks[].save_checkpoint_steps", Used, ""},
	{"callbacks[].keep_checkpoint_max", Used, ""},
	{"callbacks[].*", Ignored, "checkpoints hold everything and are written in one piece"},
	{"eval_callbacks.*", Ignored, "evaluation prints its result"},
	{"context.*", Ignored, ascend},

	{"model.arch.type", Used, ""},
	{"model.arch.auto_register", Used, ""},
	{"model.model_config.type", Used, ""},
	{"model.model_config.auto_register", Used, ""},
	{"model.model_config.batch_size", Used, ""},
	{"model.model_config.seq_length", Used, ""},
	{"model.model_config.hidden_size", Used, ""},
	{"model.model_config.num_layers", Used, ""},
	{"model.model_config.num_heads", Used, ""},
	{"model.model_config.n_kv_heads", Used, ""},
	{"model.model_config.max_position_embedding", Used, ""},
	{"model.model_config.vocab_size", Used, ""},
	{"model.model_config.multiple_of", Used, ""},
	{"model.model_config.ffn_dim_multiplier", Used, ""},
	{"model.model_config.intermediate_size", Used, ""},
	{"model.model_config.rms_norm_eps", Used, ""},
	{"model.model_config.bos_token_id", Used, ""},
	{"model.model_config.eos_token_id", Used, ""},
	{"model.model_config.pad_token_id", Used, ""},
	{"model.model_config.ignore_token_id", Used, ""},
	{"model.model_config.theta", Used, ""},
	{"model.model_config.extend_method", Used, ""},
	{"model.model_config.scaling_factor", Used, ""},
	{"model.model_config.scaling_factor.*", Used, ""},
	{"model.model_config.is_dynamic", Ignored, infer},
	{"model.model_config.compute_dtype", Used, ""},
	{"model.model_config.param_init_type", Used, ""},
	{"model.model_config.embedding_init_type", Ignored, "frozen weights keep the type of the file, trained ones are f32"},
	{"model.model_config.layernorm_compute_type", Ignored, "arithmetic on a CPU is f32"},
	{"model.model_config.layernorm_compute_dtype", Ignored, "arithmetic on a CPU is f32"},
	{"model.model_config.softmax_compute_type", Ignored, "arithmetic on a CPU is f32"},
	{"model.model_config.softmax_compute_dtype", Ignored, "arithmetic on a CPU is f32"},
	{"model.model_config.rotary_dtype", Ignored, "arithmetic on a CPU is f32"},
	{"model.model_config.qkv_concat", Used, ""},
	{"model.model_config.qkv_has_bias", Used, ""},
	{"model.model_config.has_bias", Used, ""},
	{"model.model_config.tie_word_embeddings", Used, ""},
	{"model.model_config.use_past", Ignored, "training never uses it, prediction decides itself"},
	{"model.model_config.use_past_shard", Ignored, parallel},
	{"model.model_config.use_flash_attention", Ignored, "attention never stores its scores"},
	{"model.model_config.use_attn_mask_compression", Ignored, "attention stores no mask"},
	{"model.model_config.use_ring_attention", Ignored, parallel},
	{"model.model_config.use_rope_slice", Ignored, "an equal form of the rotary embedding"},
	{"model.model_config.fused_rms_norm", Ignored, "an equal form of the norm"},
	{"model.model_config.rmsnorm_compute_2d", Ignored, "an equal form of the norm"},
	{"model.model_config.parallel_optimizer", Ignored, parallel},
	{"model.model_config.fine_grain_interleave", Ignored, parallel},
	{"model.model_config.pp_interleave_num", Ignored, parallel},
	{"model.model_config.offset", Ignored, parallel},
	{"model.model_config.compute_in_2d", Ignored, ascend},
	{"model.model_config.pretrain_seqlen", Ignored, "seq_length is used"},
	{"model.model_config.checkpoint_name_or_path", Used, ""},
	{"model.model_config.repetition_penalty", Used, ""},
	{"model.model_config.max_decode_length", Used, ""},
	{"model.model_config.max_length", Used, ""},
	{"model.model_config.top_k", Used, ""},
	{"model.model_config.top_p", Used, ""},
	{"model.model_config.temperature", Used, ""},
	{"model.model_config.do_sample", Used, ""},
	{"model.model_config.block_size", Ignored, infer},
	{"model.model_config.num_blocks", Ignored, infer},
	{"model.model_config.llm_backend", Ignored, infer},
	{"model.model_config.quant_config.*", Refused, "quantised MindSpore models are not supported"},
	{"model.model_config.parallel_decoding_params.*", Ignored, infer},
	{"model.model_config.pet_config.pet_type", Used, ""},
	{"model.model_config.pet_config.lora_rank", Used, ""},
	{"model.model_config.pet_config.lora_alpha", Used, ""},
	{"model.model_config.pet_config.lora_dropout", Used, ""},
	{"model.model_config.pet_config.lora_a_init", Ignored, "MindFormers ignores it too: A is uniform in ±1/√in"},
	{"model.model_config.pet_config.lora_b_init", Ignored, "MindFormers ignores it too: B is zero"},
	{"model.model_config.pet_config.param_init_type", Ignored, "adapters are f32"},
	{"model.model_config.pet_config.compute_dtype", Ignored, "arithmetic on a CPU is f32"},
	{"model.model_config.pet_config.target_modules", Used, ""},
	{"model.model_config.pet_config.exclude_layers", Used, ""},
	{"model.model_config.pet_config.freeze_include", Used, ""},
	{"model.model_config.pet_config.freeze_exclude", Used, ""},

	{"processor.return_tensors", Ignored, "concerns MindSpore tensors"},
	{"processor.tokenizer.vocab_file", Used, ""},
	{"processor.tokenizer.*", Ignored, "the tokenizer's own file says it"},
	{"processor.*", Ignored, "the tokenizer's own file says it"},
	{"metric.*", Ignored, "loss and perplexity are reported"},
	{"runner_wrapper.type", Used, ""},
	{"runner_wrapper.use_clip_grad", Used, ""},
	{"runner_wrapper.max_grad_norm", Used, ""},
	{"runner_wrapper.scale_sense", Ignored, "f32 gradients need no loss scale"},
	{"runner_wrapper.scale_sense.*", Ignored, "f32 gradients need no loss scale"},
	{"runner_wrapper.*", Ignored, "f32 gradients do not overflow; a loss that is not finite ends the run"},

	{"auto_tune", Ignored, tuning},
	{"filepath_prefix", Ignored, tuning},
	{"autotune_per_step", Ignored, tuning},
	{"autotune.*", Ignored, tuning},
	{"profile", Ignored, tuning},
	{"profile_start_step", Ignored, tuning},
	{"profile_stop_step", Ignored, tuning},
	{"profile_communication", Ignored, tuning},
	{"profile_memory", Ignored, tuning},
	{"profile_rank_ids", Ignored, tuning},
	{"profile_pipeline", Ignored, tuning},
	{"profiler_level", Ignored, tuning},
	{"profile_level", Ignored, tuning},
	{"init_start_profile", Ignored, tuning},
	{"mstx", Ignored, tuning},
	{"remote_save_url", Ignored, aicc},

	{"seq_length", Ignored, "model_config.seq_length is used"},
	{"max_length", Used, ""},
	{"top_k", Used, ""},
	{"top_p", Used, ""},
	{"do_sample", Used, ""},
	{"temperature", Used, ""},
	{"repetition_penalty", Used, ""},
	{"infer.*", Ignored, infer},
})

// expand writes the rows of a data set out for both of them.
func expand(rows []row) []row {
	var out []row
	for _, r := range rows {
		if rest, ok := strings.CutPrefix(r.path, "DATASET"); ok {
			out = append(out, row{"train_dataset" + rest, r.status, r.why}, row{"eval_dataset" + rest, r.status, r.why})
			continue
		}
		out = append(out, r)
	}
	return out
}

// lookup finds the row of a path: itself, or the nearest ".*" above it.
func lookup(path string) (row, bool) {
	for _, r := range schema {
		if r.path == path {
			return r, true
		}
	}
	best := row{}
	for _, r := range schema {
		if prefix, ok := strings.CutSuffix(r.path, ".*"); ok && (path == prefix || strings.HasPrefix(path, prefix+".") || strings.HasPrefix(path, prefix+"[")) && len(prefix) > len(best.path) {
			best = row{prefix, r.status, r.why}
		}
	}
	return best, best.path != ""
}

// section reports whether keys below the path are known one by one.
func section(path string) bool {
	for _, r := range schema {
		if strings.HasPrefix(r.path, path+".") && r.path != path+".*" || strings.HasPrefix(r.path, path+"[].") {
			return true
		}
	}
	return false
}

// siblings lists the keys allowed directly below a path.
func siblings(path string) []string {
	prefix := path + "."
	if path == "" {
		prefix = ""
	}
	seen := map[string]bool{}
	var out []string
	for _, r := range schema {
		rest, ok := strings.CutPrefix(r.path, prefix)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		name = strings.TrimSuffix(name, "[]")
		if name != "*" && name != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}
