package weights

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/weights/safetensors"
)

// saved opens safetensors of names, each with its type and the shape [1, 2].
func saved(t *testing.T, types map[string]string) Set {
	t.Helper()
	size := map[string]int{"F64": 8, "F32": 4, "I32": 4, "U8": 1, "I64": 8, "BOOL": 1, "F8_E4M3": 1}
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
	if note := Unwrapped(s); note != "1 tensors of F64 are rounded to F32" {
		t.Errorf("that F64 is rounded is not said: %q", note)
	}
	for name, c := range map[string]struct{ dtype, want string }{
		"model.norm.weight":                        {"I64", "model.norm.weight as whole numbers (I64)"},
		"model.embed_tokens.weight":                {"BOOL", "model.embed_tokens.weight as truth values (BOOL)"},
		"model.layers.0.input_layernorm.weight":    {"I32", "whole numbers (I32)"},
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

// TestForeign: what a Llama does not have is named as what it is; biases that are zero
// are left out.
func TestForeign(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	const first, last = "model.layers.0.input_layernorm.bias", "model.norm.bias"
	bias := map[string]string{q + ".weight": "F32", first: "F32", last: "F32"}
	s, err := AsBase(saved(t, bias), "base")
	must(t, err)
	if names := s.Names(); len(names) != 1 || Unwrapped(s) != "2 biases that are all zero, as "+first+", are left out: a Llama has none" {
		t.Errorf("%v %q", names, Unwrapped(s))
	}
	bias[last] = "F64" // which saved makes 0.1
	if _, err := AsBase(saved(t, bias), "base"); err == nil || !strings.Contains(err.Error(), last+", a bias that is not zero") {
		t.Error(err)
	}
	linear := saved(t, map[string]string{q + ".weight": "F32", q + ".bias": "F32", "model.layers.0.self_attn.k_proj.bias": "F64", "model.layers.0.mlp.up_proj.bias": "F64"})
	s, err = AsBase(linear, "base")
	must(t, err)
	if len(s.Names()) != 4 || !IdleBias(s, q+".bias") || IdleBias(s, "model.layers.0.self_attn.k_proj.bias") || IdleBias(s, q+".weight") {
		t.Errorf("biases of linears: %v", s.Names())
	}
	for name, want := range map[string]string{q + ".bias": "qkv_has_bias: True", "model.layers.0.attention.w_qkv.bias": "qkv_has_bias: True", "model.layers.0.self_attn.o_proj.bias": "attn_proj_has_bias: True",
		"model.layers.0.mlp.up_proj.bias": "mlp_has_bias: True", "model.norm.bias": "", q + ".weight": ""} {
		if got := PlaceOfBias(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	const wrapped = "base_model.model." + q
	for name, want := range map[string]string{
		"model.layers.0.self_attn.q_norm.weight":                             "a norm of queries or keys",
		"base_model.model.model.embed_tokens.modules_to_save.default.weight": "modules_to_save",
		wrapped + ".lora_A.second.weight":                                    `the adapter "second" beside "default"`,
		wrapped + ".lora_magnitude_vector.default.weight":                    "a part of DoRA",
		"model.layers.0.mlp.experts.0.gate_proj.weight":                      "an expert of a mixture",
	} {
		_, err := AsBase(saved(t, map[string]string{wrapped + ".base_layer.weight": "F32", wrapped + ".lora_A.default.weight": "F32", name: "F32"}), "base")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "= help: ") != 1 {
			t.Errorf("%s: %v, not %q", name, err, want)
		}
	}
}

// TestCollide: a model that is there twice is said in one sentence.
func TestCollide(t *testing.T) {
	types := map[string]string{}
	for _, n := range []string{"model.norm.weight", "lm_head.weight", "model.layers.0.self_attn.q_proj.weight"} {
		types[n], types["ema."+n] = "F32", "F32"
	}
	_, err := AsBase(saved(t, types), "base")
	if err == nil || !strings.Contains(err.Error(), "base holds 3 of 3 parameters twice") || strings.Count(err.Error(), "\n") != 1 {
		t.Error(err)
	}
}

// TestMetaSafetensors: Meta's names in safetensors are read as those in a .pth.
func TestMetaSafetensors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "consolidated.safetensors")
	var entries []safetensors.Entry
	for n, shape := range map[string][]int{"tok_embeddings.weight": {3, 4}, "layers.0.attention.wq.weight": {4, 4}, "layers.0.attention.wo.weight": {4, 4}, "norm.weight": {4, 1}} {
		entries = append(entries, safetensors.Entry{Name: "module." + n, DType: "F32", Shape: shape, Write: safetensors.Bytes(floats(make([]float32, shape[0]*shape[1])...))})
	}
	must(t, safetensors.Write(path, entries, nil))
	if _, err := Open(path); !errors.Is(err, ErrNoHeads) {
		t.Errorf("without the size of a head: %v", err)
	}
	s, err := OpenHeads(path, 2)
	must(t, err)
	s.Close()
	must(t, os.WriteFile(filepath.Join(dir, "params.json"), []byte(`{"dim": 4, "n_heads": 2}`), 0o644))
	for _, from := range []string{path, dir} {
		s, err := Open(from)
		must(t, err)
		if _, ok := s.Tensor("model.layers.0.self_attn.q_proj.weight"); !ok || Pairs(s, "model.layers.0.self_attn.q_proj.weight") != 2 || Pairs(s, "model.layers.0.self_attn.o_proj.weight") != 0 {
			t.Errorf("%s: %v", from, s.Names())
		}
		if h, ok := Describe(s, "model.embed_tokens.weight"); !ok || len(h.Chunks) != 1 || Unwrapped(s) == "" {
			t.Errorf("%s: %+v %q", from, h, Unwrapped(s))
		}
		s.Close()
	}
}

// TestOtherContent: what is no weights is named in a directory, too.
func TestOtherContent(t *testing.T) {
	for content, want := range map[string]string{"\x1f\x8b\x08\x00": "compressed by gzip", "PK\x03\x04": "torch.save (or a zip archive)", "7z\xbc\xaf\x27\x1c": "a 7z archive"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "model.safetensors")
		must(t, os.WriteFile(path, []byte(content+strings.Repeat("\xff\x00", 100)), 0o644))
		for _, from := range []string{path, dir} {
			if _, err := Open(from); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", from, err, want)
			}
		}
	}
}

// TestConfigAt: what has the name of a config and cannot be read is named.
func TestConfigAt(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.json")
	if list, err := claimsBeside(dir); err != nil || list != nil {
		t.Errorf("nothing there: %v %v", list, err)
	}
	if err := os.Symlink("../blobs/0", file); err != nil {
		t.Skip(err)
	}
	if _, err := claimsBeside(dir); err == nil || !strings.Contains(err.Error(), "config.json is a link to ../blobs/0, which is not there") {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := claimsBeside(dir); err == nil || !strings.Contains(err.Error(), "is a directory, not a file") {
		t.Errorf("a directory: %v", err)
	}
}

// TestClaimsOfBiases: biases that are not all zero say that the model has them.
func TestClaimsOfBiases(t *testing.T) {
	const layer = "model.layers.0."
	set := saved(t, map[string]string{"model.embed_tokens.weight": "F32", "model.norm.weight": "F32", layer + "self_attn.q_proj.bias": "F32", layer + "self_attn.k_proj.bias": "F64",
		layer + "self_attn.o_proj.bias": "F32", layer + "mlp.up_proj.bias": "F64"})
	list, err := Claims("none", set)
	must(t, err)
	got := map[string]string{}
	for _, c := range list {
		if strings.HasSuffix(c.Key, "_bias") {
			if c.Value != true || !c.Shape {
				t.Errorf("%+v", c)
			}
			got[c.Key] = c.Place.Name
		}
	}
	if len(got) != 2 || got["qkv_has_bias"] != "the bias of layer 0, "+layer+"self_attn.k_proj.bias" || got["mlp_has_bias"] != "the bias of layer 0, "+layer+"mlp.up_proj.bias" {
		t.Errorf("%v", got)
	}
}
