// Package rt is what every emitted trainer links: flags, data, weights, the
// run's bookkeeping, checkpoints, evaluation and prediction. It does not know
// the compiler, nor what the model computes.
package rt

import "lorac/kernels"

// Job is what the config fixed; flags may override some of it.
type Job struct {
	Name, Source, Hash string
	MaxRows            int    // token rows of one pass
	Pruned             string // what the compiler left out, for people

	RunMode, Output, LoadCheckpoint, Resume, Tokenizer string
	AutoTrans                                          bool   // LoadCheckpoint may lie spread over ranks,
	SrcStrategy                                        string // as these strategy files say
	Seed, SeqLength, Vocab, BosID, PadID, IgnoreID     int
	EosIDs                                             []int

	Epochs, BatchSize, GradAccum, SinkSize int
	PerTokenLoss, DoEval                   bool
	EvalSteps, EvalEpochs                  int      // steps and epochs between evaluations; below 1: not by them
	Metrics                                []string // PerplexityMetric, EmF1Metric: what evaluation measures as MindFormers defines it
	LogFormat                              string   // mindformers: the lines of MFLossMonitor
	LogEvery                               int      // steps between those
	TrainData, EvalData                    Data
	Schedule                               Schedule
	LossScale                              LossScale
	CheckNaN                               bool // an overflow ends the run
	Checkpoint                             Checkpoint
	LoRA                                   LoRA
	Predict                                Predict
	Memory                                 Memory
	Quant                                  Quant
	Compute                                string // int8: products with the frozen linears of the layers in eight bits
}

// Memory is the limit the trainer was compiled for, in bytes (0: none), what
// the process may take at most beside its threads and processors, and each of
// those threads; what of it are neither storages nor activations, in which type
// kept activations wait, and what was chosen to stay below the limit.
type Memory struct {
	Limit, Resident, Thread, Base int
	Joined                        int  // of weights that the checkpoint stores in pieces
	Embedding                     bool // is such a weight: its rows are not read one by one
	Keep, Choice                  string
}

// Data is a data set and how to read it.
type Data struct {
	Path                   string
	Shuffle, DropRemainder bool
	Compound               bool // each epoch shuffles the order of the one before, as full-batch mode does
	Repeat                 int
	Format, Prompt         string
	Take, Samples          int    // rows read at most, rows of an epoch at most; 0 for all
	SeqLength              int    // of a row, 0: the model's
	Pack                   string // one of dataset.Packs, or ""
	EodReset               bool   // attention is cut behind every id Eod
	Eod                    int
}

// Checkpoint says when state is saved; SaveSteps 0 is at the end only.
type Checkpoint struct {
	Prefix             string
	SaveSteps, KeepMax int
	SaveSeconds        int    // between checkpoints, where SaveSteps is 0
	Format             string // ckpt as MindFormers, or "" as lorac
	Network, Trainable bool   // with ckpt: files of all weights, of those that train, beside the checkpoint
}

// LoRA describes the adapter for adapter_config.json; Rank 0 means there is none.
type LoRA struct {
	Rank           int
	Alpha, Dropout float64
	Targets        []string
}

// Predict is how text is generated.
type Predict struct {
	MaxLength, TopK                      int
	MaxNew, MinLength, MinNew            int // ids behind the prompt at most, ids in all and behind the prompt at least; 0: no bound
	DoSample                             bool
	TopP, Temperature, RepetitionPenalty float64
	Input                                []string // prompts, where no flag gives others
}

// Pass is sequences laid end to end, without padding. T rows are computed, S
// of them supervised.
type Pass struct {
	Tokens  []int32   // [T]
	Pos     []int32   // [T] position within the sequence
	Starts  []int32   // [N] first row of each sequence
	Keys    []uint64  // [T] what random masks are drawn from
	Rows    []int32   // [S] the supervised rows
	Targets []int32   // [S]
	Weights []float32 // [S] share of each row in the loss
}

// Mode is what the process does.
type Mode string

// The modes; train and finetune are the same.
const (
	Train    Mode = "train"
	Eval     Mode = "eval"
	Generate Mode = "predict"
)

// Mat is the matrix type of the kernels, for signatures.
type Mat = kernels.Mat
