// Package peft reads and writes LoRA adapters in the format of Hugging Face's PEFT:
// a directory with adapter_config.json and adapter_model.safetensors. In memory
// matrices have their MindFormers names. It must not know how adapters are trained
// or applied.
package peft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"lorac/kernels"
	"lorac/runtime/weights/naming"
)

// Names of the two files.
const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
)

// Config is the part of adapter_config.json that is read and written.
type Config struct {
	Base    string   // base_model_name_or_path
	Rank    int      // r
	Alpha   float64  // lora_alpha
	Dropout float64  // lora_dropout
	Targets []string // target_modules: q_proj, …; Save derives them from the tensors
	Trainer string   // that wrote it: version and commit, in the metadata of the matrices; "" writes what PEFT writes
	Layers  int      // of the base, 0 if unknown; Save names each module if only some layers have adapters

	// Modules that differ from Rank and Alpha, by full module name
	// (model.layers.0.self_attn.q_proj). Only written: an Adapter that was read has
	// its Scale.
	RankOf  map[string]int
	AlphaOf map[string]float64
	RSLoRA  bool // use_rslora; only written, as those two
	DoRA    bool // use_dora: each linear has magnitudes

	Modules []string // modules_to_save
	Tied    bool     // ensure_weight_tying: embedding and head are one module
}

// Tensor is one matrix of an adapter by its MindFormers name: factor A is
// [rank, in], factor B [out, rank], in row-major order; magnitudes are one column.
type Tensor struct {
	Name       string
	Rows, Cols int
	Data       []float32
}

// Adapter is an adapter that was read. Tensors come in pairs of equal rank.
type Adapter struct {
	Config  Config
	Tensors map[string]Tensor
	// Scale is what B·A is multiplied by, by the name of factor A: alpha/r, or
	// alpha/√r with use_rslora, r and alpha by rank_pattern and alpha_pattern
	// where those match. It is not multiplied into the tensors.
	Scale map[string]float64
	// Stored is the tensors in the type of the file, by the names of Tensors.
	// LoadStored fills it, for bit-exact conversions.
	Stored map[string]Stored
	// Modules is the whole modules beside the matrices (modules_to_save), by the
	// MindFormers names of their weights. They stay in the file.
	Modules map[string]Module

	expects *fileConfig // its adapter_config.json, where PEFT wrote it
}

// Idle reports whether all factors B are zero: the adapter changes nothing. Of
// magnitudes and of whole modules the base alone tells.
func (a *Adapter) Idle() bool {
	if a.Config.DoRA || len(a.Modules) > 0 {
		return false
	}
	for name, t := range a.Tensors {
		if _, f, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); f != naming.FactorB {
			continue
		}
		for _, x := range t.Data {
			if x != 0 {
				return false
			}
		}
	}
	return true
}

// Missing lists the linears of a model with so many layers that target_modules
// selects and the file has no adapter for, and names in it that are no linear's.
func (a *Adapter) Missing(layers int) []string {
	if a.expects == nil {
		return nil
	}
	return a.expects.missing(layers, func(linear string) bool {
		_, ok := a.Tensors[naming.LoRAName(linear, naming.FactorA, naming.SchemeMindFormers)]
		return ok
	})
}

// Notes says what a user should know of how the adapter was read.
func (a *Adapter) Notes() []string {
	if a.expects == nil {
		return nil
	}
	if a.expects.mlx {
		return append([]string{fmt.Sprintf("an adapter of MLX-LM: its factors are turned round, its scale is %g", a.expects.Alpha/float64(a.expects.Rank))}, a.expects.unread...)
	}
	return a.expects.unread
}

// OtherBase says that an adapter names another base than the one at a path; "" where the
// path has the name in it, or none is named.
func OtherBase(named, base string) string {
	last := filepath.Base(filepath.ToSlash(named))
	if ext := filepath.Ext(last); ext == ".safetensors" || ext == ".ckpt" || ext == ".gguf" || ext == ".bin" || ext == ".pth" {
		last = strings.TrimSuffix(last, ext)
		if dir := filepath.Base(filepath.Dir(named)); strings.HasPrefix(last, "model") && dir != "." && dir != "/" {
			last = dir
		}
	}
	whole, err := filepath.Abs(base)
	if named == "" || base == "" || last == "." || last == ".." || last == "/" || err != nil || strings.Contains(strings.ToLower(whole), strings.ToLower(last)) {
		return ""
	}
	if len(named) > 100 {
		named = "…" + strings.ToValidUTF8(named[len(named)-97:], "")
	}
	return fmt.Sprintf("its adapter_config.json names the base %s, and the base here is %s: make sure that both are one model", strings.Trim(strconv.Quote(named), `"`), base)
}

// Stored is a matrix in the type of the file.
type Stored struct {
	DType string // as safetensors spells it
	Data  []byte
}

// ErrNoConfig is the error of Load for tensors without adapter_config.json.
// LoadBare reads them with a given alpha.
var ErrNoConfig = errors.New("no " + configName)

// Bytes views f32 values as the bytes of a file without copying. Files and all
// supported machines are little-endian.
func Bytes(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}

// sizes are the bytes of an element of the types Floats reads.
var sizes = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

// Count is the number of elements of a stored tensor; an error if Floats does not
// support its type.
func Count(dtype string, b []byte) (int, error) {
	size := sizes[dtype]
	if size == 0 {
		return 0, fmt.Errorf("the type %s is not supported; F32, F16, BF16 and F64 are", dtype)
	}
	if len(b)%size != 0 {
		return 0, fmt.Errorf("%d bytes are not a whole number of %s", len(b), dtype)
	}
	return len(b) / size, nil
}

// Floats converts the elements of a stored tensor to f32. F64 is rounded.
func Floats(dtype string, b []byte) ([]float32, error) {
	n, err := Count(dtype, b)
	if err != nil {
		return nil, err
	}
	out := make([]float32, n)
	Into(out, dtype, b)
	return out, nil
}

// Into is Floats into dst, which must have Count elements.
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
