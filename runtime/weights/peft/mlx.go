package peft

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// MLXName is the file of matrices that MLX-LM writes beside its own
// adapter_config.json. Its factors are transposed: lora_a is [in, rank], lora_b
// [rank, out], and y = W·x + scale·(x·lora_a)·lora_b (mlx_lm/tuner/lora.py).
const MLXName = "adapters.safetensors"

// isMLX reports whether adapter_config.json is MLX-LM's.
func isMLX(keys map[string]json.RawMessage) bool {
	_, lora := keys["lora_parameters"]
	_, kind := keys["fine_tune_type"]
	_, peft := keys["peft_type"]
	return (lora || kind) && !peft
}

// parseMLX reads it.
func parseMLX(keys map[string]json.RawMessage) (*fileConfig, error) {
	kind := "lora"
	p := struct {
		Rank    int      `json:"rank"`
		Scale   *float64 `json:"scale"`
		Dropout float64  `json:"dropout"`
		Keys    []string `json:"keys"` // linears by their names within a layer; null: all
	}{}
	if raw, ok := keys["fine_tune_type"]; ok {
		if err := json.Unmarshal(raw, &kind); err != nil {
			return nil, fmt.Errorf("`fine_tune_type` is %s: %w", short(raw), err)
		}
	}
	if kind != "lora" {
		return nil, fmt.Errorf("`fine_tune_type` is %q, of MLX-LM; only lora is read", kind)
	}
	if err := json.Unmarshal(keys["lora_parameters"], &p); err != nil {
		return nil, fmt.Errorf("`lora_parameters` is %s, which is not MLX-LM's: %w", short(keys["lora_parameters"]), err)
	}
	if p.Rank < 1 || p.Scale == nil {
		return nil, errors.New("`lora_parameters` must have `rank` and `scale`, as MLX-LM writes them")
	}
	c := &fileConfig{Config: Config{Rank: p.Rank, Alpha: *p.Scale * float64(p.Rank), Dropout: p.Dropout}, anything: true, mlx: true}
	for _, key := range []string{"num_layers", "lora_layers"} { // the second until 2024
		if raw := keys[key]; given(raw) && c.mlxLayers == nil {
			if err := json.Unmarshal(raw, &c.mlxLayers); err != nil {
				return nil, fmt.Errorf("`%s` is %s, must be a whole number", key, short(raw))
			}
		}
	}
	c.targets = func(module string) bool {
		return len(p.Keys) == 0 || slices.ContainsFunc(p.Keys, func(k string) bool { return strings.HasSuffix(module, "."+k) })
	}
	c.excluded = func(string) bool { return false }
	return c, nil
}

// otherLayers says where the layers that the file has adapters of are not the last ones, as
// many as num_layers says: MLX-LM makes none for others (mlx_lm/tuner/utils.py).
func (c *fileConfig) otherLayers(layers int, found map[string]bool) string {
	if c.mlxLayers == nil || layers == 0 {
		return ""
	}
	n := min(*c.mlxLayers, layers)
	if n < 0 {
		n = layers
	}
	has := map[int]bool{}
	for module, ok := range found {
		if ok {
			has[naming.Layer(module+".weight")] = true
		}
	}
	first := layers - n
	same := len(has) == n
	for layer := range has {
		same = same && layer >= first
	}
	if same {
		return ""
	}
	list := slices.Sorted(maps.Keys(has))
	return fmt.Sprintf("num_layers is %d, the last ones of %d, and the file has adapters of %d: %s", *c.mlxLayers, layers, len(list), strings.Trim(fmt.Sprint(list), "[]"))
}

// fromMLX is a tensor under PEFT's name and in its orientation; one that is not
// MLX-LM's stays as it is.
func fromMLX(t safetensors.Tensor) safetensors.Tensor {
	for theirs, ours := range map[string]string{".lora_a": ".lora_A.weight", ".lora_b": ".lora_B.weight"} {
		linear, ok := strings.CutSuffix(t.Name, theirs)
		if !ok || len(t.Shape) != 2 || strings.HasSuffix(linear, ".weight") { // that is GGUF's
			continue
		}
		if _, ok := naming.Bare(linear+ours, naming.SchemeHuggingFace); !ok {
			continue
		}
		rows, cols := t.Shape[0], t.Shape[1]
		t.Name, t.Shape = linear+ours, []int{cols, rows}
		if rows == 0 || cols == 0 || len(t.Data)%(rows*cols) != 0 {
			return t
		}
		size := len(t.Data) / (rows * cols)
		turned := make([]byte, len(t.Data))
		for i := range rows {
			for j := range cols {
				copy(turned[(j*rows+i)*size:][:size], t.Data[(i*cols+j)*size:])
			}
		}
		t.Data = turned
		return t
	}
	return t
}
