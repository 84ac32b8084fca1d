package config

import "strings"

// flatten moves misplaced keys of the documentation example to their sections:
// model_config, arch or pet_config one level too high, or all indentation lost, as
// when copied from a web page. It adds one warning. A key is not moved over an
// existing one.
func (l *loader) flatten() {
	root := l.root
	model := root.child("model")
	if !model.empty() && !model.isMap() {
		return // reported as a value of the wrong type
	}
	var moved []string
	var at Pos
	move := func(from *node, key, to string) {
		v := from.child(key)
		if v.empty() {
			return
		}
		parent, name := root, to
		if i := strings.LastIndex(to, "."); i >= 0 {
			parent, name = l.ensure(to[:i]), to[i+1:]
		}
		if parent == nil || !parent.child(name).empty() {
			return
		}
		from.take(key)
		parent.set(name, v)
		if moved = append(moved, key); len(moved) == 1 {
			at = v.keyPos
		}
	}

	move(root, "model_config", "model.model_config")
	move(root, "arch", "model.arch")
	move(root, "pet_config", "model.model_config.pet_config")
	if model := root.child("model"); model.child("model_config").isMap() {
		move(model, "pet_config", "model.model_config.pet_config")
	}
	// Without indentation, the keys of the model are at the top level or
	// directly below `model`.
	for _, from := range []*node{root, root.child("model")} {
		if root.get("model.model_config").isMap() && len(moved) == 0 || !looksLost(from) {
			continue
		}
		for _, key := range append([]string(nil), from.keys...) {
			switch {
			case key == "type":
				l.placeTypes(from, move)
			case exact(mc+key) && key != "pet_config":
				move(from, key, mc+key)
			case exact(mc + "pet_config." + key):
				move(from, key, mc+"pet_config."+key)
			}
		}
		for _, key := range []string{"model", "model_config", "pet_config", "arch"} {
			if v := from.child(key); v != nil && v.empty() {
				from.take(key) // the header of what was moved
			}
		}
	}
	for _, again := range root.again {
		(&reader{diags: &l.diags}).duplicate("type", root.get("type").at(), again.keyPos)
	}
	if len(moved) > 0 {
		l.warnf(at, "flattened", "the sections of the model are flattened").
			WithLabel("read below `model`, where it belongs").
			WithHelp("indent as in model: / model_config: / pet_config:").
			WithNote("moved: %s", strings.Join(moved, ", "))
	}
}

// looksLost reports whether a mapping has keys that only belong in model_config.
func looksLost(n *node) bool {
	for _, key := range []string{"hidden_size", "num_layers", "num_heads", "lora_rank", "target_modules", "pet_type"} {
		if !n.child(key).empty() {
			return true
		}
	}
	return false
}

// placeTypes moves `type: LlamaConfig` and `type: LlamaForCausalLM`, which are in
// one mapping without indentation.
func (l *loader) placeTypes(from *node, move func(from *node, key, to string)) {
	all := append([]*node{from.child("type")}, from.again...)
	from.again = nil
	for _, v := range all {
		from.set("type", v)
		if s, _ := v.value.(string); strings.HasSuffix(s, "Config") {
			move(from, "type", "model.model_config.type")
		} else {
			move(from, "type", "model.arch.type")
		}
	}
}

// ensure returns the mapping at a path, creating it if absent; nil if the path has
// another value.
func (l *loader) ensure(path string) *node {
	n := l.root
	for _, key := range strings.Split(path, ".") {
		child := n.child(key)
		if child.empty() {
			at := l.root.pos
			if child != nil {
				at = child.keyPos
			}
			child = newMap(at)
			n.set(key, child)
		}
		if !child.isMap() {
			return nil
		}
		n = child
	}
	return n
}

func (n *node) at() Pos {
	if n == nil {
		return Pos{}
	}
	return n.keyPos
}
