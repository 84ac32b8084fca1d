package ir

import (
	"fmt"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Attrs are the compile-time arguments of a statement or a storage: int,
// float64, bool, string, a Dim (a number with its role), or a list of those, by
// name.
type Attrs map[string]any

// Int returns the named attribute, or 0.
func (a Attrs) Int(name string) int { return a.Dim(name).N }

// Dim returns the named attribute as an extent, or an extent of 0.
func (a Attrs) Dim(name string) Dim { d, _ := DimOf(a[name]); return d }

// Attr is the extent as an attribute value.
func (d Dim) Attr() any {
	switch {
	case d.Sym != "" && d.By == "":
		return d.Sym
	case d.Name == "" && d.By == "":
		return d.N
	}
	return d
}

// DimOf is an attribute value as an extent.
func DimOf(v any) (Dim, bool) {
	switch v := v.(type) {
	case int:
		return N(v), true
	case Dim:
		return v, true
	}
	return Dim{}, false
}

// Float returns the named attribute as a float, or 0.
func (a Attrs) Float(name string) float64 {
	switch v := a[name].(type) {
	case float64:
		return v
	case int:
		return float64(v)
	}
	return 0
}

// Bool returns the named attribute, or false.
func (a Attrs) Bool(name string) bool { b, _ := a[name].(bool); return b }

// Str returns the named attribute, or "".
func (a Attrs) Str(name string) string { s, _ := a[name].(string); return s }

// List returns the named attribute, or nil.
func (a Attrs) List(name string) []any { l, _ := a[name].([]any); return l }

// Keys are the names in the order they print.
func (a Attrs) Keys() []string {
	keys := make([]string, 0, len(a))
	for k := range a {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Clone copies the attributes; values are immutable.
func (a Attrs) Clone() Attrs {
	if a == nil {
		return nil
	}
	b := make(Attrs, len(a))
	for k, v := range a {
		b[k] = v
	}
	return b
}

// With returns a copy with one attribute set.
func (a Attrs) With(name string, v any) Attrs {
	b := a.Clone()
	if b == nil {
		b = Attrs{}
	}
	b[name] = v
	return b
}

func (a Attrs) String() string {
	if len(a) == 0 {
		return ""
	}
	parts := make([]string, 0, len(a))
	for _, k := range a.Keys() {
		parts = append(parts, k+"="+FormatAttr(a[k]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

var bareWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$`)

// FormatAttr prints one attribute value so that it parses back to itself.
func FormatAttr(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			panic(fmt.Sprintf("BUG: ir: attribute %v has no text form", v))
		}
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case Dim:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case string:
		if bareWord.MatchString(v) && v != "true" && v != "false" {
			return v
		}
		return strconv.Quote(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = FormatAttr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	panic(fmt.Sprintf("BUG: ir: attribute of type %T", v))
}
