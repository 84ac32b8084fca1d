package config

// about describes a used key: its values, its default, and one line of text. A test
// compares it with the defaults and tables of the loader (decode*.go).
type about struct {
	path string // as in the schema: braces and DATASET stand for several
	is   shape
	def  any // nil: nothing, or it depends on other keys
	text string
}

// shape is the set of values of a key; null means the key is absent.
type shape struct {
	name  string            // for people
	types []string          // JSON types of the value
	of    []string          // JSON types of the elements, where it may be a list
	size  int               // of that list, 0 for any
	enum  map[string]string // the only strings
	only  any               // the only value at all
	exact map[string]any    // the JSON schema of it, where none of these says enough
}

var (
	boolean   = shape{name: "True or False", types: []string{"boolean"}}
	integer   = shape{name: "whole number", types: []string{"integer"}}
	number    = shape{name: "number", types: []string{"number"}}
	text      = shape{name: "text", types: []string{"string", "number"}}
	texts     = shape{name: "text or list", types: []string{"string"}, of: []string{"string", "integer"}}
	integers  = shape{name: "whole number or list", types: []string{"integer"}, of: []string{"integer"}}
	pair      = shape{name: "two numbers", of: []string{"number"}, size: 2}
	numbers   = shape{name: "number, or list of the rule's", types: []string{"number"}, of: []string{"number"}}
	switching = shape{name: "True, False or a file name", types: []string{"boolean", "string"}}
	starting  = shape{name: "True, gaussian, pissa, pissa_niter_N or olora", exact: map[string]any{"anyOf": []any{
		map[string]any{"enum": []any{nil, true, "True", "gaussian", "pissa", "olora"}}, map[string]any{"type": "string", "pattern": `^pissa_niter_[0-9]{1,3}$`}}}}
	section = shape{name: "mapping, or a list of them", types: []string{"object"}, of: []string{"object"}}
	rules   = shape{name: "mapping of names to numbers", types: []string{"object"}}
	scaling = shape{name: "number, or mapping of the method's fields", types: []string{"number", "object"}}
)

func oneOf(table map[string]string) shape {
	return shape{name: "one of a list", types: []string{"string", "integer"}, enum: table}
}

func only(names ...string) shape {
	m := map[string]string{}
	for _, n := range names {
		m[n] = n
	}
	return oneOf(m)
}

// described is every key of status Used, once.
var described = []about{
	{"base_config", texts, nil, "config or configs this one is laid over, from its own folder"},
	{"seed", integer, 1, "of the order of rows, the adapter's start and dropout"},
	{"output_dir", text, "./output", "where metrics, checkpoints and the adapter go"},
	{"load_checkpoint", text, "", "base weights: Hugging Face directory, index, .safetensors, .ckpt or a tree of rank_N"},
	{"src_strategy_path_or_dir", text, "", "strategy files of the checkpoint, where it is cut over ranks"},
	{"auto_trans_ckpt", boolean, false, "True: load_checkpoint is a tree of rank_N, cut as its strategy says"},
	{"resume_training", switching, nil, "True: resume from the newest good checkpoint; or the name of one"},
	{"run_mode", only("train", "finetune", "eval", "predict"), "finetune", "what is done; train and finetune are the same"},
	{"do_eval", boolean, false, "True: evaluate during training"},
	{"eval_step_interval", integer, 100, "steps between evaluations; -1: none by steps"},
	{"eval_epoch_interval", integer, -1, "epochs (with sink_mode, rounds) between evaluations; -1: none by epochs"},
	{"early_stopping_patience", integer, 0, "evaluations in a row without a lower loss that end the run; 0: none do; lorac's own key, named as in transformers"},
	{"early_stopping_threshold", number, 0.0, "by how much a loss must be lower to count; lorac's own key, named as in transformers"},
	{"load_best_model_at_end", boolean, false, "True: the run leaves the adapter of the evaluation with the lowest loss; lorac's own key, named as in transformers"},
	{"metric", section, nil, "what evaluation measures: PerplexityMetric, EmF1Metric, or a list"},
	{"input_data", texts, nil, "prompts, or a file with one a line; --predict_data wins"},
	{"context.device_target", oneOf(deviceTargets), nil, "what MindSpore runs on; `--device auto` follows it where an NPU answers"},
	{"context.device_id", integer, nil, "card, unless `--device_id` or DEVICE_ID names one"},
	{"use_parallel", boolean, false, "True: the job is of as many devices as the launch line or parallel_config says"},
	{"save_ranks", boolean, false, "True: with checkpoint_format ckpt or safetensors, each checkpoint also as the ranks of the job would have saved it, in rank_checkpoint, with their strategies; lorac's own key"},
	{"devices", integer, nil, "how many, where neither the launch line nor parallel_config says it; lorac's own key"},
	{"units", integer, nil, "into how many parts of nearly equal cost the rows of a step are divided, a power of two, for processes to share; so many have the same bits in any number of them; default: the least that gives each device one; lorac's own key"},
	{"lr_scale", boolean, false, "the learning rate is multiplied by the devices and the rows that each reads for a step, and divided by lr_scale_factor"},
	{"lr_scale_factor", number, nil, "with lr_scale; without it nothing is scaled"},
	{"shard_by", oneOf(shards), "block", "how the rows of each device are cut: block, as MindSpore to 2.5, or stride, as from 2.6; lorac's own key"},
	{"calculate_per_token_loss", boolean, false, "True: a step is the mean over its tokens, not the mean of its micro-batches"},
	{"check_for_nan_in_loss_and_grad", boolean, false, "True: a loss or gradient that is not finite ends the run at once"},

	{"trainer.type", only("CausalLanguageModelingTrainer", ""), "CausalLanguageModelingTrainer", "what the file was written for"},
	{"runner_config.epochs", integer, 1, "passes over the data"},
	{"runner_config.batch_size", integer, 8, "rows of a micro-batch; wins over the data set's and the model's"},
	{"runner_config.sink_mode", boolean, false, "True: steps are counted in rounds of sink_size"},
	{"runner_config.sink_size", integer, 1, "the number of steps is rounded down to a multiple of it"},
	{"runner_config.gradient_accumulation_steps", integer, 1, "micro-batches of a step"},

	{"optimizer.type", oneOf(optimizers), "FP32StateAdamWeightDecay", "the class; FP32StateAdamWeightDecay and its kin have no bias correction, AdamW has"},
	{"optimizer.beta1", number, 0.9, "decay of the mean of gradients"},
	{"optimizer.beta2", number, 0.999, "decay of the mean of their squares"},
	{"optimizer.betas", pair, nil, "both in one"},
	{"optimizer.eps", numbers, nil, "added to the root of the mean square; 1.e-6, for AdamW 1.e-8"},
	{"optimizer.learning_rate", number, 1e-3, "the rate, where there is no lr_schedule"},
	{"optimizer.weight_decay", number, 0.0, "pull towards zero, of matrices"},
	{"optimizer.momentum", number, nil, "of SGD and Momentum"},
	{"optimizer.dampening", number, 0.0, "of SGD"},
	{"optimizer.{nesterov,use_nesterov}", boolean, false, "True: Nesterov's form of the momentum"},
	{"optimizer.accum", number, 0.1, "start of Adagrad's sums"},
	{"optimizer.beta3", number, 0.99, "decay of Came's confidence"},
	{"optimizer.clip_threshold", number, 1.0, "most root mean square of an update (AdaFactor, Came)"},
	{"optimizer.decay_rate", number, 0.8, "decay of squares (AdaFactor, Came)"},
	{"optimizer.scale_parameter", boolean, true, "True: the rate is scaled by the size of the parameter (AdaFactor)"},
	{"optimizer.relative_step", boolean, true, "True: the rate is computed from the step (AdaFactor)"},
	{"optimizer.warmup_init", boolean, false, "True: that rate starts small"},

	{"lr_schedule.type", oneOf(schedules), "CosineWithWarmUpLR", "the class"},
	{"lr_schedule.learning_rate", number, 1e-3, "peak learning rate; wins over the optimizer's"},
	{"lr_schedule.base_lr", number, 1e-3, "the same, of the CosineAnnealing schedules"},
	{"lr_schedule.lr_end", number, nil, "the rate at the end: 0, of the polynomial 1.e-7"},
	{"lr_schedule.{lr_end1,lr_end2}", number, 0.0, "rates at the end of the two decays"},
	{"lr_schedule.warmup_lr_init", number, 0.0, "the rate at the start of the warm-up"},
	{"lr_schedule.warmup_ratio", number, 0.0, "part of all steps that warm up"},
	{"lr_schedule.warmup_steps", integer, 0, "steps that warm up, where there is no ratio"},
	{"lr_schedule.warmup_epochs", integer, 0, "passes that warm up, where there is no ratio"},
	{"lr_schedule.total_steps", integer, -1, "steps the schedule spans; -1: those of the run"},
	{"lr_schedule.decay_steps", integer, 0, "steps of the decay; 0: all after the warm-up"},
	{"lr_schedule.{decay_ratio,decay_start_ratio}", number, nil, "the same as a part of all steps"},
	{"lr_schedule.decay_start_steps", integer, nil, "step the decay starts at"},
	{"lr_schedule.{keep_steps,final_steps}", integer, 0, "steps at the middle rate, and at the last"},
	{"lr_schedule.num_cycles", number, nil, "waves of the cosine: 0.5, with restarts 1"},
	{"lr_schedule.power", number, 1.0, "of the polynomial"},
	{"lr_schedule.t_max", integer, 1, "half a period, in steps"},
	{"lr_schedule.{t_0,t_mult}", integer, 1, "steps of the first period, growth of the next"},
	{"lr_schedule.eta_min", number, 0.0, "the least rate"},

	{"DATASET.data_loader.type", text, nil, "CommonDataLoader has rows in the order of its own; the format of the rows is detected, whatever it is"},
	{"DATASET.data_loader.dataset_dir", text, "", "rows: file, directory, or several with commas"},
	{"DATASET.data_loader.{dataset_files,data_files}", texts, nil, "the same as a list"},
	{"DATASET.data_loader.path", text, "", "json or text with data_files, or a local file; nothing is downloaded"},
	{"train_dataset.data_loader.shuffle", boolean, true, "False: rows in the order of the file"},
	{"eval_dataset.data_loader.shuffle", boolean, false, "False: rows in the order of the file"},
	{"DATASET.data_loader.num_samples", integer, 0, "rows of an epoch at most; 0: all"},
	{"DATASET.data_loader.split", oneOf(splits), "", "train, validation or test: the files of a directory to take; train_dataset's are train, eval_dataset's validation, else test"},
	{"DATASET.data_loader.packing", oneOf(packs), "", "pack or truncate: rows are put together to the model's length"},
	{"DATASET.data_loader.format", oneOf(formats), "auto", "what rows are; lorac's own key"},
	{"DATASET.data_loader.prompt", oneOf(prompts), "auto", "how questions are rendered; llama2, llama3, chatml and tokenizer (the tokenizer's own) are chat templates; lorac's own key"},
	{"DATASET.data_loader.train_on", oneOf(parts), "turns", "what of a conversation is learned: turns: each answer; last: the last one; all: every token; lorac's own key"},
	{"DATASET.data_loader.handler[].type", only("take", "AlpacaInstructDataHandler", "PackingHandler"), nil, "what is done to the rows on the way"},
	{"DATASET.data_loader.handler[].n", integer, 0, "rows that take reads"},
	{"DATASET.data_loader.handler[].seq_length", integer, 0, "length of a row; the model's unless given"},
	{"DATASET.data_loader.handler[].instruction_key", text, "instruction", "column of the instructions"},
	{"DATASET.data_loader.handler[].input_key", text, "input", "column of the inputs"},
	{"DATASET.data_loader.handler[].output_key", text, "output", "column of the answers"},
	{"DATASET.data_loader.handler[].pack_strategy", only("pack", "truncate"), "pack", "how rows are put together"},
	{"train_dataset.drop_remainder", boolean, true, "True: the last batch is dropped when it is short"},
	{"eval_dataset.drop_remainder", boolean, false, "True: the last batch is dropped when it is short"},
	{"train_dataset.batch_size", integer, 8, "rows of a micro-batch, where runner_config has none"},
	{"DATASET.repeat", integer, 1, "times the rows are repeated within an epoch"},
	{"DATASET.input_columns", texts, nil, "columns of a MindRecord; without labels among them every token is supervised"},
	{"DATASET.eod_reset", boolean, false, "True: attention is reset after each eod_token_id"},
	{"DATASET.eod_token_id", integer, -1, "id that ends a document"},

	{"parallel.parallel_mode", oneOf(parallelModes), 1, "what a step's loss is the mean of: token means over all devices (1, 2), or each device's (0, 3)"},
	{"parallel.full_batch", boolean, true, "True: all devices read one order; False: each has rows of its own"},
	{"parallel.gradients_mean", boolean, true, "False: gradients of the devices are added, not averaged"},
	{"parallel_config.{data_parallel,model_parallel,pipeline_stage,context_parallel}", integer, 1, "their product is the number of devices; the rows of a step are batch_size times data_parallel"},
	{"parallel_config.vocab_emb_dp", boolean, true, "with save_ranks: True: each device has embedding and head whole"},
	{"parallel.enable_parallel_optimizer", boolean, false, "True: processes that train a whole model have shares of the optimizer's states; with save_ranks, large weights are cut over the replicas, too"},
	{"parallel_config.use_seq_parallel", boolean, false, "True: processes that share each layer divide its tokens between the linears, too"},
	{mc + "offset", integers, 0, "with save_ranks and a pipeline: layers more or fewer than the even share, of each stage"},
	{"parallel_config.micro_batch_num", integer, 1, "micro-batches of a step, with a pipeline"},
	{"micro_batch_interleave_num", integer, 1, "parts of a micro-batch that are averaged each; a step has as many times the rows"},
	{"moe_config.expert_num", shape{name: "1", only: 1}, nil, "1: mixtures of experts are not supported"},

	{"callbacks[].type", text, nil, "the class; CheckpointMonitor saves, MFLossMonitor reports"},
	{"callbacks[].prefix", text, "CKP", "of the names of checkpoints"},
	{"callbacks[].save_checkpoint_steps", integer, 1, "steps between checkpoints"},
	{"callbacks[].save_checkpoint_seconds", integer, 0, "seconds between checkpoints, where save_checkpoint_steps is 0"},
	{"callbacks[].per_print_times", integer, 1, "steps between the lines of --log_format mindformers"},
	{"callbacks[].keep_checkpoint_max", integer, 5, "checkpoints to keep"},
	{"callbacks[].checkpoint_format", only("ckpt", "safetensors", "lorac"), nil, "ckpt, safetensors: what MindFormers saves, all weights and state; lorac (default): what trains and its state"},
	{"callbacks[].save_network_params", boolean, true, "True: the network alone, too (checkpoint_network)"},
	{"callbacks[].save_trainable_params", boolean, false, "True: what trains alone, too (checkpoint_trainable); with checkpoint_format ckpt or safetensors"},

	{"model.arch.type", only("LlamaForCausalLM", withLora, "InternLMForCausalLM", "InternLM2ForCausalLM"), "LlamaForCausalLM", "the network; InternLM without biases and InternLM2 without qkv_concat are Llamas under other names"},
	{"model.arch.pet.pet_type", only("lora"), "lora", "the method of fine-tuning, in the form of r0.6"},
	{"model.arch.pet.pet_config.lora_rank", integer, 8, "rank of the adapter"},
	{"model.arch.pet.pet_config.lora_alpha", number, 16.0, "the adapter is scaled by lora_alpha/lora_rank"},
	{"model.arch.pet.pet_config.lora_dropout", number, 0.01, "part of its input the adapter drops in training"},
	{mc + "type", only("LlamaConfig", "InternLMConfig", "InternLM2Config"), "LlamaConfig", "the shape's class"},
	{mc + "batch_size", integer, 8, "rows of a micro-batch, where nothing else says it"},
	{mc + "seq_length", integer, 2048, "most tokens of a row"},
	{mc + "hidden_size", integer, 4096, "width of the model"},
	{mc + "num_layers", integer, 32, "decoder layers"},
	{mc + "num_heads", integer, 32, "query heads"},
	{mc + "n_kv_heads", integer, nil, "key and value heads; as many as query heads unless given"},
	{mc + "max_position_embedding", integer, nil, "positions the model was made for; seq_length unless given"},
	{mc + "vocab_size", integer, 32000, "ids"},
	{mc + "multiple_of", integer, 256, "the feed-forward's size is rounded up to a multiple of it"},
	{mc + "ffn_dim_multiplier", number, nil, "stretches the feed-forward"},
	{mc + "intermediate_size", integer, nil, "size of the feed-forward; computed unless given"},
	{mc + "rms_norm_eps", number, 1e-5, "of the norms"},
	{mc + "bos_token_id", integer, 1, "id that begins a text"},
	{mc + "eos_token_id", integers, 2, "ids that end one"},
	{mc + "pad_token_id", integer, 0, "id that other programs fill rows with"},
	{mc + "ignore_token_id", integer, -100, "label that is not learned"},
	{mc + "theta", number, 10000.0, "base of the rotary embedding"},
	{mc + "extend_method", only("None", "", "PI", "NTK", "YARN", "LLAMA3"), "None", "how the rotary embedding reaches further"},
	{mc + "scaling_factor", scaling, 1.0, "how far: a number for PI and NTK, fields for YARN and LLAMA3"},
	{mc + "compute_dtype", oneOf(dtypes), "float16", "what MindFormers computes in; here it bounds what may be kept, sums are f32"},
	{mc + "param_init_type", oneOf(dtypes), "float16", "type of base weights where the checkpoint does not say it"},
	{mc + "qkv_concat", boolean, false, "True: q, k, v are one matrix, w1 and w3 another"},
	{mc + "qkv_has_bias", boolean, false, "True: wq, wk and wv have biases, as in Qwen2"},
	{mc + "attn_proj_has_bias", boolean, false, "True: wo has one"},
	{mc + "mlp_has_bias", boolean, false, "True: w1, w2 and w3 have biases; MindFormers has no such Llama, bases with mlp_bias in config.json are"},
	{mc + "has_bias", boolean, nil, "of InternLM, where it is True by default: wq, wk, wv and wo have biases; others write qkv_has_bias and attn_proj_has_bias"},
	{mc + "tie_word_embeddings", boolean, false, "True: the head is the embedding"},
	{mc + "checkpoint_name_or_path", text, "", "base weights, where load_checkpoint says nothing; a path"},
	{mc + "max_new_tokens", integer, 0, "maximal number of ids after the prompt; wins over max_length"},
	{mc + "{min_length,min_new_tokens}", integer, 0, "minimal number of ids of the text, or after the prompt"},
	{mc + "num_beams", shape{name: "1", only: 1}, nil, "1: beam search is not supported"},
	{"{max_length," + mc + "max_length," + mc + "max_decode_length}", integer, 1024, "most ids of a generated text, prompt included"},
	{"{top_k," + mc + "top_k}", integer, 5, "generation: sample among the k likeliest"},
	{"{top_p," + mc + "top_p}", number, 1.0, "generation: sample among the likeliest that sum to p"},
	{"{temperature," + mc + "temperature}", number, 1.0, "generation: 0 takes the likeliest"},
	{"{repetition_penalty," + mc + "repetition_penalty}", number, 1.0, "generation: above 1, ids that are there already become less likely"},
	{"{do_sample," + mc + "do_sample}", boolean, false, "generation: False takes the likeliest"},
	{mc + "pet_config.pet_type", only("lora"), "lora", "the method of fine-tuning"},
	{mc + "pet_config.lora_rank", integer, 8, "rank of the adapter"},
	{mc + "pet_config.lora_alpha", number, 16.0, "the adapter is scaled by lora_alpha/lora_rank"},
	{mc + "pet_config.lora_dropout", number, 0.01, "part of its input the adapter drops in training"},
	{mc + "pet_config.target_modules", text, nil, "regular expression of the linears to adapt, matched from the start of a module's own name"},
	{mc + "pet_config.exclude_layers", texts, nil, "regular expressions of modules to leave out"},
	{mc + "pet_config.use_rslora", boolean, false, "True: the adapter is scaled by lora_alpha/√lora_rank (rsLoRA); lorac's own key, named as in PEFT"},
	{mc + "pet_config.loraplus_lr_ratio", number, 1.0, "the factors B learn so many times as fast as the factors A (LoRA+); lorac's own key, named as in PEFT"},
	{mc + "pet_config.use_dora", boolean, false, "True: rows of the adapted matrices have magnitudes of their own, which train beside the directions that the adapter gives them (DoRA); lorac's own key, named as in PEFT"},
	{mc + "pet_config.modules_to_save", texts, nil, "modules that train whole beside the adapter and are saved with it: embed_tokens, lm_head, norms, by the ends of their names; lorac's own key, named as in PEFT"},
	{mc + "pet_config.added_tokens", texts, nil, "control tokens that are added to the tokenizer, each with the next id, for which vocab_size must have a place; lorac's own key"},
	{mc + "pet_config.ensure_weight_tying", boolean, false, "True: modules_to_save trains an embedding that is also the head as one; lorac's own key, named as in PEFT"},
	{mc + "pet_config.init_lora_weights", starting, "True", "how the adapter starts: True as MindFormers has it, A normal of deviation 1/lora_rank, the largest singular parts of the base (exactly, or by N iterations), or the first rows of its QR decomposition; lorac's own key, named as in PEFT"},
	{mc + "pet_config.{rank_pattern,alpha_pattern}", rules, nil, "the rank and the alpha of linears whose names end as the regular expressions say, the first that matches; lorac's own keys, named as in PEFT"},
	{mc + "pet_config.layers_to_transform", integers, nil, "the layers to adapt, counted from 0; lorac's own key, named as in PEFT"},
	{mc + "pet_config.{freeze_include,freeze_exclude}", texts, nil, "patterns (fnmatch, of whole names) of parameters that do not train, and of those that do all the same"},

	{"compute", only("f32", "int8"), "f32", "int8: products with the frozen base in eight bits; lorac's own key"},
	{"quant", only("none", "int8", "int4"), "none", "the frozen base in blocks of 8 or 4 bits; lorac's own key"},
	{"processor.tokenizer.vocab_file", text, "", "tokenizer.model or tokenizer.json; by default the one in the directory of the checkpoint"},
	{"processor.tokenizer.add_bos_token", boolean, nil, "whether a text begins with bos_token_id; by default what `tokenizer_config.json` says, else True"},
	{"processor.tokenizer.add_eos_token", boolean, nil, "compared with `tokenizer_config.json`; rows of training end with eos_token_id in any case, and prompts never do"},
	{"processor.tokenizer.special_tokens", only("ids", "text"), "ids", "ids: control tokens that a text spells (`<s>`, `[INST]`) become their ids, as in MindFormers; text: they stay text; lorac's own key"},
	{"runner_wrapper.type", only("MFTrainOneStepCell", "wrapper", "MFPipelineWithLossScaleCell", ""), "MFTrainOneStepCell", "the pipeline cell clips unless told otherwise"},
	{"runner_wrapper.use_clip_grad", boolean, nil, "True: gradients are clipped by their norm"},
	{"runner_wrapper.max_grad_norm", number, 1.0, "that norm"},
	{"runner_wrapper.scale_sense", number, 1.0, "scale of the loss, or a class that moves it"},
	{"runner_wrapper.scale_sense.type", only("DynamicLossScaleUpdateCell", "FixedLossScaleUpdateCell", "AdaptiveLossScaleUpdateCell"), "DynamicLossScaleUpdateCell", "how the scale moves"},
	{"runner_wrapper.scale_sense.loss_scale_value", number, nil, "scale at the start"},
	{"runner_wrapper.scale_sense.scale_factor", number, 2.0, "what it is multiplied or divided by"},
	{"runner_wrapper.scale_sense.scale_window", integer, 1000, "steps without overflow until it grows"},
	{"runner_wrapper.scale_sense.{min_scale_window,max_scale_window}", integer, nil, "bounds of the window, where it moves too: 20 and 1000"},
}

// description returns the description of a key.
var description = func() map[string]about {
	m := map[string]about{}
	for _, a := range described {
		for _, r := range expand([]row{{a.path, Used, ""}}) {
			a.path = r.path
			m[a.path] = a
		}
	}
	return m
}()

// Takes reports whether a value is among those listed for a key.
func Takes(path, value string) bool {
	_, ok := description[path].is.enum[value]
	return ok
}
