package weights

import (
	"encoding/binary"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// saved opens safetensors of names, each with its type and the shape [1, 2].
func saved(t *testing.T, types map[string]string) Set {
	t.Helper()
	size := map[string]int{"F64": 8, "F32": 4, "I32": 4, "U8": 1, "F8_E4M3": 1}
	var entries []safetensors.Entry
	for name, dtype := range types {
		data := make([]byte, 2*size[dtype])
		if dtype == "F64" {
			binary.LittleEndian.PutUint64(data, math.Float64bits(0.1))
		}
		entries = append(entries, safetensors.Entry{Name: name, DType: dtype, Shape: []int{1, 2}, Write: func(w io.Writer) error { _, err := w.Write(data); return err }})
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	must(t, safetensors.Write(path, entries, nil))
	s, err := Open(path)
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// TestAsBase: F64 is read as F32; what is no base is said in one sentence.
func TestAsBase(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	s, err := AsBase(saved(t, map[string]string{q + ".weight": "F64", "model.norm.weight": "F32"}), "base")
	must(t, err)
	x, _ := s.Tensor(q + ".weight")
	h, _ := Describe(s, q+".weight")
	if x.DType != "F32" || h.DType != "F32" || math.Float32frombits(binary.LittleEndian.Uint32(x.Data)) != 0.1 || len(x.Data) != 8 || !Copied(s, q+".weight") || Copied(s, "model.norm.weight") {
		t.Errorf("%+v %+v", x, h)
	}
	for name, c := range map[string]struct{ dtype, want string }{
		q + ".weight.absmax":                       {"F32", "quantised by bitsandbytes"},
		q + ".weight.quant_state.bitsandbytes":     {"U8", "quantised by bitsandbytes"},
		q + ".qweight":                             {"I32", "quantised by GPTQ or AWQ"},
		q + ".weight_scale_inv":                    {"F32", "quantised by FP8"},
		q + ".weight":                              {"F8_E4M3", "quantised by FP8"},
		"base_model.model." + q + ".lora_A.weight": {"F32", "holds an adapter, 1 matrices of LoRA"},
		"adam_m." + q + ".weight":                  {"F32", "the state of an optimizer"},
		"conv1.weight":                             {"F32", "holds no parameter of a Llama"},
	} {
		_, err := AsBase(saved(t, map[string]string{name: c.dtype}), "base")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "= help: ") {
			t.Errorf("%s: %v, not %q", name, err, c.want)
		}
	}
	if _, err := AsBase(saved(t, map[string]string{q + ".weight": "I32"}), "base"); err == nil || !strings.Contains(err.Error(), "whole numbers (I32)") {
		t.Error(err)
	}
}
