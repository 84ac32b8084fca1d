// Package codegen writes a module as a Go program and builds it. All decisions
// are made in the views; the emitters lay out. It knows ops and kernels, not
// Llama, not YAML and no pass: an edited dump compiles like any other.
package codegen

import (
	"strings"
	"unicode"
)

// local turns an IR name into a Go identifier: d.norm1.2 is dNorm12.
func local(name string) string {
	var b strings.Builder
	up := false
	for _, r := range name {
		switch {
		case r == '.' || r == '_':
			up = b.Len() > 0
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	s := b.String()
	if s == "" || unicode.IsDigit(rune(s[0])) {
		s = "v" + s
	}
	if reserved[s] {
		s += "_"
	}
	return s
}

// reserved are identifiers the emitted functions use themselves.
var reserved = map[string]bool{
	"break": true, "case": true, "chan": true, "const": true, "continue": true, "default": true, "defer": true, "else": true,
	"fallthrough": true, "for": true, "func": true, "go": true, "goto": true, "if": true, "import": true, "interface": true,
	"map": true, "package": true, "range": true, "return": true, "select": true, "struct": true, "switch": true, "type": true, "var": true,
	"m": true, "b": true, "i": true, "w": true, "k": true, "rt": true, "at": true, "record": true, "frame": true, "carry": true, "callee": true,
	"saved": true, "drop": true, "rule": true, "len": true, "float32": true, "int": true, "arenaBytes": true,
	"nil": true, "true": true, "false": true,
}

// public is local with a capital.
func public(name string) string {
	s := local(name)
	return strings.ToUpper(s[:1]) + s[1:]
}
