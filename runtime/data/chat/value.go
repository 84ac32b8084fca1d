package chat

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lorac/runtime/python"
)

// Map is a dictionary, in the order in which keys came.
type Map struct {
	keys   []string
	values map[string]any
}

// Dict is the dictionary of keys, each followed by its value.
func Dict(pairs ...any) *Map {
	m := &Map{values: map[string]any{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Set(Text(pairs[i]), pairs[i+1])
	}
	return m
}

// Set gives a key a value.
func (m *Map) Set(key string, v any) {
	if _, ok := m.values[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.values[key] = v
}

// Get is the value of a key.
func (m *Map) Get(key string) (v any, ok bool) {
	v, ok = m.values[key]
	return v, ok
}

// Keys are the keys in order.
func (m *Map) Keys() []string { return m.keys }

func (m *Map) items() []any {
	var out []any
	for _, k := range m.keys {
		out = append(out, []any{k, m.values[k]})
	}
	return out
}

// Missing is a value that is not there.
type Missing struct{ Name string }

// Space is a namespace, whose attributes a template may set.
type Space struct{ Map }

// Callable is a function of a template.
type Callable func(args []any, named *Map) any

// True is what an if takes a value for.
func True(v any) bool {
	switch v := v.(type) {
	case nil, Missing:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case int:
		return v != 0
	case float64:
		return v != 0
	case []any:
		return len(v) > 0
	case *Map:
		return len(v.keys) > 0
	}
	return true
}

// Text is a value as it is written.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Missing:
		return ""
	}
	return repr(v)
}

// repr is a value as Python's repr has it.
func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return python.Bool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return python.Float(v, 64)
	case string:
		return python.Quote(v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = repr(x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *Map:
		parts := make([]string, len(v.keys))
		for i, k := range v.keys {
			parts[i] = python.Quote(k) + ": " + repr(v.values[k])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case Missing:
		return "Undefined"
	}
	return fmt.Sprintf("<%T>", v)
}

// kindOf names the type of a value as Python does.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []any:
		return "list"
	case *Map:
		return "dict"
	}
	return "function"
}

// here is an error of a value that is not there, where one is needed.
func here(v any) {
	if m, ok := v.(Missing); ok {
		fail("%s is not there", m.Name)
	}
}

// Attr is v.name.
func Attr(v any, name string) any {
	here(v)
	switch v := v.(type) {
	case *Map:
		if x, ok := v.values[name]; ok {
			return x
		}
	case *Space:
		if x, ok := v.values[name]; ok {
			return x
		}
	case *Loop:
		return v.attr(name)
	}
	return Missing{name}
}

// SetAttr is {% set space.name = x %}.
func SetAttr(v any, name string, x any) {
	s, ok := v.(*Space)
	if !ok {
		fail("cannot set the attribute %s of a %s: that takes a namespace", name, kindOf(v))
	}
	s.Set(name, x)
}

// At is v[key].
func At(v, key any) any {
	here(v)
	switch v := v.(type) {
	case *Map:
		if k, ok := key.(string); ok {
			if x, ok := v.values[k]; ok {
				return x
			}
		}
		return Missing{Text(key)}
	case []any:
		if i, ok := key.(int); ok {
			if i < 0 {
				i += len(v)
			}
			if i >= 0 && i < len(v) {
				return v[i]
			}
		}
		return Missing{"the element " + Text(key)}
	case string:
		if i, ok := key.(int); ok {
			r := []rune(v)
			if i < 0 {
				i += len(r)
			}
			if i >= 0 && i < len(r) {
				return string(r[i])
			}
		}
		return Missing{"the character " + Text(key)}
	}
	if k, ok := key.(string); ok {
		return Attr(v, k)
	}
	return Missing{Text(key)}
}

// Slice is v[from:to:step]; nil stands for what is left out.
func Slice(v, from, to, step any) any {
	here(v)
	by := 1
	if n, ok := step.(int); ok && n != 0 {
		by = n
	}
	switch v := v.(type) {
	case string:
		r := []rune(v)
		var out []rune
		for _, i := range indices(len(r), from, to, by) {
			out = append(out, r[i])
		}
		return string(out)
	case []any:
		out := []any{}
		for _, i := range indices(len(v), from, to, by) {
			out = append(out, v[i])
		}
		return out
	}
	fail("a %s has no slices", kindOf(v))
	return nil
}

// indices are those that a slice of n elements takes.
func indices(n int, from, to any, by int) (out []int) {
	bound := func(x any, otherwise, least, most int) int {
		i, ok := x.(int)
		if !ok {
			return otherwise
		}
		if i < 0 {
			i += n
		}
		return min(max(i, least), most)
	}
	if by > 0 {
		for i, end := bound(from, 0, 0, n), bound(to, n, 0, n); i < end; i += by {
			out = append(out, i)
		}
		return out
	}
	for i, end := bound(from, n-1, -1, n-1), bound(to, -1, -1, n-1); i > end; i += by {
		out = append(out, i)
	}
	return out
}

// List is what a loop goes over: the elements of a list, the keys of a dictionary, the
// characters of a text.
func List(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case *Map:
		out := make([]any, len(v.keys))
		for i, k := range v.keys {
			out[i] = k
		}
		return out
	case string:
		out := make([]any, 0, len(v))
		for _, r := range v {
			out = append(out, string(r))
		}
		return out
	case Missing:
		return nil
	}
	fail("a %s is no list to loop over", kindOf(v))
	return nil
}

// Pair takes an element of a list apart.
func Pair(v any, n int) []any {
	list := List(v)
	if len(list) != n {
		fail("%d values where %d names stand", len(list), n)
	}
	return list
}

// number is a value as a number.
func number(v any) (x float64, whole, ok bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true, true
	case bool:
		if v {
			return 1, true, true
		}
		return 0, true, true
	case float64:
		return v, false, true
	}
	return 0, false, false
}

// Binary is an operator of two values: + - * / // % ** ~ == != < <= > >= in.
func Binary(op string, a, b any) any {
	switch op {
	case "~":
		return Text(a) + Text(b)
	case "==":
		return Equal(a, b)
	case "!=":
		return !Equal(a, b)
	case "in":
		return In(a, b)
	case "not in":
		return !In(a, b)
	}
	here(a)
	here(b)
	if op == "<" || op == "<=" || op == ">" || op == ">=" {
		n := compare(a, b)
		return op == "<" && n < 0 || op == "<=" && n <= 0 || op == ">" && n > 0 || op == ">=" && n >= 0
	}
	if s, ok := a.(string); ok {
		if t, ok := b.(string); ok && op == "+" {
			return s + t
		}
		if n, ok := b.(int); ok && op == "*" {
			return strings.Repeat(s, max(n, 0))
		}
		if op == "%" {
			return format(s, b)
		}
	}
	if s, ok := a.([]any); ok && op == "+" {
		if t, ok := b.([]any); ok {
			return slices.Concat(s, t)
		}
	}
	x, wholeX, okX := number(a)
	y, wholeY, okY := number(b)
	if !okX || !okY {
		fail("cannot compute %s %s %s", kindOf(a), op, kindOf(b))
	}
	if y == 0 && (op == "/" || op == "//" || op == "%") {
		fail("division by zero")
	}
	whole := wholeX && wholeY
	var z float64
	switch op {
	case "+":
		z = x + y
	case "-":
		z = x - y
	case "*":
		z = x * y
	case "/":
		return x / y
	case "//":
		z = math.Floor(x / y)
	case "%":
		z = x - math.Floor(x/y)*y
	case "**":
		z, whole = math.Pow(x, y), whole && y >= 0
	}
	if whole {
		return int(z)
	}
	return z
}

// format is the operator % of a text: %s and %d alone.
func format(s string, v any) any {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if s[i] != 's' && s[i] != 'd' || len(list) == 0 {
			fail("cannot format %q", s)
		}
		b.WriteString(Text(list[0]))
		list = list[1:]
	}
	return b.String()
}

// Negative is -v.
func Negative(v any) any {
	x, whole, ok := number(v)
	if !ok {
		fail("cannot negate a %s", kindOf(v))
	}
	if whole {
		return int(-x)
	}
	return -x
}

// Equal is a == b.
func Equal(a, b any) bool {
	if x, _, ok := number(a); ok {
		y, _, ok := number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case Missing:
		_, ok := b.(Missing)
		return ok
	case string:
		s, ok := b.(string)
		return ok && s == a
	case []any:
		list, ok := b.([]any)
		return ok && slices.EqualFunc(a, list, Equal)
	case *Map:
		m, ok := b.(*Map)
		if !ok || len(m.keys) != len(a.keys) {
			return false
		}
		for k, v := range a.values {
			if w, ok := m.values[k]; !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	}
	return false
}

// compare is below 0, 0 or above.
func compare(a, b any) int {
	x, _, okX := number(a)
	y, _, okY := number(b)
	if okX && okY {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	s, okS := a.(string)
	t, okT := b.(string)
	if okS && okT {
		return strings.Compare(s, t)
	}
	p, okP := a.([]any)
	q, okQ := b.([]any)
	if okP && okQ {
		return slices.CompareFunc(p, q, compare)
	}
	fail("cannot compare %s with %s", kindOf(a), kindOf(b))
	return 0
}

// In is a in b.
func In(a, b any) bool {
	switch b := b.(type) {
	case string:
		s, ok := a.(string)
		if !ok {
			fail("cannot look for a %s in a text", kindOf(a))
		}
		return strings.Contains(b, s)
	case []any:
		return slices.ContainsFunc(b, func(x any) bool { return Equal(a, x) })
	case *Map:
		s, ok := a.(string)
		_, there := b.values[s]
		return ok && there
	case Missing:
		return false
	}
	fail("cannot look into a %s", kindOf(b))
	return false
}

// And and Or give the operand that decides, as Python's do.
func And(a any, b func() any) any {
	if !True(a) {
		return a
	}
	return b()
}

// Or is a, where it is true, else b.
func Or(a any, b func() any) any {
	if True(a) {
		return a
	}
	return b()
}

// If is a where cond holds, else b.
func If(cond bool, a, b func() any) any {
	if cond {
		return a()
	}
	return b()
}

func length(v any) int {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case []any:
		return len(v)
	case *Map:
		return len(v.keys)
	case Missing:
		return 0
	}
	fail("a %s has no length", kindOf(v))
	return 0
}

// Add is a sum, added from the left.
func Add(terms ...any) any {
	sum := terms[0]
	for _, t := range terms[1:] {
		sum = Binary("+", sum, t)
	}
	return sum
}
