// Package mesh is what emitted trainers link as rt, in place of lorac/runtime, where
// several processes share each row of a step, or the states of its optimizer: the same
// names. They share each layer (axis model of the mesh), or have layers of their own (axis
// stage), or rows of their own and shares of the states (axis optimizer), or several of
// that. A Run wraps one of that package; here is what a process has of the weights and of what
// trains, what processes say to each other, and the order in which a stage takes its
// micro-batches. What trains is whole on each process as well, as a mirror for
// checkpoints and adapters, which so do not depend on the mesh; states of which processes
// have shares are put together tensor by tensor instead.
//
// It must not know the compiler, nor how processes reach each other.
package mesh

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
	Arena         = rt.Arena
	Stack         = rt.Stack
	MicroBatch    = rt.MicroBatch
)

// The modes.
const (
	Train    = rt.Train
	Eval     = rt.Eval
	Generate = rt.Generate
)

// Names fills the layers from lo to hi into a name.
func Names(format string, lo, hi int) []string { return rt.Names(format, lo, hi) }

// Mesh is how the processes of a program share each row of a step.
type Mesh struct {
	Model  int // processes that share each layer; neighbours
	Stages int // of layers
	Layers int // of all stages
	Shards int // processes that have shares of the optimizer's states
}

// size is the number of processes that share each row.
func (m Mesh) size() int { return max(m.Model, 1) * max(m.Stages, 1) }

// stageOf is the stage that computes a layer (ir.Module.StageOf).
func (m Mesh) stageOf(layer int) int { return ((layer+1)*m.Stages - 1) / m.Layers }
