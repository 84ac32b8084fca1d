package start

// Why keys of other programs have no effect here, or are refused.
const (
	ofGPUs      = "concerns GPUs: arithmetic here is f32, the base stays in the type it is stored in"
	ofMemory    = "lorac plans memory itself; --mem_limit bounds it"
	ofSpeed     = "rows are never padded, and there is one kernel of each kind"
	ofHub       = "concerns downloads and uploads, which lorac never does"
	ofLogs      = "a run writes output_dir/metrics.jsonl"
	ofLoading   = "concerns how that program loads data or code"
	ofCluster   = "concerns several processes of that program; --workers is lorac's"
	ofOther     = "concerns what is off in this config, or another kind of training"
	ofTokenizer = "the tokenizer follows from its own files"
	ofPrograms  = "concerns that program alone"

	unknownHere = "no key that is known of this program"

	noModules  = "embed_tokens, lm_head and norms train whole beside an adapter; freeze_exclude trains other parts of the base"
	noRows     = "rows of an embedding do not train alone: modules_to_save trains all of it"
	noBlocks   = "embedding and head cannot train where quant keeps the base in blocks: leave quantisation out"
	noTokens   = "tokens are added by pet_config.added_tokens, with an adapter: each gets the next id"
	noInit     = "adapters begin as plain LoRA does, or as PEFT's gaussian, pissa or olora (init_lora_weights)"
	noRates    = "all parameters have one learning rate"
	noNoise    = "lorac adds no noise to embeddings"
	noSmooth   = "the loss is plain cross entropy"
	noExperts  = "there are no experts or changed networks here: the base must be a Llama"
	noSplit    = "lorac splits no rows off: give rows of their own as --eval_dataset_dir"
	lowest     = "the best evaluation is that of the lowest loss"
	noResume   = "checkpoints of another program do not resume here"
	noPromptly = "prompts are not trained on, as answers alone are what is learned"
	noTemplate = "there is no such prompt here: docs/data.md has those there are (data_loader.prompt)"
	noRope     = "it changes the base's rotary embedding: set extend_method and scaling_factor in the file, and --base_config ignore"
)
