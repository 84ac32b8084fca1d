package config

import (
	"fmt"
	"math"
	"strconv"

	"gopkg.in/yaml.v3"
)

// The readers below take a dotted path and a default, and report a value of
// the wrong type with its place.

// place is where a missing key would stand.
func (l *loader) place(path string) Pos {
	for n := len(path) - 1; n > 0; n-- {
		if path[n] == '.' {
			if sec := l.root.get(path[:n]); sec != nil && sec.keyPos.Line > 0 {
				return sec.keyPos
			}
		}
	}
	return Pos{File: l.c.Path, Line: 1, Col: 1}
}

func read[T any](l *loader, path string, def T, kind string, conv func(n *node) (T, bool)) Val[T] {
	n := l.root.get(path)
	if n == nil || n.kind == yaml.ScalarNode && n.value == nil {
		l.c.Defaults = append(l.c.Defaults, Default{path, fmt.Sprint(def)})
		return Val[T]{def, l.place(path), "default"}
	}
	origin := "file"
	if n.origin != "" {
		origin = n.origin
	}
	v, ok := conv(n)
	if !ok {
		d := l.errorf(n.pos, "type", "`%s` must be %s, not %s", path, kind, n.text())
		if n.origin != "" {
			d.WithHelp("given by %s", n.origin)
		}
		return Val[T]{def, n.pos, origin}
	}
	return Val[T]{v, n.pos, origin}
}

func (l *loader) int(path string, def int) Val[int] {
	return read(l, path, def, "a whole number", func(n *node) (int, bool) {
		switch v := n.value.(type) {
		case int:
			return v, v > -1<<40 && v < 1<<40
		case float64:
			return int(v), v == math.Trunc(v) && math.Abs(v) < 1<<40
		}
		return 0, false
	})
}

func (l *loader) float(path string, def float64) Val[float64] {
	return read(l, path, def, "a number", func(n *node) (float64, bool) {
		switch v := n.value.(type) {
		case int:
			return float64(v), true
		case float64:
			return v, !math.IsInf(v, 0) && !math.IsNaN(v)
		case string:
			if f, err := strconv.ParseFloat(v, 64); err == nil && !n.quoted && !math.IsInf(f, 0) && !math.IsNaN(f) {
				if n.origin == "" {
					l.warnf(n.pos, "yaml-float", "`%s` is a string in YAML 1.1", v).WithLabel("read as %v", f).
						WithHelp("write `%s`", dotted(v)).WithNote("MindFormers would see the string; lorac takes the number")
				}
				return f, true
			}
		}
		return 0, false
	})
}

// dotted writes 1e-5 as 1.e-5, which YAML 1.1 reads as a number.
func dotted(s string) string {
	for i, c := range s {
		if c == 'e' || c == 'E' {
			return s[:i] + "." + s[i:]
		}
	}
	return s
}

func (l *loader) bool(path string, def bool) Val[bool] {
	return read(l, path, def, "True or False", func(n *node) (bool, bool) {
		b, ok := n.value.(bool)
		return b, ok
	})
}

func (l *loader) str(path, def string) Val[string] {
	return read(l, path, def, "a string", func(n *node) (string, bool) {
		if n.kind != yaml.ScalarNode {
			return "", false
		}
		if s, ok := n.value.(string); ok {
			return s, true
		}
		return fmt.Sprint(n.value), true
	})
}

// strs reads a string or a list of them.
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
			s, ok := item.value.(string)
			if !ok {
				return nil, false
			}
			out = append(out, s)
		}
		return out, n.kind == yaml.SequenceNode
	})
}

// ints reads a whole number or a list of them.
func (l *loader) ints(path string, def []int) Val[[]int] {
	return read(l, path, def, "a whole number or a list of them", func(n *node) ([]int, bool) {
		if v, ok := n.value.(int); ok {
			return []int{v}, true
		}
		var out []int
		for _, item := range n.items {
			v, ok := item.value.(int)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, len(out) > 0
	})
}

// choice reads a string that must be one of the keys of a table.
func (l *loader) choice(path, def string, table map[string]string) Val[string] {
	v := l.str(path, def)
	out, ok := table[v.V]
	if !ok {
		names := sortedKeys(table)
		l.errorf(v.At, "value", "`%s` cannot be `%s`", path, v.V).WithHelp("values supported: %v", names)
		out = table[def]
	}
	return Val[string]{out, v.At, v.Origin}
}
