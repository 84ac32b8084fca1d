// Package peft reads and writes LoRA adapters as Hugging Face's PEFT keeps
// them: a directory with adapter_config.json and adapter_model.safetensors. In
// memory matrices go by their MindFormers names. It must not know how adapters
// are trained or applied.
package peft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"lorac/kernels"
)

// Names of the two files.
const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
)

// Config is what adapter_config.json says, as far as it is read and written.
type Config struct {
	Base    string   // base_model_name_or_path
	Rank    int      // r
	Alpha   float64  // lora_alpha
	Dropout float64  // lora_dropout
	Targets []string // target_modules: q_proj, …; Save takes them from the tensors
	Layers  int      // of the base; where Save finds adapters on some of them only, it names each. 0: not known

	// Where modules differ from Rank and Alpha, by the whole name of a module
	// (model.layers.0.self_attn.q_proj). Written only: an Adapter that was read
	// has its Scale.
	RankOf  map[string]int
	AlphaOf map[string]float64
}

// Tensor is one matrix of an adapter, by its MindFormers name: factor A is
// [rank, in], factor B [out, rank], row by row.
type Tensor struct {
	Name       string
	Rows, Cols int
	Data       []float32
}

// Adapter is an adapter that was read. Tensors come in pairs whose ranks agree.
type Adapter struct {
	Config  Config
	Tensors map[string]Tensor
	// Scale is what B·A is multiplied by, by the name of factor A: alpha/r, or
	// alpha/√r with use_rslora, r and alpha by rank_pattern and alpha_pattern
	// where those match. It is not multiplied into the tensors.
	Scale map[string]float64
	// Stored is the tensors as they lie in the file, by the names of Tensors;
	// LoadStored fills it, for who must not lose a bit.
	Stored map[string]Stored
}

// Stored is a matrix as it lies in a file.
type Stored struct {
	DType string // as safetensors spells it
	Data  []byte
}

// ErrNoConfig is the error of Load for tensors without adapter_config.json;
// LoadBare reads them, given the alpha.
var ErrNoConfig = errors.New("no " + configName)

// Bytes views f32 values as the bytes of a file, without copying. Files are
// little-endian, and so are the machines this runs on.
func Bytes(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}

// sizes are the bytes of an element of the types Floats reads.
var sizes = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

// Count is how many elements a tensor in a file has, if Floats reads its type.
func Count(dtype string, b []byte) (int, error) {
	size := sizes[dtype]
	if size == 0 {
		return 0, fmt.Errorf("it is stored as %s; F32, F16, BF16 and F64 are read", dtype)
	}
	if len(b)%size != 0 {
		return 0, fmt.Errorf("%d bytes are no whole number of %s", len(b), dtype)
	}
	return len(b) / size, nil
}

// Floats converts the elements of a tensor in a file to f32. F64 is rounded.
func Floats(dtype string, b []byte) ([]float32, error) {
	n, err := Count(dtype, b)
	if err != nil {
		return nil, err
	}
	out := make([]float32, n)
	Into(out, dtype, b)
	return out, nil
}

// Into is Floats into memory that is there, of as many elements as Count says.
func Into(out []float32, dtype string, b []byte) {
	switch dtype {
	case "F64":
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	case "F32":
		copy(Bytes(out), b)
	case "F16":
		for i := range out {
			out[i] = kernels.Half(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case "BF16":
		for i := range out {
			out[i] = kernels.BFloat(binary.LittleEndian.Uint16(b[2*i:]))
		}
	}
}
