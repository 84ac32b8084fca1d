// Package peft reads and writes LoRA adapters in the directory format of
// Hugging Face's PEFT: adapter_config.json and adapter_model.safetensors.
package peft

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"unsafe"

	"lorac/kernels"
	"lorac/runtime/checkpoint"
	"lorac/runtime/safetensors"
)

// Config is what lorac needs of adapter_config.json.
type Config struct {
	Base    string   // base_model_name_or_path
	Rank    int      // r
	Alpha   float64  // lora_alpha
	Dropout float64  // lora_dropout
	Targets []string // target_modules: q_proj, …
}

// Tensor is one matrix of an adapter, by its MindFormers name.
type Tensor struct {
	Name       string
	Rows, Cols int
	Data       []float32
}

// Adapter is a loaded adapter. Scale is what PEFT multiplies B·A by, per
// module: folded into nothing yet.
type Adapter struct {
	Config  Config
	Tensors map[string]Tensor
	Scale   map[string]float64 // by the MindFormers name of the A matrix
}

const prefix = "base_model.model."

// Save writes the directory; adapter_config.json comes last, so that a
// directory with one is whole.
func Save(dir string, c Config, tensors []Tensor) error {
	var entries []safetensors.Entry
	for _, t := range tensors {
		name := checkpoint.HF(t.Name)
		if name == "" {
			return fmt.Errorf("the adapter of %s has no name in PEFT (with qkv_concat there is none)", t.Name)
		}
		entries = append(entries, safetensors.Entry{Name: prefix + name, DType: "F32", Shape: []int{t.Rows, t.Cols},
			Write: func(w io.Writer) error { _, err := w.Write(Bytes(t.Data)); return err }})
	}
	if err := safetensors.Write(filepath.Join(dir, "adapter_model.safetensors"), entries, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	targets := append([]string(nil), c.Targets...)
	sort.Strings(targets)
	var base any = c.Base
	if c.Base == "" {
		base = nil
	}
	text, err := json.MarshalIndent(map[string]any{
		"alpha_pattern": map[string]any{}, "auto_mapping": nil, "base_model_name_or_path": base, "bias": "none",
		"fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true, "layer_replication": nil,
		"layers_pattern": nil, "layers_to_transform": nil, "loftq_config": map[string]any{}, "lora_alpha": c.Alpha,
		"lora_dropout": c.Dropout, "megatron_config": nil, "megatron_core": "megatron.core", "modules_to_save": nil,
		"peft_type": "LORA", "r": c.Rank, "rank_pattern": map[string]any{}, "revision": nil, "target_modules": targets,
		"task_type": "CAUSAL_LM", "use_dora": false, "use_rslora": false,
	}, "", "  ")
	if err != nil {
		return err
	}
	return checkpoint.WriteFile(filepath.Join(dir, "adapter_config.json"), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// Bytes views f32 values as little-endian bytes.
func Bytes(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}

type rawConfig struct {
	Type        string             `json:"peft_type"`
	Base        *string            `json:"base_model_name_or_path"`
	R           *int               `json:"r"`
	Alpha       *float64           `json:"lora_alpha"`
	Dropout     float64            `json:"lora_dropout"`
	Targets     json.RawMessage    `json:"target_modules"`
	Bias        string             `json:"bias"`
	DoRA        bool               `json:"use_dora"`
	RSLoRA      bool               `json:"use_rslora"`
	ModulesSave []string           `json:"modules_to_save"`
	RankPattern map[string]int     `json:"rank_pattern"`
	AlphaPat    map[string]float64 `json:"alpha_pattern"`
}

// Load reads an adapter from its directory, or from the safetensors file in
// it, and checks it whole.
func Load(path string) (*Adapter, error) {
	dir := path
	if strings.HasSuffix(path, ".safetensors") {
		dir = filepath.Dir(path)
	}
	text, err := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	if err != nil {
		return nil, fmt.Errorf("an adapter needs its adapter_config.json: %w", err)
	}
	var raw rawConfig
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s/adapter_config.json: %w", dir, err)
	}
	if err := raw.check(); err != nil {
		return nil, fmt.Errorf("%s/adapter_config.json: %w", dir, err)
	}
	file := path
	if dir == path {
		file = filepath.Join(dir, "adapter_model.safetensors")
	}
	f, err := safetensors.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := &Adapter{Tensors: map[string]Tensor{}, Scale: map[string]float64{}}
	a.Config = Config{Rank: 8, Alpha: 8, Dropout: raw.Dropout}
	if raw.R != nil {
		a.Config.Rank = *raw.R
	}
	if raw.Alpha != nil {
		a.Config.Alpha = *raw.Alpha
	}
	if raw.Base != nil {
		a.Config.Base = *raw.Base
	}
	json.Unmarshal(raw.Targets, &a.Config.Targets) // a pattern instead of a list says nothing the tensors do not
	for _, name := range f.Names() {
		if err := a.add(f, name, &raw); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return a, a.pairs(file)
}

func (r *rawConfig) check() error {
	switch {
	case r.Type != "LORA":
		return fmt.Errorf("peft_type %q is not supported, only LORA is", r.Type)
	case r.DoRA:
		return fmt.Errorf("use_dora is not supported")
	case len(r.ModulesSave) > 0:
		return fmt.Errorf("modules_to_save %v is not supported", r.ModulesSave)
	case r.Bias != "" && r.Bias != "none":
		return fmt.Errorf("bias %q is not supported", r.Bias)
	case r.R != nil && *r.R < 1:
		return fmt.Errorf("r is %d", *r.R)
	}
	return nil
}

func (a *Adapter) add(f *safetensors.File, name string, raw *rawConfig) error {
	t, _ := f.Tensor(name)
	hf := strings.TrimPrefix(name, prefix)
	mf := checkpoint.MindFormers(hf)
	if mf == "" || !strings.Contains(mf, "mindpet_delta_lora") {
		return fmt.Errorf("tensor %q belongs to no linear of a Llama", name)
	}
	if len(t.Shape) != 2 {
		return fmt.Errorf("tensor %q has shape %v, a matrix is due", name, t.Shape)
	}
	data, err := Floats(t.DType, t.Data)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	a.Tensors[mf] = Tensor{mf, t.Shape[0], t.Shape[1], data}
	if module, ok := strings.CutSuffix(hf, ".lora_A.weight"); ok {
		rank, alpha := a.Config.Rank, a.Config.Alpha
		for k, v := range raw.RankPattern {
			if matches(k, module) {
				rank = v
			}
		}
		for k, v := range raw.AlphaPat {
			if matches(k, module) {
				alpha = v
			}
		}
		if t.Shape[0] != rank {
			return fmt.Errorf("tensor %q has rank %d, the config says %d", name, t.Shape[0], rank)
		}
		a.Scale[mf] = alpha / float64(rank)
		if raw.RSLoRA {
			a.Scale[mf] = alpha / math.Sqrt(float64(rank))
		}
	}
	return nil
}

func matches(pattern, module string) bool {
	re, err := regexp.Compile(`^(.*\.)?(` + pattern + `)$`)
	return err == nil && re.MatchString(module)
}

// pairs checks that every A has its B.
func (a *Adapter) pairs(file string) error {
	for name, t := range a.Tensors {
		base, isA := strings.CutSuffix(name, "_a")
		other := base + "_b"
		if !isA {
			other = strings.TrimSuffix(name, "_b") + "_a"
		}
		o, ok := a.Tensors[other]
		if !ok {
			return fmt.Errorf("%s: %s stands without %s", file, checkpoint.HF(name), checkpoint.HF(other))
		}
		if isA && o.Cols != t.Rows {
			return fmt.Errorf("%s: %s has rank %d, its other half %d", file, checkpoint.HF(name), t.Rows, o.Cols)
		}
	}
	return nil
}

// Floats converts stored elements to f32.
func Floats(dtype string, b []byte) ([]float32, error) {
	switch dtype {
	case "F32":
		out := make([]float32, len(b)/4)
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		return out, nil
	case "F64":
		out := make([]float32, len(b)/8)
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
		return out, nil
	case "BF16":
		out := make([]float32, len(b)/2)
		for i := range out {
			out[i] = kernels.BFloat(binary.LittleEndian.Uint16(b[2*i:]))
		}
		return out, nil
	case "F16":
		out := make([]float32, len(b)/2)
		for i := range out {
			out[i] = kernels.Half(binary.LittleEndian.Uint16(b[2*i:]))
		}
		return out, nil
	}
	return nil, fmt.Errorf("its type %s holds no real numbers lorac reads", dtype)
}
