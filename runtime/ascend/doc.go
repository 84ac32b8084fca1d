// Package ascend is what emitted trainers for Ascend NPUs link as rt, in place of
// lorac/runtime: the same names, with tensors in the memory of the device. A Run
// wraps one of that package, which has flags, data, base weights, checkpoints and
// the loop; here is what moves between host and device: weights when they are
// loaded, one block for each micro-batch, and what trains when it is saved.
//
// It must not know the compiler, nor what the model computes.
package ascend

import (
	rt "lorac/runtime"
)

// The names that emitted programs use.
type (
	Job           = rt.Job
	Data          = rt.Data
	Devices       = rt.Devices
	Schedule      = rt.Schedule
	LossScale     = rt.LossScale
	EarlyStopping = rt.EarlyStopping
	Checkpoint    = rt.Checkpoint
	LoRA          = rt.LoRA
	Predict       = rt.Predict
	Memory        = rt.Memory
	Quant         = rt.Quant
	Init          = rt.Init
	Model         = rt.Model
	Mode          = rt.Mode
)

// The modes.
const (
	Train    = rt.Train
	Eval     = rt.Eval
	Generate = rt.Generate
)

// Names fills the layers from lo to hi into a name.
func Names(format string, lo, hi int) []string { return rt.Names(format, lo, hi) }
