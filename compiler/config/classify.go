package config

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// classify looks up every key of the file in the schema.
func (l *loader) classify(root *node) []Key {
	var keys []Key
	l.walk(root, "", &keys)
	return keys
}

func (l *loader) walk(n *node, path string, keys *[]Key) {
	for _, name := range n.keys {
		l.key(n, path, name, keys)
	}
}

// key classifies one key of the mapping n at path, and all keys below it.
func (l *loader) key(n *node, path, name string, keys *[]Key) {
	child, full := n.fields[name], join(path, name)
	r, known := lookup(full)
	if strings.ContainsAny(name, ".[]") {
		known, full = false, join(path, fmt.Sprintf("%q", name)) // a dotted path is not a key
	}
	if shape := sections[full]; shape != 0 {
		switch {
		case child.empty() && shape == yaml.MappingNode, child.empty() && shape == yaml.SequenceNode:
			return // an empty section has no effect
		case child.isMap() && shape == yaml.MappingNode:
			l.walk(child, full, keys)
			return
		case child.kind == yaml.SequenceNode && shape == yaml.SequenceNode:
			for _, item := range child.items {
				if item.isMap() {
					if full == "callbacks" {
						l.beginCallback(item)
					}
					l.walk(item, full+"[]", keys)
					l.strict, l.callback = false, ""
				} else {
					l.wrongType(item, full, "a list of mappings")
				}
			}
			return
		case !known || r.path != full:
			l.wrongType(child, full, map[yaml.Kind]string{yaml.MappingNode: "a section", yaml.SequenceNode: "a list of mappings"}[shape])
			return
		}
	}
	switch {
	case !known || exact(full):
	case l.strict:
		known = false // the schema lists all keys of this callback
	case r.path == path && !strings.HasSuffix(path, "[]") && len(diag.Suggest(name, siblings(path, true))) > 0:
		known = false // the section accepts any key, but this is a misspelt key of the schema
	}
	if l.callback != "" && (r.status == Ignored || name == "type") {
		r.status, r.why = Ignored, l.callback
	}
	k := Key{Path: full, At: child.keyPos, Status: r.status, Why: r.why, Value: child.text()}
	switch {
	case (!known || r.status == Refused) && l.foreign(full):
		return // the whole model or method is refused; its keys need no diagnostic
	case !known:
		k.Status, k.Why = Unknown, ""
		*keys = append(*keys, k)
		l.unknownKey(n, path, name, keys)
		return
	case r.status == Refused && slices.Contains(harmless[full], child.value):
		k.Status, k.Why = Ignored, "as in every Llama"
	case r.status == Refused && harmless[full] == nil && off(child):
		k.Status, k.Why = Ignored, "switched off"
	case r.status == Refused:
		why, wayOut, _ := strings.Cut(r.why, "; ")
		l.errorf(child.keyPos, "refused", "`%s` is not supported", full).WithLabel("%s", why).WithHelp("%s", wayOut)
	case r.status == Used:
		l.unread[full] = true
		k.Why = ""
	case !child.alias && leaves(child, full, k, keys):
		return
	}
	*keys = append(*keys, k)
}

// leaves classifies every key below a section without effect; it reports whether
// there were any.
func leaves(n *node, path string, as Key, keys *[]Key) bool {
	if as.Under == "" {
		as.Under = path
	}
	items := n.items
	if n.isMap() {
		items = []*node{n}
	}
	before := len(*keys)
	for _, item := range items {
		for _, name := range item.keys {
			child, full := item.fields[name], join(path, name)
			if n.kind == yaml.SequenceNode {
				full = join(path+"[]", name)
			}
			if leaves(child, full, as, keys) {
				continue
			}
			as.Path, as.At, as.Value = full, child.keyPos, child.text()
			*keys = append(*keys, as)
		}
	}
	return len(*keys) > before
}

// off reports whether a value disables a feature.
func off(n *node) bool {
	return n.empty() || n.value == false || n.value == 0 || n.value == "" || n.value == 0.0
}

func (l *loader) wrongType(n *node, path, want string) {
	pos := n.pos
	if n.origin != "" {
		pos = n.keyPos
	}
	l.bad[pos] = true
	d := l.errorf(pos, "type", "`%s` must be %s, not %s", path, want, n.text())
	if n.origin != "" {
		d.WithHelp("given by %s", n.origin)
	}
}

// foreign reports whether a key belongs to a model or an adapter that is
// refused anyway.
func (l *loader) foreign(path string) bool {
	f := l.family()
	return l.otherModel() != nil || f != nil && !l.isLlama(f) || l.otherPet() != nil && strings.HasPrefix(path, mc+"pet_config.")
}

// maxUnknown bounds the number of unknown keys that are reported.
const maxUnknown = 50

// unknownKey reports a key that is not in the schema. If there is one suggestion,
// loading continues with it, so that a typo neither hides nor causes other errors;
// the config still has an error.
func (l *loader) unknownKey(n *node, path, name string, keys *[]Key) {
	if l.unknown++; l.unknown > maxUnknown {
		return
	}
	child, where := n.fields[name], "at the top level"
	if path != "" {
		where = fmt.Sprintf("in `%s`", strings.ReplaceAll(path, "[]", ""))
	}
	d := l.errorf(child.keyPos, "unknown-key", "unknown key `%s` %s", name, where)
	allowed := siblings(path, false)
	near := diag.Suggest(name, allowed)
	if ours := otherNames[name]; ours != "" && exact(join(path, ours)) {
		near = []string{ours}
	}
	if len(near) > 0 {
		d.WithLabel("did you mean `%s`?", strings.Join(near, "` or `"))
	} else if there := anywhere(name); there != "" {
		d.WithLabel("`%s` would be known", there)
	}
	switch used := siblings(path, true); {
	case len(used) == 0:
		d.WithHelp("no key of this section has an effect here; remove it")
	case len(used) <= 24:
		d.WithHelp("keys allowed here: %s", strings.Join(used, ", "))
	default:
		d.WithHelp("remove the key, or move it to its section; `lorac check --schema` lists what is known")
	}
	d.WithNote("MindFormers would silently ignore it and use the default")

	if len(near) == 0 || n.fields[near[0]] != nil {
		return
	}
	meant := *child
	meant.unknown = d
	n.fields[near[0]] = &meant // not added to n.keys, which are the keys of the file
	if full := join(path, near[0]); sections[full] == yaml.MappingNode && meant.isMap() {
		l.walk(&meant, full, keys)
	}
}

// otherNames maps the key names of other tools to MindFormers'.
var otherNames = map[string]string{
	"num_hidden_layers":           "num_layers",
	"num_attention_heads":         "num_heads",
	"num_key_value_heads":         "n_kv_heads",
	"rope_theta":                  "theta",
	"rope_scaling":                "scaling_factor",
	"ffn_hidden_size":             "intermediate_size",
	"torch_dtype":                 "compute_dtype",
	"max_seq_len":                 "seq_length",
	"r":                           "lora_rank",
	"rank":                        "lora_rank",
	"lora_r":                      "lora_rank",
	"alpha":                       "lora_alpha",
	"lora_target":                 "target_modules",
	"lora_target_modules":         "target_modules",
	"cutoff_len":                  "seq_length",
	"dropout":                     "lora_dropout",
	"peft_type":                   "pet_type",
	"num_train_epochs":            "epochs",
	"num_epochs":                  "epochs",
	"per_device_train_batch_size": "batch_size",
	"micro_batch_size":            "batch_size",
	"grad_accum":                  "gradient_accumulation_steps",
	"lr":                          "learning_rate",
	"adam_beta1":                  "beta1",
	"adam_beta2":                  "beta2",
	"adam_epsilon":                "eps",
	"epsilon":                     "eps",
	"max_norm":                    "max_grad_norm",
	"clip_grad":                   "use_clip_grad",
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// idle marks the keys that the schema knows but no reader used for this config.
// Without a model nothing was decoded, so nothing is marked.
func (l *loader) idle() {
	if l.c.Model.Hidden.Origin == "" {
		return
	}
	for i := range l.c.Keys {
		k := &l.c.Keys[i]
		if k.Status == Used && l.unread[k.Path] {
			r, _ := lookup(k.Path)
			k.Status, k.Why = Ignored, r.why
		}
	}
}
