package config

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// Override sets one key from the command line. It wins over the file.
type Override struct {
	Path   string // dotted
	Value  string // as typed; see parseFlag
	Origin string // the flag, for messages
}

// override sets a dotted path. A missing section is created, so that a misspelt
// section is reported as an unknown key of the flag.
func (l *loader) override(o Override) {
	if o.Origin == "" {
		o.Origin = "--" + o.Path
	}
	at := Pos{File: o.Origin}
	parts := strings.Split(o.Path, ".")
	n := l.root
	for i, key := range parts {
		if key == "" {
			l.errorf(at, "override", "`%s` is not the path of a key", o.Path).WithHelp("write it as in --model.model_config.seq_length 512")
			return
		}
		if i == len(parts)-1 {
			break
		}
		child := n.child(key)
		if child.empty() {
			child = newMap(at)
			child.origin = o.Origin
			n.set(key, child)
		}
		if !child.isMap() {
			l.errorf(at, "override", "`%s` is not a section, so `%s` cannot be set", key, o.Path)
			return
		}
		n = child
	}
	v := parseFlag(o.Value)
	v.stamp(at, o.Origin)
	n.set(parts[len(parts)-1], v)
}

// parseFlag types a value from the command line as MindFormers does
// (r1.3 mindformers/tools/utils.py, parse_value): numbers, booleans, JSON,
// and everything else a string. Unlike in the file, 1e-5 is a number.
func parseFlag(s string) *node {
	n := &node{kind: yaml.ScalarNode, value: s, raw: s, quoted: true}
	if strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{") {
		doc, second, err := decodeYAML([]byte(s))
		if err == nil && second == 0 && len(doc.Content) == 1 {
			r := &reader{diags: new(diag.List)}
			if v := r.read(doc.Content[0], 0); len(*r.diags) == 0 {
				return v
			}
		}
		return n
	}
	switch strings.ToLower(s) {
	case "true", "false":
		n.value, n.quoted = strings.ToLower(s) == "true", false
		return n
	case "none", "null":
		return n // MindFormers keeps the string
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		n.value, n.quoted = int(i), false
	} else if f, ok := pyFloat(s); ok {
		n.value, n.quoted = f, false
	}
	return n
}

// stamp sets the position and origin of a value and all values below it.
func (n *node) stamp(at Pos, origin string) {
	n.pos, n.keyPos, n.origin = at, at, origin
	for _, c := range n.fields {
		c.stamp(at, origin)
	}
	for _, c := range n.items {
		c.stamp(at, origin)
	}
}
