package config

import (
	"fmt"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// Limits on alias expansion and nesting. A typical config has two hundred keys, at
// most five levels deep.
const (
	maxNodes = 100_000
	maxDepth = 64
)

// reader converts yaml.v3 nodes: it copies aliases, applies merge keys and types
// scalars.
type reader struct {
	file  string
	diags *diag.List
	count int
	full  bool // a limit was exceeded and reported
}

func (r *reader) errorf(pos Pos, code, format string, args ...any) *diag.Diagnostic {
	d := diag.Errorf(pos, code, format, args...)
	if len(*r.diags) <= 2*maxDiags { // finish reports how many are not shown
		*r.diags = append(*r.diags, d)
	}
	return d
}

func (r *reader) pos(y *yaml.Node) Pos {
	n := utf8.RuneCountInString(y.Value)
	if y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		n += 2
	}
	if y.Kind != yaml.ScalarNode {
		n = 1
	}
	return Pos{File: r.file, Line: y.Line, Col: y.Column, Len: n}
}

func (r *reader) read(y *yaml.Node, depth int) *node {
	n := &node{kind: y.Kind, pos: r.pos(y)}
	if r.count++; r.count > maxNodes || depth > maxDepth {
		if !r.full {
			r.full = true
			r.errorf(n.pos, "yaml-size", "the file nests too deep or its aliases expand too far").
				WithHelp("a config has a few hundred keys; look for aliases that repeat each other")
		}
		n.kind = yaml.ScalarNode
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		copied := r.read(y.Alias, depth+1)
		copied.alias = true
		return copied
	case yaml.MappingNode:
		r.mapping(n, y, depth)
	case yaml.SequenceNode:
		for _, item := range y.Content {
			n.items = append(n.items, r.read(item, depth+1))
		}
	default:
		n.kind = yaml.ScalarNode
		r.scalar(n, y)
	}
	return n
}

func (r *reader) mapping(n *node, y *yaml.Node, depth int) {
	n.fields = map[string]*node{}
	own := map[string]bool{} // keys written here, which win over merged ones
	for i := 0; i+1 < len(y.Content) && !r.full; i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			r.errorf(r.pos(k), "type", "a key must be a scalar, not a list or a mapping")
			continue
		}
		value := r.read(v, depth+1)
		value.keyPos = r.pos(k)
		if k.Value == "<<" && k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
			r.mergeKey(n, value)
			continue
		}
		if own[k.Value] {
			if depth == 0 && k.Value == "type" {
				n.again = append(n.again, value)
				continue
			}
			r.duplicate(k.Value, n.fields[k.Value].keyPos, value.keyPos)
		}
		own[k.Value] = true
		n.set(k.Value, value)
	}
}

func (r *reader) duplicate(key string, first, second Pos) {
	r.errorf(second, "duplicate-key", "key `%s` is duplicated in one mapping", key).
		WithLabel("again here").At(first, "first here").WithHelp("keep one of the two").
		WithNote("MindFormers would silently use the last one")
}

// mergeKey adds the keys of a `<<` that the mapping lacks. The first of several
// mappings wins.
func (r *reader) mergeKey(n, merged *node) {
	parts := merged.items
	if merged.isMap() {
		parts = []*node{merged}
	}
	if parts == nil {
		r.errorf(merged.pos, "type", "`<<` merges a mapping or a list of mappings, not %s", merged.text())
	}
	for _, part := range parts {
		if !part.isMap() {
			r.errorf(part.pos, "type", "`<<` merges mappings, not %s", part.text())
			continue
		}
		for _, key := range part.keys {
			if n.fields[key] == nil {
				n.set(key, part.fields[key])
			}
		}
	}
}

func (r *reader) scalar(n *node, y *yaml.Node) {
	n.raw, n.value = y.Value, y.Value
	n.quoted = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if y.Style&yaml.TaggedStyle == 0 {
		if !n.quoted {
			n.value = scalar11(y.Value)
		}
		return
	}
	plain := scalar11(y.Value)
	kind := fmt.Sprintf("%T", plain)
	switch want := map[string]string{"!!bool": "bool", "!!int": "int", "!!float": "float64", "!!null": "<nil>"}[y.Tag]; {
	case y.Tag == "!!str":
		n.quoted = true // a string by its tag
	case y.Tag == "!!float" && kind != "float64":
		n.quoted = false
		if f, ok := pyFloat(y.Value); ok {
			n.value = f
			return
		}
		r.errorf(n.pos, "type", "%s is not a !!float", n.text())
		n.value = nil
	case want != "" && want == kind:
		n.value, n.quoted = plain, false
	case want != "":
		r.errorf(n.pos, "type", "%s is not a %s", n.text(), y.Tag)
		n.value = nil
	default:
		r.errorf(n.pos, "yaml-tag", "the tag `%s` is not supported", y.Tag).
			WithHelp("a config holds plain values; remove the tag").WithNote("PyYAML's safe loader refuses it, too")
		n.value = nil // reported; the default is used
	}
}
