// Package job is the constants of one fine-tuning job: what the config fixed
// and the trainer reads. Each key has one field here, with its name in the IR
// and its default in the field's tag; settings.go converts between a Job and
// the list of its settings. It must not know the config, the IR nor the trainer.
package job

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/data/chat"
)

// Job is everything the config fixed; flags of the trainer may override some
// of it. Fields without a key are set by the code generator.
type Job struct {
	Name, Source, Hash string
	MaxRows            int // token rows of the largest micro-batch
	Model              Model
	Chat               chat.Func // ChatTemplate as Go

	RunMode        string  `key:"run_mode" default:"train"` // train, finetune, eval or predict
	Seed           int     `key:"seed"`
	Output         string  `key:"output" default:"./output"`
	LoadCheckpoint string  `key:"load_checkpoint"`
	Resume         string  `key:"resume"`            // "", true, or the name of a checkpoint
	AutoTrans      bool    `key:"auto_trans,omit"`   // LoadCheckpoint may be split over ranks,
	SrcStrategy    string  `key:"src_strategy,omit"` // as these strategy files say
	Compute        string  `key:"compute,omit"`      // int8: products with the frozen linears of the layers in eight bits
	Over           string  `key:"over,omit"`         // mpi or hccl: what processes that execute the job meet over; "": there is one
	Device         string  `key:"device,omit"`       // ascend: the trainer computes on an NPU; "" on the CPU
	DeviceType     string  `key:"device.low,omit"`   // bf16 or f16: what the device multiplies
	DeviceID       int     `key:"device.id,omit"`    // card, where neither flag nor environment name one
	Quant          Quant   `key:"quant,omit"`
	Tokenizer      string  `key:"tokenizer"`
	SpecialTokens  string  `key:"special_tokens,omit"` // text: control tokens in texts stay text
	ChatTemplate   string  `key:"chat_template,omit"`  // the tokenizer's, in Jinja, where a prompt names it
	SeqLength      int     `key:"seq_length"`
	Vocab          int     `key:"vocab"`
	AddBOS         string  `key:"add_bos,omit"` // True or False: whether texts begin with BosID; "": as the tokenizer's files say
	AddEOS         string  `key:"add_eos,omit"` // what the config says of it, to be compared with those files
	BosID          int     `key:"bos_id" default:"1"`
	EosIDs         []int   `key:"eos_ids" default:"2"` // at least one
	PadID          int     `key:"pad_id"`
	NormEps        float64 `key:"norm_eps,omit"` // of a model that is exported
	IgnoreID       int     `key:"ignore_id" default:"-100"`

	Epochs        int           `key:"epochs" default:"1"`
	BatchSize     int           `key:"batch_size" default:"1"`
	GradAccum     int           `key:"grad_accum" default:"1"`
	Devices       Devices       `key:"devices,omit"`
	SinkSize      int           `key:"sink_size"` // steps of a sink round; −1: an epoch; 0: no sink mode
	PerTokenLoss  bool          `key:"per_token_loss"`
	TrainData     Data          `key:"train_data"`
	EvalData      Data          `key:"eval_data"`
	DoEval        bool          `key:"do_eval"`
	EvalSteps     int           `key:"eval_steps"`       // between evaluations; below 1: not by steps
	EvalEpochs    int           `key:"eval_epochs,omit"` // between evaluations; below 1: not by epochs
	Metrics       []string      `key:"metrics,omit"`     // PerplexityMetric, EmF1Metric: what evaluation measures as MindFormers defines it
	EarlyStopping EarlyStopping `key:"early_stopping,omit"`
	LoadBest      bool          `key:"load_best,omit"`  // the adapter of the evaluation with the lowest loss is what the run leaves
	LogFormat     string        `key:"log_format,omit"` // mindformers: the lines of MFLossMonitor
	LogEvery      int           `key:"log_every,omit"`  // steps between those; below 2: each
	Schedule      Schedule      `key:"schedule"`
	LossScale     LossScale     `key:"loss_scale,omit"`
	CheckNaN      bool          `key:"check_nan,omit"` // an overflow ends the run
	Checkpoint    Checkpoint    `key:"checkpoint"`
	LoRA          LoRA          `key:"lora,omit"`
	Keys          []string      `key:"keys,omit"` // PATH=VALUE of the config's keys that shape the graph, which a resumed run must share
	Predict       Predict       `key:"predict"`
	Pruned        string        `key:"pruned,omit"` // what the compiler left out, for people
	Memory        Memory        `key:"memory,omit"`
}

// Model is what the graph computes, for comparison with what the files of a base
// say. The code generator reads it off the module; Hidden 0 is an unknown model.
type Model struct {
	Hidden, FFN, Layers, Heads, KvHeads int
	Eps, Theta                          float64
	Method                              string             // of rotary scaling: none, pi, ntk, yarn or llama3
	Factors                             map[string]float64 // of the method
	Tied                                bool               // the head is the embedding
	QKVBias, ProjBias, MLPBias          bool               // which linears have biases
}

// Quant says that the frozen base is to be stored in blocks (Kind int8 or int4,
// "" for as it is), and of which model it is.
type Quant struct {
	Kind    string  `key:"kind"`
	Width   int     `key:"width"`
	Hidden  int     `key:"hidden"`
	Layers  int     `key:"layers"`
	Heads   int     `key:"heads"`
	KvHeads int     `key:"kv_heads"`
	Eps     float64 `key:"eps"`
	Theta   float64 `key:"theta"`
}

// Data is a data set and how to read it.
type Data struct {
	Path          string `key:"path"`
	Shuffle       bool   `key:"shuffle"`
	DropRemainder bool   `key:"drop_remainder"`
	Repeat        int    `key:"repeat" default:"1"`
	Format        string `key:"format" default:"auto"`
	Prompt        string `key:"prompt"`
	TrainOn       string `key:"train_on,omit"`   // what of a conversation is supervised: last, all; "": turns
	Take          int    `key:"take,omit"`       // rows read at most; 0: all
	Samples       int    `key:"samples,omit"`    // rows of an epoch at most; 0: all
	SeqLength     int    `key:"seq_length,omit"` // of a row; 0: the model's
	Pack          string `key:"pack,omit"`       // one of dataset.Packs, or ""
	EodReset      bool   `key:"eod_reset,omit"`  // attention is cut after every id Eod
	Eod           int    `key:"eod" when:"eod_reset"`
	Order         string `key:"order,omit"`     // generator: that of CommonDataLoader; "": of MindDataset
	NoLabels      bool   `key:"no_labels,omit"` // labels of a MindRecord are not read: every token is supervised

	Split string `key:"split,omit"` // of a directory with splits: train, valid or test; "": by what the data are for

	// Names of the columns of alpaca rows; "": instruction, input, output.
	InstructionKey string `key:"instruction_key,omit"`
	InputKey       string `key:"input_key,omit"`
	OutputKey      string `key:"output_key,omit"`
}

// Schedule is the learning rate over the steps (train.Schedule computes it).
type Schedule struct {
	Type            string  `key:"type" default:"constant"` // constant, linear, cosine, cosine_restarts, polynomial, cool_down, warmup_stable_decay, cosine_annealing, cosine_annealing_warm_restarts
	LR              float64 `key:"lr"`
	ScaleFactor     float64 `key:"lr_scale_factor,omit"` // not 0: the rate times devices and rows of one, divided by this
	LREnd           float64 `key:"lr_end"`
	WarmupInit      float64 `key:"warmup_init"`
	WarmupRatio     float64 `key:"warmup_ratio" default:"-1"` // −1: WarmupSteps or WarmupEpochs say it
	WarmupSteps     int     `key:"warmup_steps"`
	WarmupEpochs    int     `key:"warmup_epochs"`
	TotalSteps      int     `key:"total_steps" default:"-1"` // −1 and 0: from the data
	DecaySteps      int     `key:"decay_steps"`              // 0: from the data
	NumCycles       float64 `key:"num_cycles" default:"0.5"`
	Power           float64 `key:"power" default:"1"`
	EtaMin          float64 `key:"eta_min"`
	DecayRatio      float64 `key:"decay_ratio,omit"`                  // 0: DecaySteps says it
	DecayStartRatio float64 `key:"decay_start_ratio,omit"`            // 0: DecayStart says it
	KeepSteps       int     `key:"keep_steps" when:"type=cool_down"`  // at the peak
	FinalSteps      int     `key:"final_steps" when:"type=cool_down"` // at LREnd
	LREnd2          float64 `key:"lr_end2" when:"type=cool_down"`     // after them
	DecayStart      int     `key:"decay_start" when:"type=warmup_stable_decay"`
	TMax            int     `key:"t_max" default:"1"`
	T0              int     `key:"t_0" default:"1"`
	TMult           int     `key:"t_mult" default:"1"`
}

// EarlyStopping ends a run whose evaluations no longer have a lower loss.
type EarlyStopping struct {
	Patience  int     `key:"patience"`       // evaluations in a row; 0: none end it
	Threshold float64 `key:"threshold,omit"` // by how much a loss must be lower to count
}

// LossScale says what the loss is multiplied by before its gradients are
// computed, and how that changes (train.Scaler applies it).
type LossScale struct {
	Type      string  `key:"type"` // static (or ""), dynamic, adaptive
	Value     float64 `key:"value"`
	Factor    float64 `key:"factor" when:"type!=static"`
	Window    int     `key:"window" when:"type!=static"`
	MinWindow int     `key:"min_window" when:"type=adaptive"`
	MaxWindow int     `key:"max_window" when:"type=adaptive"`
}

// Checkpoint says when state is saved; SaveSteps 0 is at the end only.
type Checkpoint struct {
	Prefix      string `key:"prefix" default:"CKP"`
	SaveSteps   int    `key:"save_steps"`
	SaveSeconds int    `key:"save_seconds,omit"` // between checkpoints, where SaveSteps is 0
	KeepMax     int    `key:"keep_max" default:"5"`
	Format      string `key:"format,omit"`           // ckpt or safetensors as MindFormers, or "" as lorac
	Network     bool   `key:"network" when:"format"` // a file of all weights beside the checkpoint
	Trainable   bool   `key:"trainable,omit"`        // a file of the weights that train
	NoNetwork   bool   `key:"no_network,omit"`       // no such file of all weights either where a flag gives the format
	Ranks       string `key:"ranks,omit"`            // the parallel_config of the ranks that checkpoints are also written for; "": none
}

// LoRA describes the adapter for adapter_config.json; Rank 0 means there is none.
type LoRA struct {
	Rank    int      `key:"rank"`
	Alpha   float64  `key:"alpha"`
	RSLoRA  bool     `key:"rslora,omit"`       // scaled by Alpha/√Rank
	DoRA    bool     `key:"dora,omit"`         // rows of adapted matrices have magnitudes of their own
	Modules []string `key:"modules,omit"`      // modules_to_save: the ends of the names of modules that train whole, in PEFT's names
	Tied    bool     `key:"tied,omit"`         // one of them is embedding and head in one
	Added   []string `key:"added_tokens,omit"` // control tokens that the tokenizer has besides
	Dropout float64  `key:"dropout"`
	Targets []string `key:"targets"`
	RankOf  []string `key:"ranks,omit"`  // NAME=RANK of linears that have another one, by their whole names
	AlphaOf []string `key:"alphas,omit"` // the same of Alpha
}

// Grows reports whether the vocabulary may be larger than the base's: embedding and head
// are saved with the adapter.
func (l LoRA) Grows() bool {
	saves := func(name string) bool {
		return slices.ContainsFunc(l.Modules, func(entry string) bool { return strings.HasSuffix(name, entry) })
	}
	return l.Tied || saves("model.embed_tokens") && saves("lm_head")
}

// Of is the adapter of a linear, by its whole name.
func (l LoRA) Of(linear string) LoRA {
	find := func(list []string) (string, bool) {
		for _, s := range list {
			if value, ok := strings.CutPrefix(s, linear+"="); ok {
				return value, true
			}
		}
		return "", false
	}
	if s, ok := find(l.RankOf); ok {
		l.Rank, _ = strconv.Atoi(s)
	}
	if s, ok := find(l.AlphaOf); ok {
		l.Alpha, _ = strconv.ParseFloat(s, 64)
	}
	return l
}

// Scale is what B·A is multiplied by (Hu et al. 2021; for rsLoRA Kalajdzievski 2023).
func (l LoRA) Scale() float64 {
	if l.RSLoRA {
		return l.Alpha / math.Sqrt(float64(l.Rank))
	}
	return l.Alpha / float64(l.Rank)
}

// Predict is how text is generated.
type Predict struct {
	MaxLength         int      `key:"max_length" default:"1024"` // ids of a text, prompt included
	MaxNew            int      `key:"max_new,omit"`              // ids after the prompt at most; 0: no bound
	MinLength         int      `key:"min_length,omit"`           // ids in all at least; 0: no bound
	MinNew            int      `key:"min_new,omit"`              // ids after the prompt at least; 0: no bound
	Input             []string `key:"input,omit"`                // prompts, where no flag gives others
	DoSample          bool     `key:"do_sample"`
	TopK              int      `key:"top_k" default:"5"`
	TopP              float64  `key:"top_p" default:"1"`
	Temperature       float64  `key:"temperature" default:"1"`
	RepetitionPenalty float64  `key:"repetition_penalty" default:"1"`
}

// Memory is the limit the trainer was compiled for and what it may take, in bytes.
type Memory struct {
	Limit     int    `key:"limit,omit"`     // of the whole process; 0: none
	Base      int    `key:"base,omit"`      // of it, what are neither storages nor activations
	Keep      string `key:"keep,omit"`      // the type that saved activations are stored in; "" for f32
	Choice    string `key:"choice,omit"`    // what was chosen to stay below the limit, for people
	Joined    int    `key:"joined,omit"`    // of weights that the checkpoint stores in pieces
	Embedding bool   `key:"embedding,omit"` // the embedding is such a weight: its rows are not read one by one
	Resident  int    `key:"resident,omit"`  // what the process may take at most beside its threads and processors
	Thread    int    `key:"thread,omit"`    // what each thread may take
	Summed    int    `key:"summed,omit"`    // numbers whose gradients are summed over units and processes; 0: there is one of either
}

// Begin is the id that texts begin with, -1 for none.
func (j *Job) Begin() int {
	if j.AddBOS == "False" {
		return -1
	}
	return j.BosID
}
