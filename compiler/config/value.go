package config

import (
	"fmt"
	"math"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// The readers below take a dotted path and a default, and report a value of the
// wrong type at its position. Reading a key marks it as used: keys that no reader
// reads are reported as without effect.

// seen returns a node and marks its key as used.
func (l *loader) seen(path string) *node {
	delete(l.unread, l.prefix+path)
	return l.root.get(path)
}

// given reports whether a key has a value.
func (l *loader) given(path string) bool { return !l.root.get(path).empty() }

// place is the position to report for a missing key: that of its section.
func (l *loader) place(path string) Pos {
	for n := len(path) - 1; n > 0; n-- {
		if path[n] == '.' {
			if sec := l.root.get(path[:n]); sec != nil && sec.keyPos.Line > 0 {
				return sec.keyPos
			}
		}
	}
	if l.home.Known() {
		return l.home
	}
	return Pos{File: l.c.Path, Line: 1, Col: 1}
}

func read[T any](l *loader, path string, def T, kind string, conv func(n *node) (T, bool)) Val[T] {
	n, origin := l.seen(path), "default"
	if p, ok := l.preset[path].(T); ok {
		def, origin = p, "preset"
	}
	if n != nil && n.unknown != nil {
		n.unknown.Notes = []string{fmt.Sprintf("with this key ignored, as MindFormers would, `%s` would be the default, %s", path[strings.LastIndex(path, ".")+1:], spell(def))}
	}
	if n.empty() {
		l.c.Defaults = append(l.c.Defaults, Default{l.prefix + path, spell(def)})
		return Val[T]{def, l.place(path), origin}
	}
	if origin = "file"; n.origin != "" {
		origin = n.origin
	}
	v, ok := conv(n)
	if !ok {
		l.wrongType(n, l.prefix+path, kind)
		return Val[T]{def, n.pos, origin}
	}
	return Val[T]{v, n.pos, origin}
}

// spell formats a default as YAML.
func spell(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "True"
		}
		return "False"
	case []int:
		if len(v) == 1 {
			return fmt.Sprint(v[0])
		}
		return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case string:
		if v == "" {
			return `""`
		}
		return v
	}
	return fmt.Sprint(v)
}

func asInt(n *node) (int, bool) {
	switch v := n.value.(type) {
	case int:
		return v, v > -1<<40 && v < 1<<40
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<40 {
			return int(v), true
		}
	}
	return 0, false
}

func (l *loader) int(path string, def int) Val[int] {
	return read(l, path, def, "a whole number", asInt)
}

func (l *loader) float(path string, def float64) Val[float64] {
	return read(l, path, def, "a number", l.asFloat)
}

func (l *loader) asFloat(n *node) (float64, bool) {
	switch v := n.value.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsInf(v, 0) && !math.IsNaN(v)
	case string:
		f, ok := pyFloat(v)
		if !ok || n.quoted {
			return 0, false
		}
		if n.origin == "" {
			l.warnf(n.pos, "yaml-float", "`%s` is a string in YAML 1.1", v).WithLabel("read as %v", f).
				WithHelp("write `%s`", dotted(v)).WithNote("MindFormers would see the string; lorac takes the number")
		}
		return f, true
	}
	return 0, false
}

func (l *loader) bool(path string, def bool) Val[bool] {
	v := read(l, path, def, "True or False", func(n *node) (bool, bool) {
		b, ok := n.value.(bool)
		return b, ok
	})
	if n := l.root.get(path); n != nil && l.bad[n.pos] && n.raw != "" && n.value != 0 {
		l.diags[len(l.diags)-1].WithNote("MindFormers would treat this value as true")
	}
	return v
}

// said is bool of a key without a default: where it is missing, another file says it.
func (l *loader) said(path string) Val[bool] {
	if !l.given(path) {
		return Val[bool]{Origin: "default"}
	}
	return l.bool(path, false)
}

// str reads a string; a number is taken as written.
func (l *loader) str(path, def string) Val[string] {
	return read(l, path, def, "a string", func(n *node) (string, bool) {
		switch n.value.(type) {
		case string, int, float64:
			return n.raw, n.kind == yaml.ScalarNode
		}
		return "", false
	})
}

// strs reads a string or a list of strings.
func (l *loader) strs(path string) Val[[]string] {
	return read(l, path, nil, "a list of strings", func(n *node) ([]string, bool) {
		if s, ok := n.value.(string); ok {
			if s == "" {
				return nil, true
			}
			return []string{s}, true
		}
		var out []string
		for _, item := range n.items {
			switch item.value.(type) {
			case string, int:
				out = append(out, item.raw)
			default:
				return nil, false
			}
		}
		return out, n.kind == yaml.SequenceNode
	})
}

// ints reads a whole number or a list of them.
func (l *loader) ints(path string, def []int) Val[[]int] {
	return read(l, path, def, "a whole number or a list of them", func(n *node) ([]int, bool) {
		if v, ok := asInt(n); ok {
			return []int{v}, true
		}
		var out []int
		for _, item := range n.items {
			v, ok := asInt(item)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, len(out) > 0
	})
}

// choice reads a string that must be a key of a table. It returns the string and its
// value in the table.
func (l *loader) choice(path, def string, table map[string]string) (Val[string], string) {
	v := l.str(path, def)
	out, ok := table[v.V]
	if !ok && !l.bad[v.At] {
		l.bad[v.At] = true
		names := sortedKeys(table)
		if names[0] == "" {
			names = names[1:]
		}
		d := l.errorf(v.At, "value", "`%s` cannot be `%s`", l.prefix+path, v.V).WithHelp("values supported: %s", strings.Join(names, ", "))
		if near := diag.Suggest(v.V, names); len(near) > 0 {
			d.WithLabel("did you mean `%s`?", strings.Join(near, "` or `"))
		}
		v.V = def
	}
	if !ok {
		out = table[def]
	}
	return v, out
}

// meaning is choice, but returns the value in the table only.
func (l *loader) meaning(path, def string, table map[string]string) Val[string] {
	v, out := l.choice(path, def, table)
	return Val[string]{out, v.At, v.Origin}
}
