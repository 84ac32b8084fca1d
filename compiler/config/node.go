package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// Pos is a place in a YAML file.
type Pos = diag.Pos

// node is one YAML value, typed as PyYAML's safe loader types it (YAML 1.1).
type node struct {
	pos    Pos
	keyPos Pos
	origin string // "" for the file, else the flag that set it
	value  any    // nil, bool, int, float64 or string for a scalar
	quoted bool
	keys   []string // of a mapping, in order
	fields map[string]*node
	items  []*node // of a sequence
	kind   yaml.Kind
	alias  bool // reached through *name
}

func (n *node) isMap() bool { return n != nil && n.kind == yaml.MappingNode }

func newMap(pos Pos) *node {
	return &node{kind: yaml.MappingNode, fields: map[string]*node{}, pos: pos}
}

func (n *node) set(key string, v *node) {
	if _, ok := n.fields[key]; !ok {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = v
}

// get walks a dotted path; nil when any part is missing.
func (n *node) get(path string) *node {
	for _, key := range strings.Split(path, ".") {
		if !n.isMap() {
			return nil
		}
		n = n.fields[key]
	}
	return n
}

// merge lays child over base as MindFormers does: mappings into mappings,
// everything else replaced.
func merge(base, child *node) *node {
	if !base.isMap() || !child.isMap() {
		return child
	}
	out := newMap(child.pos)
	out.keyPos = child.keyPos
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

// maxNodes bounds what aliases may expand to.
const maxNodes = 100_000

// reader turns yaml.v3 nodes into ours.
type reader struct {
	file  string
	count int
	diags *diag.List
}

func (r *reader) pos(y *yaml.Node) Pos {
	n := len(y.Value)
	if y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		n += 2
	}
	if y.Kind != yaml.ScalarNode {
		n = 1
	}
	return Pos{File: r.file, Line: y.Line, Col: y.Column, Len: n}
}

func (r *reader) read(y *yaml.Node, depth int) *node {
	if r.count++; r.count > maxNodes || depth > 64 {
		if r.count != maxNodes+2 {
			r.count = maxNodes + 1
			*r.diags = append(*r.diags, diag.Errorf(r.pos(y), "yaml-size", "the file nests or expands too far").
				WithHelp("a config has a few hundred keys; look for aliases that repeat each other"))
			r.count++
		}
		return &node{kind: yaml.ScalarNode, pos: r.pos(y)}
	}
	n := &node{kind: y.Kind, pos: r.pos(y)}
	switch y.Kind {
	case yaml.AliasNode:
		m := r.read(y.Alias, depth+1)
		m.alias = true
		return m
	case yaml.MappingNode:
		n.fields = map[string]*node{}
		for i := 0; i+1 < len(y.Content); i += 2 {
			k, v := y.Content[i], y.Content[i+1]
			if k.Tag == "!!merge" || k.Value == "<<" {
				m := r.read(v, depth+1)
				for _, part := range append([]*node{m}, m.items...) {
					if !part.isMap() {
						continue
					}
					for _, key := range part.keys {
						if n.fields[key] == nil {
							n.set(key, part.fields[key])
						}
					}
				}
				continue
			}
			child := r.read(v, depth+1)
			child.keyPos = r.pos(k)
			if old := n.fields[k.Value]; old != nil && old.keyPos.Line > 0 && !old.alias {
				*r.diags = append(*r.diags, diag.Errorf(child.keyPos, "duplicate-key", "key `%s` stands twice in the same mapping", k.Value).
					WithLabel("again here").At(old.keyPos, "first here").WithHelp("keep one of the two").
					WithNote("MindFormers would silently take the last one"))
			}
			n.set(k.Value, child)
		}
	case yaml.SequenceNode:
		for _, item := range y.Content {
			n.items = append(n.items, r.read(item, depth+1))
		}
	case yaml.ScalarNode:
		n.quoted = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
		if n.quoted {
			n.value = y.Value
		} else {
			n.value = scalar11(y.Value)
		}
	}
	return n
}

var (
	int11   = regexp.MustCompile(`^[-+]?(0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$`)
	float11 = regexp.MustCompile(`^[-+]?(([0-9][0-9_]*)\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|\.(inf|Inf|INF))$`)
)

// scalar11 resolves a plain scalar by the rules of YAML 1.1, as PyYAML does:
// yes/no/on/off are booleans, leading zeros octal, and 1e-5 (no dot, or no
// sign in the exponent) is a string.
func scalar11(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	plain := strings.ReplaceAll(s, "_", "")
	if int11.MatchString(s) {
		if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
			return int(n)
		}
	}
	if float11.MatchString(s) {
		if strings.HasSuffix(strings.ToLower(s), "inf") {
			if s[0] == '-' {
				return math.Inf(-1)
			}
			return math.Inf(1)
		}
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			return f
		}
	}
	return s
}
