// Package config reads MindFormers YAML: every key with its place, accounted
// for as used, without effect here, refused or unknown; values typed, checked
// against each other, defaults filled in. It knows nothing of graphs.
package config

import "lorac/ir/diag"

// Val is one setting with where it came from. At is the place of the value;
// for a default it is the section it would stand in, for a flag it has the
// flag as its File and no line.
type Val[T any] struct {
	V      T
	At     Pos
	Origin string // "file", the flag that set it, "default", "preset" (see preset.go) or "derived" from others
}

// Set reports whether the value is more than MindFormers' default for a
// missing key: given in a file or by a flag, preset or derived.
func (v Val[T]) Set() bool { return v.Origin != "default" }

// Config is everything a job needs, in the terms of MindFormers.
type Config struct {
	Path, Name string
	Sources    map[string][]byte // texts of the files read, for messages

	Model      Model
	LoRA       *LoRA // nil: full fine-tuning
	Optimizer  Optimizer
	Schedule   Schedule
	Run        Run
	Train      Dataset
	Eval       Dataset
	Tokenizer  Val[string] // path of tokenizer.model; "" beside the checkpoint
	Wrapper    Wrapper
	Checkpoint Checkpoint
	Predict    Predict
	Parallel   Parallel

	RunMode        Val[string] // train, finetune, eval or predict
	Output         Val[string]
	LoadCheckpoint Val[string]
	Resume         Val[string] // "", "true" or a file name
	Quant          Val[string] // "", int8 or int4: the frozen base in blocks
	Compute        Val[string] // f32, or int8: products with the frozen base in eight bits
	AutoTrans      Val[bool]   // auto_trans_ckpt: load_checkpoint may lie spread over ranks
	SrcStrategy    Val[string] // src_strategy_path_or_dir
	Seed           Val[int]
	DoEval         Val[bool]
	CheckNaN       Val[bool] // a loss that is not finite ends the run
	EvalSteps      Val[int]
	EvalEpochs     Val[int] // below 1: evaluation goes by steps alone
	Metrics        []string // the classes of metric, see metricTypes
	LogEvery       Val[int] // steps between the lines of MFLossMonitor
	UseParallel    Val[bool]
	FullBatch      bool // the data are not sharded over devices: use_parallel in a (semi-)automatic mode

	Keys     []Key     // every key of the file and what became of it
	Defaults []Default // settings in effect that nobody gave
	Winners  []string  // where several keys say the same thing: which one counts; other notes
	Diags    diag.List // all errors and warnings, sorted
}

// Model is the shape and numerics of the Llama.
type Model struct {
	Hidden, Layers, Heads, KVHeads, HeadDim, FFN Val[int]
	Vocab, SeqLength, MaxPosition                Val[int]
	RMSEps, Theta                                Val[float64]
	RopeMethod                                   Val[string]        // none, pi, ntk, yarn or llama3
	RopeFactors                                  map[string]float64 // the fields of scaling_factor; "factor" where it is a number
	QKVConcat, TieEmbeddings                     Val[bool]
	BosID, PadID, IgnoreID                       Val[int]
	EosIDs                                       Val[[]int]
	ComputeDType, ParamDType                     Val[string] // f32, f16 or bf16
}

// LoRA is the pet_config of type lora.
type LoRA struct {
	Rank                                        Val[int]
	Alpha, Dropout                              Val[float64]
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
	WarmupRatio                 Val[float64] // −1: WarmupEpochs, then WarmupSteps say it
	WarmupSteps, WarmupEpochs   Val[int]
	TotalSteps, DecaySteps      Val[int]     // −1 or 0: from the data
	DecayRatio, DecayStartRatio Val[float64] // −1: DecaySteps and DecayStart say it
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
// preprocessing renders them, alpaca or plain).
type Dataset struct {
	Dir                    Val[string] // a file, a directory, or several separated by commas
	Shuffle, DropRemainder Val[bool]
	Repeat                 Val[int]
	Format, Prompt         Val[string]
	Take, Samples          Val[int]    // rows read at most, rows of an epoch at most; 0 for all
	Cut                    Val[int]    // length of a row, where a handler has its own; 0: the model's
	Pack                   Val[string] // "", pack or truncate: rows are put together
	EODReset               Val[bool]   // attention ends behind every id EOD
	EOD                    Val[int]
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
	SaveSteps, KeepMax Val[int] // SaveSteps 0: there is no CheckpointMonitor, or SaveSeconds says when
	SaveSeconds        Val[int]

	Format             Val[string] // checkpoint_format: ckpt as MindFormers lays it out, else lorac's own
	Network, Trainable Val[bool]   // with ckpt: files of the weights only, of what trains only
}

// Predict is what generation reads from model_config.
type Predict struct {
	MaxLength, TopK                      Val[int]
	MaxNew, MinLength, MinNew            Val[int] // 0: no bound
	Input                                Val[[]string]
	TopP, Temperature, RepetitionPenalty Val[float64]
	DoSample                             Val[bool]
}

// Parallel is parallel_config as read; one process runs here, so it only
// serves to say what a cluster would do.
type Parallel struct {
	Data, Model, Pipeline Val[int]
}

// Status says what became of a key.
type Status string

// What may become of a key.
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
	Why    string // unless used
	Value  string // as written
	Under  string // the section that has no effect as a whole, if it lies in one
}

// Default is a setting nobody gave.
type Default struct {
	Path  string `json:"key"`
	Value string `json:"value"`
}
