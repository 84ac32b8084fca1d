package codegen

import (
	"math"
	"strings"

	"lorac/ir"
	rt "lorac/runtime"
	"lorac/runtime/job"
	"lorac/runtime/weights/naming"
)

// Job is the job of a module as its trainer will have it.
func Job(m *ir.Module) (*rt.Job, error) {
	list := jobSettings(m)
	j, err := job.Decode(list)
	if err != nil {
		for _, s := range m.Settings { // which one it is
			for _, key := range list {
				if _, wrong := job.Decode([]job.Setting{key}); key.Key == s.Key && wrong != nil {
					return nil, formless(m, s.Line, "%v", wrong)
				}
			}
		}
		return nil, err
	}
	for _, s := range m.Settings {
		n, whole := s.Val.(int)
		if least, counts := leastOf[s.Key]; counts && whole && n < least {
			return nil, formless(m, s.Line, "the setting `%s` is %d, it must be at least %d", s.Key, n, least)
		}
	}
	if err := checkAgree(m, j); err != nil {
		return nil, err
	}
	if err := chatOf(m, j); err != nil {
		return nil, err
	}
	j.Name, j.Source, j.Hash, j.MaxRows = m.Name, m.Source, m.Identity(), m.MaxEnv()["T"]
	j.Model = modelOf(m)
	return j, nil
}

// leastOf are the least values of counts, which the rules of a config see to, but
// nobody in an edited dump.
var leastOf = map[string]int{"seq_length": 1, "vocab": 1, "batch_size": 1, "grad_accum": 1, "train_data.repeat": 1, "eval_data.repeat": 1,
	"epochs": 0, "sink_size": 0, "eval_steps": 0, "early_stopping.patience": 0}

// checkAgree refuses an edited dump in which a setting and what is computed tell one
// fact in two ways.
func checkAgree(m *ir.Module, j *rt.Job) error {
	at := func(key string) (line int) {
		for _, s := range m.Settings {
			if s.Key == key {
				line = s.Line
			}
		}
		return line
	}
	for _, c := range []struct {
		key, size string
		value     int
	}{{"lora.rank", "rank", j.LoRA.Rank}, {"vocab", "vocab", j.Vocab}} {
		if n := m.SizeOf(c.size); n != 0 && c.value != 0 && n != c.value {
			return formless(m, at(c.key), "the setting `%s` is %d, the size `%s` is %d", c.key, c.value, c.size, n)
		}
	}
	if j.LoRA.Rank == 0 {
		return nil
	}
	differs := func(line int, what string, x, scale float64) error {
		return formless(m, line, "%s by %g, but the settings lora.rank, lora.alpha and what stands beside them make %g of it (line %d), which the adapter will say", what, x, scale, at("lora.alpha"))
	}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "row_norms" {
				if a := s.Args[1].Storage; a != nil && !near(s.Attrs.Float("by"), scaleOf(j, a)) {
					return differs(s.Line, "`row_norms` scales an adapter", s.Attrs.Float("by"), scaleOf(j, a))
				}
				continue
			}
			if !ir.IsLoRA(s) || m.Low() != 0 { // a device multiplies by copies
				continue
			}
			g, err := ir.LoRAOf(s)
			if err != nil {
				return formless(m, s.Line, "`%s`: %v", s.Op.Name, err)
			}
			for _, l := range g.Adapters() {
				if a := s.Args[l.A].Storage; a != nil {
					if scale := scaleOf(j, a); !near(g.Scale, scale) {
						return differs(s.Line, "`"+s.Op.Name+"` scales its adapters", g.Scale, scale)
					}
				}
			}
			if len(g.Adapters()) > 0 && g.Dropout != 0 && !near(g.Dropout, j.LoRA.Dropout) {
				return formless(m, s.Line, "`%s` drops with p=%g, but the setting `lora.dropout` is %g (line %d)", s.Op.Name, g.Dropout, j.LoRA.Dropout, at("lora.dropout"))
			}
		}
	}
	for _, s := range m.Storages {
		if of := m.Storage(s.Attrs.Str("of")); s.Kind == ir.Copy && of != nil && of.Adapter() {
			if x, scale := s.Attrs.Float("scale"), scaleOf(j, of); !near(x, 1) && !near(x, scale) {
				return differs(s.Line, "$"+s.Name+" is multiplied", x, scale)
			}
		}
	}
	return nil
}

// scaleOf is the scale of the adapter that a factor is part of.
func scaleOf(j *rt.Job, factor *ir.Storage) float64 {
	name := factor.TensorName(0)
	if linear, _, ok := naming.SplitLoRA(name, naming.SchemeMindFormers); ok {
		name = linear
	}
	return j.LoRA.Of(name).Scale()
}

// near reports whether two numbers are one but for how they were written.
func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b))
}

// modelOf is what a module computes; of one without named sizes nothing is known.
func modelOf(m *ir.Module) rt.Model {
	rope := m.Storage("rope.cos")
	eps := epsilon(m)
	if rope == nil || eps == 0 || m.SizeOf("heads") == 0 {
		return rt.Model{}
	}
	out := rt.Model{Hidden: m.SizeOf("hidden"), FFN: m.SizeOf("ffn"), Layers: m.SizeOf("layers"), Heads: m.SizeOf("heads"), KvHeads: m.SizeOf("kv_heads"),
		Eps: eps, Theta: rope.Attrs.Float("theta"), Method: rope.Attrs.Str("method"), Tied: m.Storage("head") == nil}
	for _, s := range m.Storages {
		if s.Kind != ir.Param {
			continue
		}
		switch naming.BiasKey(s.TensorName(0)) {
		case "qkv_has_bias":
			out.QKVBias = true
		case "attn_proj_has_bias":
			out.ProjBias = true
		case "mlp_has_bias":
			out.MLPBias = true
		}
	}
	for _, f := range ropeFactors {
		if _, ok := rope.Attrs[f.attr]; ok {
			if out.Factors == nil {
				out.Factors = map[string]float64{}
			}
			out.Factors[f.attr] = rope.Attrs.Float(f.attr)
		}
	}
	return out
}

// epsilon is that of the norms.
func epsilon(m *ir.Module) float64 {
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if _, ok := s.Attrs["eps"]; ok && strings.Contains(s.Op.Name, "rmsnorm") {
				return s.Attrs.Float("eps")
			}
		}
	}
	return 0
}

// jobSettings are the settings of a module that are keys of the job; others are
// the compiler's own.
func jobSettings(m *ir.Module) (out []job.Setting) {
	for _, s := range m.Settings {
		if !strings.HasPrefix(s.Key, "ir.") && !strings.HasPrefix(s.Key, "size.") && s.Key != "hash" {
			out = append(out, job.Setting{Key: s.Key, Value: s.Val})
		}
	}
	return out
}
