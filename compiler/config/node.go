package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// Pos is a position in a YAML file.
type Pos = diag.Pos

// node is one YAML value, typed as PyYAML's safe loader types it (YAML 1.1).
type node struct {
	kind   yaml.Kind
	pos    Pos
	keyPos Pos
	origin string // "" for the file, else the flag that set it

	value  any    // of a scalar: nil, bool, int, float64 or string
	raw    string // of a scalar: as written, without quotes
	quoted bool

	keys   []string // of a mapping, in order
	fields map[string]*node
	items  []*node // of a sequence

	alias bool    // written as *name
	again []*node // of the root: repeated `type` keys, see flatten

	// unknown is the report of the misspelt key this value was found under;
	// see recover.
	unknown *diag.Diagnostic
}

func (n *node) isMap() bool { return n != nil && n.kind == yaml.MappingNode }

// empty reports whether the value is absent or null.
func (n *node) empty() bool {
	return n == nil || n.kind == yaml.ScalarNode && n.value == nil
}

func newMap(pos Pos) *node {
	return &node{kind: yaml.MappingNode, fields: map[string]*node{}, pos: pos, keyPos: pos}
}

func (n *node) set(key string, v *node) {
	if _, ok := n.fields[key]; !ok {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = v
}

// take removes a key and returns its value, nil if absent.
func (n *node) take(key string) *node {
	v := n.child(key)
	if v == nil {
		return nil
	}
	delete(n.fields, key)
	for i, k := range n.keys {
		if k == key {
			n.keys = append(n.keys[:i:i], n.keys[i+1:]...)
			break
		}
	}
	return v
}

// child is one field of a mapping; nil if absent, or if n is not a mapping.
func (n *node) child(key string) *node {
	if !n.isMap() {
		return nil
	}
	return n.fields[key]
}

// keysOf lists the keys of a mapping in order; none of anything else.
func (n *node) keysOf() []string {
	if !n.isMap() {
		return nil
	}
	return n.keys
}

// get walks a dotted path; nil when any part is missing.
func (n *node) get(path string) *node {
	for _, key := range strings.Split(path, ".") {
		if n = n.child(key); n == nil {
			return nil
		}
	}
	return n
}

// merge merges child over base as MindFormers does: mappings recursively, any other
// value is replaced.
func merge(base, child *node) *node {
	if !base.isMap() || !child.isMap() {
		return child
	}
	out := newMap(child.pos)
	out.keyPos, out.again = child.keyPos, child.again
	for _, k := range base.keys {
		out.set(k, base.fields[k])
	}
	for _, k := range child.keys {
		if old := out.fields[k]; old != nil {
			out.set(k, merge(old, child.fields[k]))
		} else {
			out.set(k, child.fields[k])
		}
	}
	return out
}

// text prints a value for messages and reports, as YAML would spell it.
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
	return n.raw
}
