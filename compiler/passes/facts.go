package passes

import (
	"lorac/compiler/cost"
	"lorac/ir"
)

// Facts are what is known of the base, the data and the machine that a module
// is compiled for. A pass that needs one which is not known does not run.
type Facts struct {
	Base   *Base        // the base weights; nil: stored as the config says
	Blocks BlockType    // types that quantising gives
	Dims   ir.Env       // extents of the largest micro-batches; nil: as the config allows
	Limit  *Limit       // on the memory of the process; nil: none
	Job    string       // the name of the job before it had Dims or a Limit
	Use    *cost.Use    // what the run makes of the module; nil: the process is not planned
	Device *cost.Device // what it runs on; nil: one of small pages
	Ascend *Ascend      // the card that computes; nil: the processor
	Mesh   *Mesh        // the processes that share each step; nil: one
}

// Ascend is a card.
type Ascend struct {
	SoC     string   // its kind, as 910b3; "" where it is not known
	Cubes   int      // cube cores
	Vectors int      // vector cores
	HBM     int      // bytes of its memory
	Low     ir.DType // type of 16 bits that it multiplies; 0: bf16

	Sums    int                          `json:"-"` // bytes of the sums of gradients of several devices
	Scratch func(z cost.KernelSizes) int `json:"-"` // bytes of the kernels' workspace; nil: none is counted
}

// low is the type of what is multiplied.
func (a *Ascend) low() ir.DType {
	if a.Low == ir.F16 {
		return ir.F16
	}
	return ir.BF16
}

// Base is how a checkpoint stores the frozen storages of a module.
type Base struct {
	Stored   map[string]Stored // by the name of the storage
	Joined   int               // bytes of tensors that it stores in pieces
	InMemory bool              // the embedding is in pieces, or not mapped: its rows are not read one by one
}

// Stored is how the layers of a storage are stored.
type Stored struct {
	DType    ir.DType // the type of most bits among them
	Narrower int      // bytes they take less than if all had that type
}

// BlockType is the type that quantising to a kind (int8, int4) stores a tensor
// in, by its checkpoint name, shape and type; false where it stays as it is.
type BlockType func(kind, name string, shape []int, stored ir.DType) (ir.DType, bool)

// Limit is what a process may take and what decides what it does.
type Limit struct {
	Bytes int    // of the process
	Base  int    // of them, those that no choice of saved activations changes
	Keep  string // the half precision saved activations are stored in, "" for none
}
