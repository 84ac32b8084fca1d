// Package rt is what every emitted trainer links: it puts together flags, data,
// weights, the training loop, checkpoints, evaluation and prediction. It must
// not know the compiler, nor what the model computes.
//
// Main (a process) and Execute (one run of several in a process) run a job with
// the functions of its model. A Run is its parts: the Loader has the weights,
// the Loop takes the steps and keeps the checkpoints, the Reporter of package
// train tells of them, the Evaluator and the Generator of package infer use the
// model. Errors are returned, with the exit code they call for (package exit),
// and end in Main.
//
// No package variable holds the state of a run. What belongs to the process is
// set up by each run to the same values (process.go): the collector's target,
// faults in mapped files as panics, signals that remove temporary files.
package rt

import (
	"lorac/kernels"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
)

// The names that emitted programs use.
type (
	Job           = job.Job
	Model         = job.Model
	Data          = job.Data
	Devices       = job.Devices
	Schedule      = job.Schedule
	LossScale     = job.LossScale
	EarlyStopping = job.EarlyStopping
	Checkpoint    = job.Checkpoint
	LoRA          = job.LoRA
	Predict       = job.Predict
	Memory        = job.Memory
	Quant         = job.Quant

	MicroBatch = microbatch.MicroBatch
	Mat        = kernels.Mat
)

// Mode is what a run does.
type Mode string

// The modes; train and finetune are the same.
const (
	Train    Mode = "train"
	Eval     Mode = "eval"
	Generate Mode = "predict"
)

// modeOf is the mode that run_mode asks for.
func modeOf(runMode string) Mode {
	switch runMode {
	case "eval":
		return Eval
	case "predict":
		return Generate
	}
	return Train
}
