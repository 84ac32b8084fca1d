package start

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/compiler/config"
)

// migrateAxolotl translates a YAML of `axolotl train` (src/axolotl/utils/schemas), with that
// program's defaults.
func migrateAxolotl(m *Migration) {
	d := m.Draft
	d.LoRA = &LoRA{Rank: 8, Alpha: 8}
	d.Head = append(d.Head, "Rows longer than seq_length are truncated, and counted; Axolotl leaves them out.")
	if m.keys["warmup_steps"] != nil || m.keys["warmup_ratio"] != nil {
		d.WarmupRatio = 0
	}
	d.SeqLength, d.LR, d.Epochs, d.Batch, d.Seed, d.SaveSteps, d.Keep = 512, 2e-4, 1, 1, 42, 500, 1000
	switch (value{m.keys["adapter"]}).text() {
	case "":
		d.LoRA = nil
	case "qlora":
		d.Quant = "int4"
	}
	m.apply(axolotlModel)
	if d.LoRA != nil {
		m.apply(axolotlLoRA)
	} else {
		m.apply([]rule{{keys: "lora_r lora_alpha lora_dropout lora_target_modules lora_target_linear peft_use_rslora peft_use_dora peft_layers_to_transform lora_model_dir loraplus_lr_ratio", why: "all of the base trains"}})
	}
	m.apply(axolotlTraining)
	if n := m.keys["datasets"]; n != nil {
		delete(m.keys, "datasets")
		m.axolotlSets("datasets", n, &d.Train)
	}
	if n := m.keys["test_datasets"]; n != nil {
		delete(m.keys, "test_datasets")
		m.axolotlSets("test_datasets", n, &d.Eval)
	}
	m.apply(axolotlRest)
	m.apply(trainingArguments) // whose names it takes, too
	m.perToken()
}

var axolotlModel = []rule{
	{keys: "base_model", to: "load_checkpoint", take: noted},
	{keys: "adapter", to: "pet_config", take: func(m *Migration, v value) string {
		if t := v.text(); t != "lora" && t != "qlora" {
			return "lora and qlora are translated"
		}
		return ""
	}},
	{keys: "load_in_8bit", to: "quant", take: setBlocks("int8")},
	{keys: "load_in_4bit", to: "quant", take: setBlocks("int4")},
	{keys: "reinit_weights use_onebitllms", refused: noExperts},
	{keys: "model_quantization_config model_quantization_config_kwargs quantization bnb_config_kwargs gptq_groupsize gptq_model_v1 gptq gptq_disable_exllama lora_on_cpu", why: "lorac's blocks are those of GGUF: docs/quantisation.md"},
	{keys: "model_type tokenizer_type is_llama_derived_model is_mistral_derived_model is_falcon_derived_model is_qwen_derived_model base_model_config processor_type type_of_model cls_model_config", why: "what the base is, its own files say"},
	{keys: "experimental_skip_move_to_device embeddings_skip_upcast max_memory torch_dtype", why: ofGPUs},
	{keys: "use_kernels processor_kwargs experts_implementation quantize_moe_experts llama4_linearized_experts freeze_mm_modules image_size image_resize_algorithm", why: ofOther},
	{keys: "tokenizer_config tokenizer_use_fast tokenizer_legacy tokenizer_save_jinja_files tokenizer_use_mistral_common", why: ofTokenizer},
	{keys: "overrides_of_model_config overrides_of_model_kwargs", refused: noRope},
	{keys: "tokens", to: addedTokens, take: setTokens},
	{keys: "mean_resizing_embeddings", why: "rows that are added start as the mean of the others"},
	{keys: "resize_token_embeddings_to_32x shrink_embeddings added_tokens_overrides fix_untrained_tokens", refused: noTokens},
	{keys: "special_tokens", to: "pad_token_id", take: setSpecial},
	{keys: "trust_remote_code strict model_revision revision_of_model hf_use_auth_token hub_model_id hub_strategy hub_revision push_dataset_to_hub cloud_config use_ray", why: ofHub},
}

var axolotlLoRA = []rule{
	{keys: "lora_r", to: "pet_config.lora_rank", take: toInt(1, rank)},
	{keys: "lora_alpha", to: "pet_config.lora_alpha", take: toFloat(alpha)},
	{keys: "peft_use_rslora", to: "pet_config.use_rslora", take: setRoot},
	{keys: "lora_dropout", to: "pet_config.lora_dropout", take: toFloat(dropout)},
	{keys: "lora_target_modules", to: "pet_config.target_modules", take: func(m *Migration, v value) string { return setTargets(m, v.list()) }},
	{keys: "lora_target_linear", to: "pet_config.target_modules", take: func(m *Migration, v value) string {
		if on, ok := v.truth(); !ok {
			return "True or False is due"
		} else if on {
			m.Draft.LoRA.Targets = linears
		}
		return ""
	}},
	{keys: "peft_layers_to_transform", to: "pet_config.exclude_layers", take: setLayers},
	{keys: "lora_model_dir", refused: "give the adapter when you run: --load_adapter DIR"},
	{keys: "lora_fan_in_fan_out", refused: "a Llama's linears are not transposed"},
	{keys: "lora_modules_to_save", to: "pet_config.modules_to_save", take: setModules},
	{keys: "peft_ensure_weight_tying", to: "pet_config.ensure_weight_tying", take: setTying},
	{keys: "peft_trainable_token_indices", refused: noRows},
	{keys: "lora_rank_pattern lora_alpha_pattern", refused: "a config has one rank and one alpha; --load_adapter continues an adapter with several"},
	{keys: "lora_target_parameters peft_layer_replication", refused: noExperts},
	{keys: "qlora_sharded_model_loading merge_lora merge_method", why: ofPrograms},
	{keys: "peft_use_dora", to: "pet_config.use_dora", take: setDoRA},
	{keys: "peft_init_lora_weights", to: "pet_config.init_lora_weights", take: setInit},
	{keys: "loftq", refused: noInit},
	{keys: "loraplus_lr_ratio", to: "pet_config.loraplus_lr_ratio", take: setRatio},
	{keys: "loraplus_lr_embedding peft peft_layers_pattern peft_autocast_adapter_dtype lora_out_dir", why: ofOther},
	{keys: "lora_mlp_kernel lora_qkv_kernel lora_o_kernel lora_embedding_kernel", why: ofSpeed},
}

var axolotlTraining = []rule{
	{keys: "sequence_len", to: "seq_length", take: toInt(2, func(m *Migration) *int { return &m.Draft.SeqLength })},
	{keys: "micro_batch_size", to: "runner_config.batch_size", take: toInt(1, func(m *Migration) *int { return &m.Draft.Batch })},
	{keys: "num_epochs", to: "runner_config.epochs", take: setEpochs},
	{keys: "optimizer", to: "optimizer.type", take: setOptimizer},
	{keys: "learning_rate", to: "lr_schedule.learning_rate", take: toFloat(rate)},
	{keys: "adam_eps", to: "optimizer.eps", take: toFloat(func(m *Migration) *float64 { return &m.Draft.Eps })},
	{keys: "lr_scheduler", to: "lr_schedule.type", take: setSchedule},
	{keys: "cosine_min_lr_ratio", to: "lr_schedule.lr_end", take: func(m *Migration, v value) string {
		x, ok := v.number()
		if !ok || x < 0 || x > 1 {
			return "a share from 0 to 1 is due"
		}
		m.Draft.LREnd = x * m.Draft.LR
		return ""
	}},
	{keys: "sample_packing", to: "data_loader.packing", take: func(m *Migration, v value) string {
		if on, ok := v.truth(); !ok {
			return "True or False is due"
		} else if on {
			m.Draft.Train.Pack = "pack"
		}
		return ""
	}},
	{keys: "val_set_size", refused: noSplit},
	{keys: "excess_length_strategy", refused: "rows that are too long are truncated, and counted", fine: []string{"truncate"}},
	{keys: "batch_size", refused: "write gradient_accumulation_steps in its place: it is the rows of a step, over all devices"},
	{keys: "lr_quadratic_warmup cosine_constant_lr_ratio lr_div_factor jagged_restart_steps jagged_restart_warmup_steps jagged_restart_anneal_steps", refused: "there is no such schedule here: docs/training.md has those there are"},
	{keys: "lr_groups embedding_lr embedding_lr_scale", refused: noRates},
	{keys: "optim_args optim_target_modules", refused: "it has no such part here: docs/training.md"},
	{keys: "pretraining_dataset", refused: "texts are files here: --train_dataset_dir, with data_loader.format: text"},
	{keys: "train_on_inputs", to: "data_loader.train_on", take: setParts("all", noPromptly)},
	{keys: "evals_per_epoch", to: "eval_epoch_interval", take: func(m *Migration, v value) string {
		m.Draft.DoEval, m.Draft.EvalSteps, m.Draft.EvalEach = m.keys["test_datasets"] != nil, -1, 1
		return ""
	}},
	{keys: "saves_per_epoch", why: "a run saves every save_checkpoint_steps, and at its end"},
	{keys: "shuffle_merged_datasets", to: "data_loader.shuffle", take: toBool(func(m *Migration) *bool { return &m.Draft.Train.Shuffle })},
	{keys: "chat_template", to: "data_loader.prompt", take: setTemplate},
}

var axolotlRest = []rule{
	{keys: "rl rl_beta orpo_alpha dpo_use_weighting kto_desirable_weight trl reward_model process_reward_model", refused: "lorac trains on answers, not on preferences"},
	{keys: "relora_steps relora_warmup_steps relora relora_prune_ratio", refused: "lorac has no ReLoRA"},
	{keys: "trainer_cls diffusion llmcompressor qat use_pose use_eaft ebft lisa_n_layers lisa_step_interval s2_attention unfrozen_parameters curriculum_sampling noisy_embedding_alpha", refused: "lorac has no such training"},
	{keys: "early_stopping_patience", to: "early_stopping_patience", take: toInt(1, patience)},
	{keys: "auto_resume_from_checkpoints", refused: noResume},
	{keys: "plugins", refused: "plugins are Python", fine: []string{"axolotl.integrations.liger.LigerPlugin", "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"}},
	{keys: "chat_template_jinja chat_template_kwargs eot_tokens default_system_message", refused: noTemplate},
	{keys: "pad_to_sequence_len eval_sample_packing multipack_real_batches sample_packing_group_size sample_packing_bin_size sample_packing_sequentially pretrain_multipack_buffer_size pad_to_multiple_of min_sample_len eval_sequence_len batch_flattening sample_packing_mp_start_method sample_packing_eff_est streaming_multipack_buffer_size pretrain_multipack_attn pretraining_sample_concatenation", why: ofSpeed},
	{keys: "flash_attention flash_attn_cross_entropy flash_attn_rms_norm flash_attn_fuse_mlp flash_attn_fuse_qkv xformers_attention sdp_attention eager_attention flex_attention flex_attn_compile_kwargs " +
		"liger_rope liger_rms_norm liger_glu_activation liger_layer_norm liger_fused_linear_cross_entropy liger_cross_entropy unsloth_cross_entropy_loss unsloth_lora_mlp unsloth_lora_qkv unsloth_lora_o cut_cross_entropy torch_compile_backend attn_implementation scaling_softmax scaling_softmax_factor scaling_softmax_bias flash_optimum sage_attention large_head_attention flash_attn_d512 sdpa_varlen fused_attn_kernel gemma4_hybrid_attn_impl chunked_cross_entropy " +
		"chunked_cross_entropy_num_chunks tiled_mlp tiled_mlp_num_shards tiled_mlp_use_original_mlp deepcompile torch_compile_mode torch_compile_options", why: ofSpeed},
	{keys: "bf16 fp16 bfloat16 float16 tf32 bf16_full_eval amp gpu_memory_limit device device_map float32 fp32_norms fp32_norm_classes fp8_enable_fsdp_float8_all_gather torchdistx_path capabilities env_capabilities", why: ofGPUs},
	{keys: "activation_offloading selective_checkpointing gc_collect_steps low_memory offload_optimizer layer_offloading", why: ofMemory},
	{keys: "world_size ddp_broadcast_buffers sequence_parallel_degree heads_k_stride ring_attn_func context_parallel_size tensor_parallel_size dp_shard_size dp_replicate_size fsdp_version fsdp_final_state_dict_type", why: ofCluster},
	{keys: "wandb_project wandb_entity wandb_watch wandb_name wandb_run_id wandb_log_model wandb_mode use_wandb mlflow_tracking_uri mlflow_experiment_name mlflow_run_name hf_mlflow_log_artifacts use_mlflow comet_api_key comet_workspace " +
		"comet_project_name comet_experiment_key comet_mode comet_online use_comet use_tensorboard debug profiler_steps eval_table_size eval_max_new_tokens do_causal_lm_eval eval_causal_lm_metrics include_tokens_per_second include_tkps profiler_steps_start comet_experiment_config use_otel_metrics otel_metrics_host otel_metrics_port use_trackio trackio_project_name trackio_run_name " +
		"generate_samples num_generation_samples generation_max_new_tokens generation_temperature generation_top_p generation_top_k generation_prompt_ratio generation_do_sample do_bench_eval bench_dataset bench_split", why: ofLogs},
	{keys: "loss_watchdog_threshold loss_watchdog_patience", why: "a high loss ends no run here; early_stopping_patience ends one that learns no more"},
	{keys: "dataset_prepared_path dataset_processes dataset_num_proc dataset_keep_in_memory dataset_exact_deduplication dataset_shard_num dataset_shard_idx skip_prepare_dataset remove_unused_columns dataset_load_dataset_kwargs ddp gc_steps save_first_step shuffle_before_merging_datasets num_dataset_shards_to_save preprocess_iterable is_preprocess", why: ofLoading},
	{keys: "vllm gradio_title gradio_share gradio_server_name gradio_server_port gradio_max_new_tokens gradio_temperature resources_per_worker dynamic_checkpoint axolotl_config_path total_num_tokens total_supervised_tokens", why: ofPrograms},
	{keys: "num_labels center_rewards_coefficient precompute_ref_log_probs dpo_use_liger_kernel dpo_padding_free dpo_loss_type dpo_loss_weights cpo_alpha kto_undesirable_weight max_prompt_len eaft_alpha eaft_k pose_split_on_token_ids " +
		"pose_max_context_len pose_num_chunks lisa_layers_attribute relora_prune_method relora_cpu_offload adam_epsilon2 adam_beta3 dion_lr dion_momentum dion_rank_fraction dion_rank_multiple_of qgalore_rank qgalore_update_proj_gap " +
		"qgalore_scale qgalore_proj_type qgalore_proj_quant qgalore_proj_bits qgalore_proj_group_size qgalore_cos_threshold qgalore_gamma_proj qgalore_queue_size eval_batch_size", why: ofOther},
}

// setSpecial accepts control tokens that the base's tokenizer has in these roles, and a
// padding: rows are never padded.
func setSpecial(m *Migration, v value) string {
	n, t := v.node(), m.Draft.tok
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, text := n.Content[i].Value, value{n.Content[i+1]}.text()
		if key == "pad_token" {
			continue
		}
		if t != nil {
			if id, ok := map[string]int32{"bos_token": t.BOS(), "eos_token": t.EOS(), "unk_token": t.UNK()}[key]; ok && t.Token(id) == text {
				continue
			}
		}
		return fmt.Sprintf("%s: the base's tokenizer has no %q in this role: see that bos_token_id and eos_token_id are right in the file, and leave this key out", key, text)
	}
	return ""
}

// axolotlTypes are the types of data sets that rows here can have.
var axolotlTypes = map[string]Data{
	"alpaca": {Format: "alpaca", Prompt: "alpaca"}, "completion": {Format: "text"}, "sharegpt": {Format: "sharegpt"},
	"chat_template": {Format: "messages"}, "alpaca_chat.load_qa": {Format: "completion", Prompt: "alpaca"},
}

// axolotlSets takes data sets of one type, each of which is a file here.
func (m *Migration) axolotlSets(name string, n *yaml.Node, to *Data) {
	list := value{n}.node().Content
	var paths []string
	for i, item := range list {
		m.prefix = fmt.Sprintf("%s[%d].", name, i)
		saved := m.keys
		m.keys = keysOf(value{item}.node())
		m.apply([]rule{
			{keys: "path data_files", to: "data_loader.dataset_dir", take: func(m *Migration, v value) string {
				for _, p := range v.list() {
					if p = m.near(p); !found(p) {
						if m.keys["data_files"] != nil { // "json" and its like, which the files follow
							continue
						}
						m.Draft.Notes = append(m.Draft.Notes, fmt.Sprintf("%s is not here, and nothing is downloaded: give its rows as --train_dataset_dir", p))
						continue
					}
					paths = append(paths, p)
				}
				return ""
			}},
			{keys: "type", to: "data_loader.format, prompt", take: func(m *Migration, v value) string {
				kind, _, _ := strings.Cut(v.text(), ":")
				set, ok := axolotlTypes[kind]
				switch {
				case !ok:
					return "rows here are alpaca, completion, sharegpt or messages: docs/data.md"
				case i > 0 && (set.Format != to.Format || set.Prompt != to.Prompt):
					return "one config has data of one type; make the others like the first"
				}
				to.Format = set.Format
				if set.Prompt != "" {
					to.Prompt = set.Prompt
				}
				return ""
			}},
			{keys: "ds_type conversation shards_idx name revision trust_remote_code preprocess_shards", why: ofLoading},
			{keys: "input_transform input_format field_human field_model logprobs_field field_thinking template_thinking_key split_thinking drop_system_message skip", refused: "rows say it themselves: docs/data.md"},
			{keys: "train_on_eot", refused: "all answers train, each with its end", fine: []string{"turn", "all"}},
			{keys: "text_column", refused: "texts are under text", fine: []string{"text"}},
			{keys: "shards", refused: "all rows are read; max_samples is data_loader.num_samples here"},
			{keys: "split train_on_split", why: "all rows of a file are read"},
			{keys: "roles_to_train train_on_eos", refused: "all answers train, each with its end", fine: []string{"all", "turn", "assistant", "gpt"}},
			{keys: "message_property_mappings", refused: "turns have role and content, or from and value", fine: []string{"role", "from", "content", "value"}},
			{keys: "message_field_training message_field_training_detail roles field_tools field_chosen field_rejected", refused: "rows say it themselves: docs/data.md"},
			{keys: "chat_template", to: "data_loader.prompt", take: setTemplate},
			{keys: "field_messages", refused: "turns are under messages or conversations", fine: []string{"messages", "conversations"}},
			{keys: "message_field_role", refused: "turns have role and content, or from and value", fine: []string{"role", "from"}},
			{keys: "message_field_content", refused: "turns have role and content, or from and value", fine: []string{"content", "value"}},
			{keys: "field field_system field_instruction field_input field_output format no_input_format system_prompt system_format", refused: "columns have their usual names: rename them, or set AlpacaInstructDataHandler in the file", fine: []string{"text", "system", "instruction", "input", "output"}},
		})
		pairs := value{item}.node().Content
		for i := 0; i+1 < len(pairs); i += 2 {
			if key := pairs[i].Value; m.keys[key] != nil {
				m.row(key, value{m.keys[key]}, config.Unknown, unknownHere)
			}
		}
		m.keys, m.prefix = saved, ""
	}
	to.Path = strings.Join(paths, ",")
}
