package model

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/runtime/job"
)

// keyed is a struct of the config whose values shape the graph: the section of its
// keys and, by field, the names of those that are not spelled like the field.
type keyed struct {
	section string
	of      any
	names   map[string]string
}

// apart are fields that are keys of the job (job.Facts compares those), or that the
// base decides, which a checkpoint knows tensor by tensor.
var apart = []string{"SeqLength", "Vocab", "BosID", "EosIDs", "PadID", "IgnoreID", "ParamDType", "Type", "LR", "Rank", "Alpha", "Dropout", "TargetModules", "Scale", "RSLoRA", "DoRA", "LayersToTransform", "ModulesToSave", "Tying", "AddedTokens"}

// keys lists the keys of the config that shape the graph with their values, as
// PATH=VALUE. Those that the optimizer's rule does not read are left out.
func keys(c *config.Config) (out []string) {
	list := []keyed{
		{"model.model_config.", c.Model, map[string]string{"Hidden": "hidden_size", "Layers": "num_layers", "Heads": "num_heads", "KVHeads": "n_kv_heads",
			"FFN": "intermediate_size", "MaxPosition": "max_position_embedding", "RMSEps": "rms_norm_eps", "RopeMethod": "extend_method",
			"RopeFactors": "scaling_factor", "QKVConcat": "qkv_concat", "TieEmbeddings": "tie_word_embeddings", "ComputeDType": "compute_dtype",
			"QKVBias": "qkv_has_bias", "ProjBias": "attn_proj_has_bias", "MLPBias": "mlp_has_bias"}},
		{"optimizer.", c.Optimizer, nil},
		{"runner_wrapper.", c.Wrapper, map[string]string{"UseClip": "use_clip_grad", "MaxNorm": "max_grad_norm"}},
	}
	out = append(out, "optimizer.type="+c.Optimizer.Class())
	if l := c.LoRA; l != nil {
		list = append(list, keyed{"model.model_config.pet_config.", *l, map[string]string{"LRRatio": "loraplus_lr_ratio", "Init": "init_lora_weights"}})
		out = append(out, "model.model_config.pet_config.target_modules="+layers(c.TargetsByLayer()))
	}
	for _, k := range list {
		v := reflect.ValueOf(k.of)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			value, read := valueOf(v.Field(i))
			without := strings.HasSuffix(field.Name, "Bias") && value == "False" || field.Name == "LRRatio" && value == "1" || field.Name == "Init" && value == "True" // as checkpoints that do not know the key
			if slices.Contains(apart, field.Name) || !read || without {
				continue
			}
			name := k.names[field.Name]
			if name == "" {
				name = snake(field.Name)
			}
			out = append(out, k.section+name+"="+value)
		}
	}
	slices.Sort(out)
	return out
}

// valueOf spells a field of the config; read is false for one that was not read,
// or has been worked out from others.
func valueOf(v reflect.Value) (text string, read bool) {
	if v.Kind() == reflect.Map {
		m := v.Interface().(map[string]float64)
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			parts = append(parts, fmt.Sprintf("%s: %v", k, m[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}", len(m) > 0
	}
	if v.Kind() != reflect.Struct || !v.FieldByName("V").IsValid() {
		return "", false
	}
	origin := v.FieldByName("Origin").String()
	return job.Spell(v.FieldByName("V").Interface()), origin != ""
}

// layers says which linears have adapters: of all layers, or of each kind of layer.
func layers(all [][]string) string {
	var out []string
	for from := 0; from < len(all); {
		to := from
		for to+1 < len(all) && slices.Equal(all[to+1], all[from]) {
			to++
		}
		names := "[" + strings.Join(all[from], ", ") + "]"
		if from > 0 || to+1 < len(all) {
			names += fmt.Sprintf(" in layers %d to %d", from, to)
		}
		out = append(out, names)
		from = to + 1
	}
	return strings.Join(out, "; ")
}

// snake is the name of a field as keys are spelled: WeightDecay, weight_decay.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
