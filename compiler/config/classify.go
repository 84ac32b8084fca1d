package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// classify walks all keys of the file and looks each one up.
func (l *loader) classify(root *node) []Key {
	var keys []Key
	l.walk(root, "", &keys)
	return keys
}

func (l *loader) walk(n *node, path string, keys *[]Key) {
	for _, name := range n.keys {
		child := n.fields[name]
		full := name
		if path != "" {
			full = path + "." + name
		}
		r, known := lookup(full)
		switch {
		case child.isMap() && (section(full) || !known && len(siblings(full)) > 0):
			l.walk(child, full, keys)
			continue
		case child.kind == yaml.SequenceNode && section(full):
			for _, item := range child.items {
				if item.isMap() {
					l.walk(item, full+"[]", keys)
				}
			}
			continue
		}
		k := Key{Path: full, At: child.keyPos, Status: r.status, Why: r.why, Value: child.text()}
		if !known {
			if l.otherModel() != "" {
				continue // the model itself is refused; its keys would only add noise
			}
			if l.otherPet() && strings.HasPrefix(full, "model.model_config.pet_config.") {
				continue
			}
			k.Status = Unknown
			l.unknown(name, path, child)
		} else if r.status == Refused && child.value != nil && child.value != false {
			l.errorf(child.keyPos, "refused", "`%s` is not supported", full).WithLabel("%s", r.why)
		}
		*keys = append(*keys, k)
	}
}

func (l *loader) unknown(name, path string, n *node) {
	where := "at the top level"
	if path != "" {
		where = fmt.Sprintf("in `%s`", strings.ReplaceAll(path, "[]", ""))
	}
	d := l.errorf(n.keyPos, "unknown-key", "unknown key `%s` %s", name, where)
	allowed := siblings(path)
	if near := diag.Suggest(name, allowed); len(near) > 0 {
		d.WithLabel("did you mean `%s`?", strings.Join(near, "` or `"))
	} else if near := anywhere(name); near != "" {
		d.WithLabel("`%s` would be known", near)
	}
	if len(allowed) <= 24 {
		d.WithHelp("keys allowed here: %s", strings.Join(allowed, ", "))
	} else {
		d.WithHelp("remove the key, or move it to its section; %d keys are allowed here", len(allowed))
	}
	d.WithNote("MindFormers would ignore it in silence and use the default")
}

// anywhere finds a path elsewhere that ends in the same name.
func anywhere(name string) string {
	for _, r := range schema {
		if strings.HasSuffix(r.path, "."+name) && !strings.Contains(r.path, "[]") {
			return r.path
		}
	}
	return ""
}

// text prints a value for reports.
func (n *node) text() string {
	switch n.kind {
	case yaml.MappingNode:
		return "{…}"
	case yaml.SequenceNode:
		parts := make([]string, len(n.items))
		for i, item := range n.items {
			parts[i] = item.text()
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if n.value == nil {
		return "null"
	}
	if s, ok := n.value.(string); ok && (n.quoted || s == "") {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(n.value)
}
