// Package config reads MindFormers YAML into a typed Config. Every key keeps its
// position and is classified as used, without effect, refused or unknown; values are
// typed and checked against each other, and defaults filled in. The package must
// not know the IR, ops or kernels.
package config

import (
	"lorac/ir/diag"
	"lorac/runtime/job"
)

// Val is a setting with its origin. At is the position of the value; for a default
// that of its section, for a flag a Pos whose File is the flag, without a line.
type Val[T any] struct {
	V      T
	At     Pos
	Origin string // "file", the flag that set it, "default", "preset" (see preset.go) or "derived" from others
}

// Set reports whether the value is more than MindFormers' default for a
// missing key: given in a file or by a flag, preset or derived.
func (v Val[T]) Set() bool { return v.Origin != "default" }

// Config is all settings of a job, in MindFormers' terms.
type Config struct {
	Path, Name string
	Drafted    bool              // for base weights that stand in the place of a config
	Sources    map[string][]byte // texts of the files read, for messages

	Model        Model
	LoRA         *LoRA // nil: full fine-tuning
	Optimizer    Optimizer
	Schedule     Schedule
	Run          Run
	Train        Dataset
	Eval         Dataset
	Tokenizer    Val[string] // path of tokenizer.model; "": in the directory of the checkpoint
	AddBOS       Val[bool]
	AddEOS       Val[bool]
	ChatTemplate string      // the tokenizer's, where a prompt names it; no key: the driver reads it
	Special      Val[string] // text: control tokens in texts stay text; "": they become their ids
	Wrapper      Wrapper
	Checkpoint   Checkpoint
	Predict      Predict
	Parallel     Parallel

	Device         Val[string] // context.device_target: ascend, cpu or gpu; "" where the config names none
	DeviceID       Val[int]    // context.device_id
	RunMode        Val[string] // train, finetune, eval or predict
	Output         Val[string]
	LoadCheckpoint Val[string]
	Resume         Val[string] // "", "true" or a file name
	Quant          Val[string] // "", int8 or int4: block quantisation of the frozen base
	Compute        Val[string] // f32 or int8: type of matrix products with the frozen base
	AutoTrans      Val[bool]   // auto_trans_ckpt: load_checkpoint may be sharded over ranks
	SrcStrategy    Val[string] // src_strategy_path_or_dir
	Seed           Val[int]
	DoEval         Val[bool]
	CheckNaN       Val[bool] // abort on a loss that is not finite
	EvalSteps      Val[int]
	EvalEpochs     Val[int]     // below 1: evaluate by EvalSteps only
	Patience       Val[int]     // early_stopping_patience
	Threshold      Val[float64] // early_stopping_threshold
	LoadBest       Val[bool]
	Metrics        []string // the classes of metric, see metricTypes
	LogEvery       Val[int] // steps between the lines of MFLossMonitor
	UseParallel    Val[bool]
	Devices        Devices

	Keys     []Key      // every key of the file with its status
	Defaults []Default  // defaults in effect
	Winners  []string   // notes: which of several keys for one setting wins, and others
	Base     BaseReport // what the base's files say, see CheckOn
	Diags    diag.List  // all errors and warnings, sorted
}

// Model is the shape and numerics of the Llama.
type Model struct {
	Hidden, Layers, Heads, KVHeads, HeadDim, FFN Val[int]
	Vocab, SeqLength, MaxPosition                Val[int]
	RMSEps, Theta                                Val[float64]
	RopeMethod                                   Val[string]        // none, pi, ntk, yarn or llama3
	RopeFactors                                  map[string]float64 // the fields of scaling_factor; "factor" where it is a number
	QKVConcat, TieEmbeddings                     Val[bool]
	QKVBias, ProjBias, MLPBias                   Val[bool] // biases of wq, wk, wv; of wo; of w1, w2, w3
	BosID, PadID, IgnoreID                       Val[int]
	EosIDs                                       Val[[]int]
	ComputeDType, ParamDType                     Val[string] // f32, f16 or bf16
}

// LoRA is the pet_config of type lora.
type LoRA struct {
	Rank                                        Val[int]
	Alpha, Dropout                              Val[float64]
	RSLoRA                                      Val[bool]     // scaled by alpha/√rank (Kalajdzievski 2023)
	LRRatio                                     Val[float64]  // of the factors B to the learning rate (LoRA+, Hayou et al. 2024)
	DoRA                                        Val[bool]     // rows have magnitudes of their own (Liu et al. 2024)
	LayersToTransform                           Val[[]int]    // nil: all
	ModulesToSave                               Val[[]string] // modules that train whole, and are saved with the adapter
	AddedTokens                                 Val[[]string] // control tokens that the tokenizer has besides
	Tying                                       Val[bool]     // ensure_weight_tying: embedding and head, which are one, train as one
	Init                                        Val[string]   // how A and B start, as PEFT names it; True: as in MindFormers
	RankPattern, AlphaPattern                   []ModuleRule  // ranks and alphas of some linears
	TargetModules                               Val[string]
	ExcludeLayers, FreezeInclude, FreezeExclude Val[[]string]
}

// Optimizer is optimizer: a class of MindFormers or MindSpore and the rule it
// follows (see optimizers). A rule reads its own parameters only; the others
// are zero.
type Optimizer struct {
	Type                               Val[string] // the class or alias as given
	Rule                               string      // mindformers and torch (AdamW without and with bias correction), adam, sgd, momentum, adagrad, lamb, adafactor or came
	LR, Beta1, Beta2, Eps, WeightDecay Val[float64]
	Momentum, Dampening, Accum         Val[float64]
	Nesterov                           Val[bool]

	Eps2, Eps3, Beta3, ClipThreshold, DecayRate Val[float64] // adafactor and came, whose eps is a list
	ScaleParameter, RelativeStep, WarmupInit    Val[bool]
}

// Schedule is the learning rate over the steps.
type Schedule struct {
	Type                        Val[string] // constant, linear, cosine, cosine_restarts, polynomial, cool_down, warmup_stable_decay, cosine_annealing or cosine_annealing_warm_restarts
	LR, LREnd, WarmupInit       Val[float64]
	ScaleFactor                 Val[float64] // lr_scale_factor, where lr_scale is on; else 0
	WarmupRatio                 Val[float64] // −1: WarmupEpochs, then WarmupSteps apply
	WarmupSteps, WarmupEpochs   Val[int]
	TotalSteps, DecaySteps      Val[int]     // −1 or 0: from the data
	DecayRatio, DecayStartRatio Val[float64] // −1: DecaySteps and DecayStart apply
	DecayStart                  Val[int]
	KeepSteps, FinalSteps       Val[int]
	LREnd2                      Val[float64]
	NumCycles, Power, EtaMin    Val[float64]
	TMax, T0, TMult             Val[int]
}

// Run is runner_config.
type Run struct {
	Epochs, BatchSize, GradAccum, SinkSize Val[int]
	SinkMode                               Val[bool]
	PerTokenLoss                           Val[bool]
}

// Dataset is train_dataset or eval_dataset. Its data_loader has two keys of
// lorac's own: format (auto, alpaca, completion, sharegpt, messages, tokens or
// text) and prompt, the template of instructions (vicuna, as MindFormers'
// preprocessing renders them, alpaca, plain, or a chat template: llama2, llama3,
// chatml, or tokenizer for the one that the tokenizer brings). train_on is lorac's
// own, too: what of a conversation is supervised.
type Dataset struct {
	Dir                    Val[string] // a file, a directory, or several separated by commas
	Shuffle, DropRemainder Val[bool]
	Repeat                 Val[int]
	Format, Prompt         Val[string]
	TrainOn                Val[string] // "": each answer; last, all
	Take, Samples          Val[int]    // maximal rows to read, maximal rows per epoch; 0: all
	Cut                    Val[int]    // maximal row length of a handler; 0: the model's seq_length
	Pack                   Val[string] // "", pack or truncate: sequence packing
	EODReset               Val[bool]   // attention is reset after every id EOD
	EOD                    Val[int]
	Order                  Val[string] // generator: CommonDataLoader's; "": MindDataset's
	NoLabels               Val[bool]   // input_columns does not list labels: every token of a MindRecord is supervised

	Split                               Val[string] // train, valid, test; "": by the section
	InstructionKey, InputKey, OutputKey Val[string] // names of the columns of alpaca rows; "": instruction, input, output
}

// Wrapper is runner_wrapper.
type Wrapper struct {
	UseClip Val[bool]
	MaxNorm Val[float64]
	Scale   LossScale
}

// LossScale is runner_wrapper.scale_sense.
type LossScale struct {
	Type                         Val[string] // static, dynamic or adaptive
	Value                        Val[float64]
	Factor                       Val[float64]
	Window, MinWindow, MaxWindow Val[int]
}

// Checkpoint is the CheckpointMonitor callback.
type Checkpoint struct {
	Prefix             Val[string]
	SaveSteps, KeepMax Val[int] // SaveSteps 0: no CheckpointMonitor, or SaveSeconds applies
	SaveSeconds        Val[int]

	Format             Val[string] // checkpoint_format: ckpt or safetensors in MindFormers' layout, "" lorac's own
	Ranks              Val[string] // the parallel_config that checkpoints are also written for, as lorac convert layout takes it; "": none
	Network, Trainable Val[bool]   // with ckpt: also write the weights only, the trainable parameters only
}

// Predict is what generation reads from model_config.
type Predict struct {
	MaxLength, TopK                      Val[int]
	MaxNew, MinLength, MinNew            Val[int] // 0: unlimited
	Input                                Val[[]string]
	TopP, Temperature, RepetitionPenalty Val[float64]
	DoSample                             Val[bool]
}

// Parallel is parallel_config, read in a (semi-)automatic mode.
type Parallel struct {
	Data, Model, Pipeline, Context Val[int]
	Optimizer                      Val[bool] // replicas have shares of the optimizer's states
	Tokens                         Val[bool] // those that share a layer divide its tokens
}

// Devices are what the job was written for (runtime/job says what they decide).
type Devices struct {
	Count      Val[int]    // where it is said
	Mode       Val[string] // data, hybrid, semi or auto; "" without use_parallel
	FullBatch  Val[bool]
	Replicas   Val[int] // of data_parallel
	Micro      Val[int] // micro_batch_num, of a pipeline; else 0
	Interleave Val[int]
	Sum        Val[bool]   // gradients_mean: False in data-parallel and hybrid mode
	Shard      Val[string] // block or stride, where the data set is cut
	Units      Val[int]    // that a step is divided into; 0: as many as give each device one

	implied bool     // use_parallel is, by the number of devices
	alone   int      // workers of the launch line without use_parallel; 0: none
	loses   Val[int] // devices asked for, where parallel_config wins
}

// Parallel reports whether the mode is semi-automatic or automatic.
func (d *Devices) Parallel() bool { return d.Mode.V == "semi" || d.Mode.V == "auto" }

// Job is what the runtime knows of the devices.
func (d *Devices) Job() job.Devices {
	if d.Mode.V == "" {
		return job.Devices{Units: d.Units.V}
	}
	return job.Devices{Count: d.Count.V, Mode: d.Mode.V, FullBatch: d.FullBatch.V, Replicas: d.Replicas.V, Micro: d.Micro.V,
		Interleave: d.Interleave.V, Sum: d.Sum.V, Shard: d.Shard.V, Units: d.Units.V}
}

// Status classifies a key of the file.
type Status string

// The statuses.
const (
	Used    Status = "used"
	Ignored Status = "no effect"
	Refused Status = "refused"
	Unknown Status = "unknown"
)

// Key is one key of the file.
type Key struct {
	Path   string // dotted; callbacks[] for the elements of a list
	At     Pos
	Status Status
	Why    string // reason, unless Used
	Value  string // as in the file
	Under  string // the enclosing section without effect, if any
}

// Default is a setting that takes its default value.
type Default struct {
	Path  string `json:"key"`
	Value string `json:"value"`
}
