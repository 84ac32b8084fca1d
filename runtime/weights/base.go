package weights

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
)

// AsBase is a set as the base of a model: without names of wrappers, F64 rounded
// to F32. A set that is another thing is an error: an adapter, the state of a
// run, weights quantised in a way that is not read. path is where it was opened.
func AsBase(s Set, path string) (Set, error) {
	if err := collide(s, path); err != nil {
		return nil, err
	}
	s = Unwrap(s)
	if err := notBase(s, path); err != nil {
		return nil, err
	}
	wide := 0
	for _, n := range s.Names() {
		if h, _ := Describe(s, n); h.DType == "F64" {
			wide++
		}
	}
	zero, err := foreign(s, path)
	if err != nil {
		return nil, err
	}
	if wide > 0 || len(zero) > 0 {
		return &rounded{s, wide, zero}, nil
	}
	return s, nil
}

// collide refuses a set that holds parameters twice, under names that differ in names
// of wrappers alone.
func collide(s Set, path string) error {
	names := s.Names()
	scheme, changed := bareScheme(names)
	if !changed {
		return nil
	}
	by := map[string]string{}
	n, first := 0, ""
	for _, name := range names {
		bare, ok := naming.Bare(name, scheme)
		if _, state := naming.StateOf(bare); !ok || state {
			continue
		}
		if other, twice := by[bare]; twice {
			if n++; n == 1 {
				first = fmt.Sprintf("%s and %s", other, name)
			}
			continue
		}
		by[bare] = name
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s holds %d of %d parameters twice, under names that differ in what wraps them: %s\n  = help: keep one of the two models in the file: state_dict = {k: v for k, v in state_dict.items() if …}", path, n, len(by), first)
}

// rounded shows tensors of F64 as F32, and leaves out biases that are zero. What is
// rounded is copied when it is asked for.
type rounded struct {
	Set
	wide int             // how many are rounded
	zero map[string]bool // what is left out
}

func (r *rounded) Names() []string {
	return slices.DeleteFunc(r.Set.Names(), func(n string) bool { return r.zero[n] })
}

// note says what is not as it is stored; "" for nothing.
func (r *rounded) note() string {
	var parts []string
	if r.wide > 0 {
		parts = append(parts, fmt.Sprintf("%d tensors of F64 are rounded to F32", r.wide))
	}
	if n := len(r.zero); n > 0 {
		parts = append(parts, fmt.Sprintf("%d biases that are all zero, as %s, are left out: a Llama has none", n, slices.Sorted(maps.Keys(r.zero))[0]))
	}
	return strings.Join(parts, "; ")
}

func (r *rounded) Header(name string) (Header, bool) {
	h, ok := Describe(r.Set, name)
	if h.DType == "F64" {
		h.DType, h.Chunks = "F32", nil
	}
	return h, ok
}

func (r *rounded) Tensor(name string) (Tensor, bool) {
	t, ok := r.Set.Tensor(name)
	if ok && t.DType == "F64" {
		wide := t.Data
		t.DType, t.Data = "F32", f32OfF64(wide)
		mmap.Release(wide)
	}
	return t, ok
}

func (r *rounded) Pairs(name string) int { return Pairs(r.Set, name) }

// Same reports whether two names share one tensor in the file.
func (r *rounded) Same(a, b string) bool { return Same(r.Set, a, b) }

// Copied reports whether Tensor copies a tensor to memory, though one file stores
// its bytes in a row.
func Copied(s Set, name string) bool {
	r, ok := s.(*rounded)
	if !ok {
		return false
	}
	h, _ := Describe(r.Set, name)
	return h.DType == "F64"
}

// quantised are the tensors by which weights of a method are known.
var quantised = []struct{ suffix, method string }{
	{".quant_map", "bitsandbytes"}, {".absmax", "bitsandbytes"}, {".quant_state", "bitsandbytes"}, {".SCB", "bitsandbytes (8 bits)"},
	{".qweight", "GPTQ or AWQ"}, {".qzeros", "GPTQ or AWQ"}, {".g_idx", "GPTQ"},
	{".weight_packed", "compressed-tensors"}, {".weight_scale", "FP8 or compressed-tensors"}, {".weight_scale_inv", "FP8"}, {".input_scale", "FP8"},
	{".W_q", "HQQ"}, {".codebooks", "AQLM"}, {".Qidxs", "QuIP#"}, {".weight_blocks", "MXFP4"},
}

// noReal are the types that hold no weights, in words.
var noReal = map[string]string{"I8": "whole numbers", "U8": "whole numbers", "I16": "whole numbers", "U16": "whole numbers", "I32": "whole numbers", "U32": "whole numbers", "I64": "whole numbers",
	"U64": "whole numbers", "Int4": "whole numbers", "BOOL": "truth values", "C64": "complex numbers", "C128": "complex numbers"}

// notBase says what a set is instead of a base.
func notBase(s Set, path string) error {
	names := s.Names()
	if at, method := quantisedBy(s, names); method != "" {
		said := ""
		if said = quantMethod(path); said != "" {
			method, said = said, "; config.json: quantization_config"
		}
		return fmt.Errorf("%s holds weights that are quantised by %s (%s%s), which are not read\n  = help: fetch the full-precision base they were made of; where memory is short, --quant int4 keeps it in four bits", path, method, at, said)
	}
	for _, n := range names {
		mf := n
		if their := naming.MindFormers(n); their != "" {
			mf = their
		}
		h, _ := Describe(s, n)
		if is := noReal[h.DType]; is != "" && naming.Known(mf, naming.SchemeMindFormers) {
			return fmt.Errorf("%s holds %s as %s (%s), which are not read\n  = help: fetch the full-precision base, or save that tensor in floating point; where memory is short, --quant int4 keeps a base in four bits", path, n, is, h.DType)
		}
	}
	lora, model := 0, 0
	for _, n := range names {
		mf := n
		if their := naming.MindFormers(n); their != "" {
			mf = their
		}
		if _, _, ok := naming.SplitLoRA(mf, naming.SchemeMindFormers); ok || strings.Contains(n, "lora_") {
			lora++
		} else if naming.Known(mf, naming.SchemeMindFormers) {
			model++
		}
	}
	switch {
	case lora > 0 && model == 0:
		return fmt.Errorf("%s holds an adapter, %d matrices of LoRA, and no base\n  = help: give it as --load_adapter, and the base model here", path, lora)
	case model == 0 && slices.ContainsFunc(names, isState):
		return fmt.Errorf("%s holds the state of an optimizer, not weights\n  = help: give the model of that training", path)
	case model == 0 && len(names) > 0:
		return fmt.Errorf("%s holds no parameter of a Llama; the first of its %d names is %q\n  = help: give the weights of a Llama", path, len(names), names[0])
	}
	return nil
}

// isState reports whether a name is that of an optimizer's state, of MindSpore or torch.
func isState(name string) bool {
	if _, ok := naming.StateOf(name); ok {
		return true
	}
	return strings.Contains(name, "exp_avg") || strings.HasPrefix(name, "optimizer.") || strings.HasPrefix(name, "state.")
}

// quantisedBy finds a tensor that a way of quantising leaves, and the way.
func quantisedBy(s Set, names []string) (at, method string) {
	for _, n := range names {
		for _, q := range quantised {
			if strings.HasSuffix(n, q.suffix) || strings.Contains(n, q.suffix+".") {
				return n, q.method
			}
		}
		h, _ := Describe(s, n)
		if strings.HasPrefix(h.DType, "F8_") || strings.HasPrefix(h.DType, "F4") || strings.HasPrefix(h.DType, "F6_") {
			return n + " is " + h.DType, "FP8 or the like"
		}
	}
	return "", ""
}

// quantMethod is quantization_config.quant_method of config.json beside weights.
func quantMethod(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	text, err := os.ReadFile(filepath.Join(path, "config.json"))
	if err != nil {
		return ""
	}
	var c struct {
		Quant struct {
			Method string `json:"quant_method"`
		} `json:"quantization_config"`
	}
	if json.Unmarshal(text, &c) != nil {
		return ""
	}
	return c.Quant.Method
}
