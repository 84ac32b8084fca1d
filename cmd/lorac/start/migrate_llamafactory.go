package start

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/compiler/config"
)

// migrateLlamaFactory translates a YAML of `llamafactory-cli train` (src/llamafactory/hparams,
// and TrainingArguments of transformers), with that program's defaults.
func migrateLlamaFactory(m *Migration) {
	d := m.Draft
	d.LoRA = &LoRA{Rank: 8, Targets: linears}
	d.LR, d.Epochs, d.Batch, d.WarmupRatio, d.Schedule, d.Seed, d.SaveSteps, d.Keep = 5e-5, 3, 8, 0, "LinearWithWarmUpLR", 42, 500, 1000
	d.Optimizer, d.NewTokens, d.Sample, d.TopK, d.TopP, d.Temperature = "AdamW", 1024, true, 50, 0.7, 0.95
	if m.keys["finetuning_type"] != nil && (value{m.keys["finetuning_type"]}).text() == "full" {
		d.LoRA = nil
	}
	m.apply(llamaFactoryModel)
	if d.LoRA != nil {
		m.apply(llamaFactoryLoRA)
		if d.LoRA.Alpha == 0 {
			d.LoRA.Alpha = 2 * float64(d.LoRA.Rank)
		}
		m.apply([]rule{{keys: "use_rslora", to: "pet_config.use_rslora", take: setRoot}})
	} else {
		m.apply([]rule{{keys: "lora_rank lora_alpha lora_dropout lora_target use_rslora use_dora loraplus_lr_ratio pissa_init pissa_iter pissa_convert", why: "all of the base trains"}})
	}
	m.apply(llamaFactoryData)
	m.apply(trainingArguments)
	m.apply(llamaFactoryRest)
	m.perToken()
}

// perToken: since 4.46 the trainer of transformers takes the mean over all tokens of a step.
func (m *Migration) perToken() { m.Draft.PerToken = m.Draft.Accumulation > 1 }

var llamaFactoryModel = []rule{
	{keys: "model_name_or_path", to: "load_checkpoint", take: noted},
	{keys: "stage", to: "trainer.type", take: func(m *Migration, v value) string {
		switch v.text() {
		case "sft":
			return ""
		case "pt":
			m.Draft.Train.Format, m.Draft.Eval.Format = "text", "text"
			return ""
		}
		return "lorac trains sft and pt (texts) alone"
	}},
	{keys: "finetuning_type", to: "pet_config", take: func(m *Migration, v value) string {
		if t := v.text(); t != "lora" && t != "full" {
			return "lora and full are trained; freeze_exclude trains parts of the base"
		}
		return ""
	}},
	{keys: "adapter_name_or_path", refused: "give the adapter when you run: --load_adapter DIR"},
	{keys: "quantization_bit", to: "quant", take: func(m *Migration, v value) string {
		blocks := map[string]string{"8": "int8", "4": "int4"}[v.text()]
		if blocks == "" {
			return "8 and 4 bits are there"
		}
		m.Draft.Quant = blocks
		return ""
	}},
	{keys: "quantization_method quantization_type double_quantization quantization_device_map bnb_4bit_quant_type", why: "lorac's blocks are those of GGUF: docs/quantisation.md"},
	{keys: "rope_scaling", refused: noRope},
	{keys: "shift_attn mixture_of_depths moe_aux_loss_coef train_from_scratch", refused: noExperts},
	{keys: "new_special_tokens add_special_tokens add_tokens", to: addedTokens, take: setTokens},
	{keys: "resize_vocab", to: "vocab_size, pet_config.modules_to_save", take: func(m *Migration, v value) string {
		on, ok := v.truth()
		switch {
		case !ok:
			return "True or False is due"
		case on && m.Draft.LoRA == nil:
			return noTokens
		case on && m.Draft.Quant != "":
			return noBlocks
		case on:
			m.Draft.LoRA.Resize = true
		}
		return ""
	}},
	{keys: "new_special_tokens_config", refused: noTokens},
	{keys: "split_special_tokens", refused: "set processor.tokenizer.special_tokens: text in the file"},
	{keys: "flash_attn use_unsloth use_unsloth_gc enable_liger_kernel use_kv_cache use_kt use_v1_kernels", why: ofSpeed},
	{keys: "low_cpu_mem_usage disable_gradient_checkpointing use_reentrant_gc upcast_layernorm upcast_lmhead_output offload_folder", why: ofMemory},
	{keys: "model_revision cache_dir trust_remote_code hf_hub_token ms_hub_token om_hub_token use_fast_tokenizer hub_model_id push_to_hub hub_token print_param_status infer_backend infer_dtype vllm_maxlen", why: ofHub},
	{keys: "init_special_tokens image_do_pan_and_scan crop_to_patches use_audio_in_video vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank vllm_config sglang_maxlen sglang_mem_fraction sglang_tp_size sglang_config " +
		"sglang_lora_backend kt_cpu_activation kt_weight_path kt_non_expert_weight_path kt_expert_checkpoint_path kt_use_lora_experts kt_lora_expert_num kt_lora_expert_intermediate_size kt_config " +
		"task task_dir batch_size lang n_shot save_dir download_mode", why: ofOther},
	{keys: "compute_dtype device_map model_max_length fp8_enable_fsdp_float8_all_gather", why: ofGPUs},
	{keys: "block_diag_attn", why: "texts of a row do not see each other"},
	{keys: "adapter_folder export_dir export_size export_device export_quantization_bit export_legacy_format export_hub_model_id export_quantization_dataset export_quantization_nsamples export_quantization_maxlen", why: "lorac convert merge exports"},
}

var llamaFactoryLoRA = []rule{
	{keys: "lora_rank", to: "pet_config.lora_rank", take: toInt(1, rank)},
	{keys: "lora_alpha", to: "pet_config.lora_alpha", take: toFloat(alpha)},
	{keys: "lora_dropout", to: "pet_config.lora_dropout", take: toFloat(dropout)},
	{keys: "loraplus_lr_ratio", to: "pet_config.loraplus_lr_ratio", take: setRatio},
	{keys: "use_dora", to: "pet_config.use_dora", take: setDoRA},
	{keys: "pissa_init", to: "pet_config.init_lora_weights", take: func(m *Migration, v value) string {
		if on, ok := v.truth(); !ok {
			return "True or False is due"
		} else if on {
			m.Draft.LoRA.Init = "pissa_niter_16" // its default
		}
		return ""
	}},
	{keys: "pissa_iter", to: "pet_config.init_lora_weights", take: setIterations},
	{keys: "pissa_convert", why: "adapters are always exported for the base as it is"},
	{keys: "lora_target", to: "pet_config.target_modules", take: func(m *Migration, v value) string { return setTargets(m, v.list()) }},
}

var llamaFactoryData = []rule{
	{keys: "cutoff_len", to: "seq_length", take: toInt(2, func(m *Migration) *int { return &m.Draft.SeqLength })},
	{keys: "template", to: "data_loader.prompt", take: setTemplate},
	{keys: "max_samples", to: "data_loader.handler (take)", take: toInt(1, func(m *Migration) *int { return &m.Draft.Train.Take })},
	{keys: "packing neat_packing", to: "data_loader.packing: texts of a row do not see each other, as with neat_packing", take: func(m *Migration, v value) string {
		if on, ok := v.truth(); !ok {
			return "True or False is due"
		} else if on {
			m.Draft.Train.Pack = "pack"
		}
		return ""
	}},
	{keys: "dataset", to: "train_dataset.data_loader.dataset_dir", take: func(m *Migration, v value) string { return setDataset(m, v, &m.Draft.Train) }},
	{keys: "eval_dataset", to: "eval_dataset.data_loader.dataset_dir", take: func(m *Migration, v value) string { return setDataset(m, v, &m.Draft.Eval) }},
	{keys: "dataset_dir", to: "where dataset_info.json is", take: noted},
	{keys: "val_size", refused: noSplit},
	{keys: "train_on_prompt", to: "data_loader.train_on", take: setParts("all", noPromptly)},
	{keys: "mask_history", to: "data_loader.train_on", take: setParts("last", "all answers of a conversation are trained on; weight: 0 in a turn switches its loss off")},
	{keys: "interleave_probs", refused: "data sets are read one after the other; shuffle mixes them"},
	{keys: "mix_strategy", refused: "data sets are read one after the other; shuffle mixes them", fine: []string{"concat"}},
	{keys: "disable_shuffling", to: "data_loader.shuffle", take: func(m *Migration, v value) string {
		on, ok := v.truth()
		if !ok {
			return "True or False is due"
		}
		m.Draft.Train.Shuffle = !on
		return ""
	}},
	{keys: "tool_format default_system enable_thinking preserve_thinking reserved_label_len", refused: "rows say it themselves: docs/data.md", fine: []string{"true", "True"}},
	{keys: "media_dir image_max_pixels image_min_pixels video_max_pixels video_min_pixels video_fps video_maxlen audio_sampling_rate freeze_vision_tower freeze_multi_modal_projector freeze_language_model", why: "lorac trains on text"},
	{keys: "overwrite_cache preprocessing_num_workers preprocessing_batch_size streaming buffer_size tokenized_path data_shared_file_system eval_on_each_dataset ignore_pad_token_for_loss eval_num_beams", why: ofLoading},
}

// templates are names of templates there, and prompts here.
var templates = map[string]string{"alpaca": "alpaca", "vicuna": "vicuna", "empty": "plain", "llama2": "llama2", "llama3": "llama3", "chatml": "chatml", "qwen": "chatml", "qwen2": "chatml"}

// setTemplate takes how questions are put; by the tokenizer's own template where there is
// no other of that name.
func setTemplate(m *Migration, v value) string {
	prompt := templates[v.text()]
	if prompt == "" {
		prompt = "tokenizer"
	}
	if !config.Takes("train_dataset.data_loader.prompt", prompt) {
		return noTemplate
	}
	m.Draft.Train.Prompt, m.Draft.Eval.Prompt = prompt, prompt
	m.Draft.Notes = append(m.Draft.Notes, fmt.Sprintf("prompts are put as data_loader.prompt: %s does, whose words may differ from those of the template %s there: a run shows its first row", prompt, v.text()))
	return ""
}

// setParts is for a switch that trains on other parts of a conversation than each answer.
func setParts(parts, why string) func(*Migration, value) string {
	return func(m *Migration, v value) string {
		on, ok := v.truth()
		switch {
		case !ok:
			return "True or False is due"
		case on && !config.Takes("train_dataset.data_loader.train_on", parts):
			return why
		case on:
			m.Draft.Train.Parts, m.Draft.Eval.Parts = parts, parts
		}
		return ""
	}
}

// setDataset finds data sets by dataset_info.json.
func setDataset(m *Migration, v value, to *Data) string {
	dir := "data"
	if n := m.keys["dataset_dir"]; n != nil {
		dir = value{n}.text()
	}
	dir = m.near(dir)
	text, err := os.ReadFile(filepath.Join(dir, "dataset_info.json"))
	if err != nil {
		m.Draft.Notes = append(m.Draft.Notes, fmt.Sprintf("there is no %s, so the rows of %s are not known: give them as --train_dataset_dir", filepath.Join(dir, "dataset_info.json"), v))
		return ""
	}
	var info map[string]struct {
		File       string            `json:"file_name"`
		Formatting string            `json:"formatting"`
		Ranking    bool              `json:"ranking"`
		Columns    map[string]string `json:"columns"`
		Tags       map[string]string `json:"tags"`
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return fmt.Sprintf("dataset_info.json cannot be read: %v", err)
	}
	var files []string
	for i, name := range v.list() {
		set, ok := info[name]
		switch {
		case !ok || set.File == "":
			return fmt.Sprintf("%q is no file of dataset_info.json: give it as --train_dataset_dir when you run, and leave this key out", name)
		case set.Ranking:
			return fmt.Sprintf("%q holds pairs of chosen and rejected answers", name)
		case len(set.Tags) > 0 && (set.Tags["role_tag"] != "" && set.Tags["role_tag"] != "from" && set.Tags["role_tag"] != "role"):
			return fmt.Sprintf("turns of %q have other keys than from and value, or role and content", name)
		}
		c := Data{Instruction: other(set.Columns["prompt"], "instruction"), Input: other(set.Columns["query"], "input"), Output: other(set.Columns["response"], "output")}
		if set.Formatting == "sharegpt" || m.Draft.Train.Format == "text" {
			c = Data{}
		}
		if i > 0 && (c.Instruction != to.Instruction || c.Input != to.Input || c.Output != to.Output) {
			return "these data sets name their columns in different ways"
		}
		to.Instruction, to.Input, to.Output = c.Instruction, c.Input, c.Output
		files = append(files, filepath.Join(dir, set.File))
	}
	to.Path = strings.Join(files, ",")
	return ""
}

// other is a name that is not the usual one.
func other(name, usual string) string {
	if name == usual {
		return ""
	}
	return name
}

// trainingArguments are those of the trainer of transformers.
var trainingArguments = []rule{
	{keys: "output_dir", to: "output_dir", take: func(m *Migration, v value) string { m.Draft.Out = v.text(); return "" }},
	{keys: "per_device_train_batch_size", to: "runner_config.batch_size", take: toInt(1, func(m *Migration) *int { return &m.Draft.Batch })},
	{keys: "gradient_accumulation_steps", to: "runner_config.gradient_accumulation_steps", take: toInt(1, func(m *Migration) *int { return &m.Draft.Accumulation })},
	{keys: "num_train_epochs", to: "runner_config.epochs", take: setEpochs},
	{keys: "max_steps", to: "--steps, lr_schedule.total_steps", take: setSteps},
	{keys: "learning_rate", to: "lr_schedule.learning_rate", take: toFloat(rate)},
	{keys: "lr_scheduler_type", to: "lr_schedule.type", take: setSchedule},
	{keys: "lr_scheduler_kwargs", to: "lr_schedule", take: setScheduleMore},
	{keys: "warmup_steps", to: "lr_schedule.warmup_steps", take: setWarmupSteps},
	{keys: "warmup_ratio", to: "lr_schedule.warmup_ratio", take: setWarmupRatio},
	{keys: "optim", to: "optimizer.type", take: setOptimizer},
	{keys: "adam_beta1", to: "optimizer.beta1", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Beta1 })},
	{keys: "adam_beta2", to: "optimizer.beta2", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Beta2 })},
	{keys: "adam_epsilon", to: "optimizer.eps", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Eps })},
	{keys: "weight_decay", to: "optimizer.weight_decay", take: toFloat(decay)},
	{keys: "max_grad_norm", to: "runner_wrapper.max_grad_norm", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Clip })},
	{keys: "seed", to: "seed", take: toInt(0, func(m *Migration) *int { return &m.Draft.Seed })},
	{keys: "save_steps", to: "callbacks[].save_checkpoint_steps", take: toInt(1, func(m *Migration) *int { return &m.Draft.SaveSteps })},
	{keys: "save_total_limit", to: "callbacks[].keep_checkpoint_max", take: toInt(1, func(m *Migration) *int { return &m.Draft.Keep })},
	{keys: "eval_steps", to: "eval_step_interval", take: toInt(1, func(m *Migration) *int { return &m.Draft.EvalSteps })},
	{keys: "eval_strategy evaluation_strategy", to: "do_eval", take: func(m *Migration, v value) string {
		d := m.Draft
		switch v.text() {
		case "no":
		case "steps":
			d.DoEval = true
		case "epoch":
			d.DoEval, d.EvalSteps, d.EvalEach = true, -1, 1
		default:
			return "no, steps or epoch is due"
		}
		return ""
	}},
	{keys: "do_train do_eval do_predict predict_with_generate", why: "run_mode says it: --run_mode finetune, eval or predict"},
	{keys: "save_strategy", why: "a run saves every save_checkpoint_steps, and at its end"},
	{keys: "overwrite_output_dir", why: "what an earlier run left is moved aside"},
	{keys: "data_seed", why: "the order of rows follows from seed"},
	{keys: "neftune_noise_alpha", refused: noNoise},
	{keys: "label_smoothing_factor", refused: noSmooth},
	{keys: "early_stopping_steps", to: "early_stopping_patience", take: toInt(1, patience)},
	{keys: "load_best_model_at_end", to: "load_best_model_at_end", take: toBool(loadBest)},
	{keys: "metric_for_best_model greater_is_better", refused: lowest, fine: []string{"loss", "eval_loss"}},
	{keys: "optim_args optim_target_modules", refused: "it has no such part here: docs/training.md"},
	{keys: "full_determinism", why: "a run comes to the same bits each time"},
	{keys: "ignore_data_skip restore_callback_states_from_checkpoint", why: "a resumed run comes to the bits of one that was not stopped"},
	{keys: "use_liger_kernel liger_kernel_config torch_compile_backend torch_compile_mode jit_mode_eval", why: ofSpeed},
	{keys: "generation_config generation_max_length generation_num_beams sortish_sampler", why: "of answers: see max_new_tokens"},
	{keys: "hub_strategy hub_private_repo hub_always_push hub_revision push_to_hub_model_id push_to_hub_organization push_to_hub_token", why: ofHub},
	{keys: "enable_torch_profiler profiler_output_dir profiler_wait_steps profiler_warmup_steps profiler_active_steps profiler_repeat profiler_record_shapes profiler_profile_memory profiler_with_stack profile_modules " +
		"skip_memory_metrics log_level_replica log_on_each_node logging_nan_inf_filter include_for_metrics include_inputs_for_metrics trackio_space_id project", why: ofLogs},
	{keys: "resume_from_checkpoint", refused: noResume},
	{keys: "length_column_name group_by_length", refused: "rows are shuffled, not put in the order of their lengths", fine: []string{"length"}},
	{keys: "dataloader_drop_last", to: "drop_remainder", take: toBool(func(m *Migration) *bool { return &m.Draft.Train.Drop })},
	{keys: "bf16 fp16 tf32 pure_bf16 bf16_full_eval fp16_full_eval fp16_opt_level half_precision_backend use_cpu no_cuda torch_compile torch_empty_cache_steps fp8 fp8_backend", why: ofGPUs},
	{keys: "gradient_checkpointing gradient_checkpointing_kwargs auto_find_batch_size", why: ofMemory},
	{keys: "deepspeed fsdp fsdp_config ddp_timeout ddp_find_unused_parameters ddp_bucket_cap_mb local_rank accelerator_config parallelism_config average_tokens_across_devices split_batches dispatch_batches ddp_backend ddp_broadcast_buffers ray_run_name ray_num_workers ray_init_kwargs master_addr master_port", why: ofCluster},
	{keys: "logging_steps logging_dir logging_strategy logging_first_step report_to run_name plot_loss disable_tqdm log_level include_num_input_tokens_seen use_swanlab swanlab_project include_effective_tokens_per_second", why: ofLogs},
	{keys: "dataloader_num_workers dataloader_pin_memory dataloader_prefetch_factor dataloader_persistent_workers remove_unused_columns", why: ofLoading},
	{keys: "per_device_eval_batch_size eval_accumulation_steps eval_delay prediction_loss_only compute_accuracy batch_eval_metrics eval_on_start eval_do_concat_batches eval_use_gather_object", why: "an evaluation counts each row once, whatever the batch"},
	{keys: "save_only_model save_safetensors save_on_each_node", why: "a run writes checkpoints to resume from, and the adapter as safetensors"},
}

func rate(m *Migration) *float64  { return &m.Draft.LR }
func decay(m *Migration) *float64 { return &m.Draft.Decay }

// setScheduleMore takes what a schedule needs beside its name.
func setScheduleMore(m *Migration, v value) string {
	n := v.node()
	for i := 0; i+1 < len(n.Content); i += 2 {
		x, ok := value{n.Content[i+1]}.number()
		switch key := n.Content[i].Value; {
		case ok && key == "min_lr":
			m.Draft.LREnd = x
		case ok && key == "min_lr_rate":
			m.Draft.LREnd = x * m.Draft.LR
		case ok && key == "num_cycles":
			m.Draft.Cycles = x
		case ok && key == "lr_end":
			m.Draft.LREnd = x
		default:
			return fmt.Sprintf("%s is no part of a schedule here", key)
		}
	}
	return ""
}

var llamaFactoryRest = []rule{
	{keys: "do_sample", to: "do_sample", take: toBool(func(m *Migration) *bool { return &m.Draft.Sample })},
	{keys: "temperature", to: "temperature", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Temperature })},
	{keys: "top_p", to: "top_p", take: toFloat(func(m *Migration) *float64 { return &m.Draft.TopP })},
	{keys: "top_k", to: "top_k", take: toInt(0, func(m *Migration) *int { return &m.Draft.TopK })},
	{keys: "repetition_penalty", to: "repetition_penalty", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Repetition })},
	{keys: "max_new_tokens", to: "max_new_tokens", take: toInt(1, func(m *Migration) *int { return &m.Draft.NewTokens })},
	{keys: "max_length skip_special_tokens length_penalty", why: "of answers: see max_new_tokens"},
	{keys: "num_beams", refused: "answers are sampled or the likeliest token each time, without beams", fine: []string{"1"}},
	{keys: "additional_target", to: "pet_config.modules_to_save", take: setModules},
	{keys: "loraplus_lr_embedding create_new_adapter", why: ofOther},
	{keys: "use_galore use_apollo use_badam use_adam_mini use_muon use_llama_pro use_dft_loss use_asft_loss use_eaft_loss", refused: "lorac has no such training"},
	{keys: "use_mca use_megatron_bridge megatron_bridge_args use_hyper_parallel hyper_parallel_args hyper_parallel_cp_size", why: ofCluster},
	{keys: "swanlab_workspace swanlab_run_name swanlab_mode swanlab_api_key swanlab_logdir swanlab_lark_webhook_url swanlab_lark_secret", why: ofLogs},
	{keys: "module_dropout oft_rank oft_block_size oft_target ppo_whiten_rewards ref_model_adapters ref_model_quantization_bit reward_model_adapters reward_model_quantization_bit ld_alpha galore_proj_type galore_layerwise " +
		"apollo_target apollo_rank apollo_update_interval apollo_scale apollo_proj apollo_proj_type apollo_scale_type apollo_layerwise apollo_scale_front badam_start_block badam_switch_mode badam_update_ratio badam_mask_mode badam_verbose " +
		"asft_alpha eaft_alpha", why: ofOther},
	{keys: "pref_beta pref_loss pref_ftx pref_bco_weight ref_model reward_model kto_chosen_weight kto_rejected_weight dpo_label_smoothing simpo_gamma ppo_epochs ppo_buffer_size ppo_target ppo_score_norm reward_model_type " +
		"freeze_trainable_layers freeze_trainable_modules freeze_extra_modules galore_target galore_rank galore_update_interval galore_scale badam_mode badam_switch_interval", why: ofOther},
}
