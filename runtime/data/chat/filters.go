package chat

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// filter is v|name(args, named).
type filter func(v any, args []any, named *Map) any

// test is v is name(args).
type test func(v any, args []any) bool

// arg is an argument by its place or name, otherwise a default.
func arg(args []any, named *Map, i int, name string, otherwise any) any {
	if i < len(args) {
		return args[i]
	}
	if named != nil {
		if v, ok := named.Get(name); ok {
			return v
		}
	}
	return otherwise
}

func whole(v any, what string) int {
	n, ok := v.(int)
	if !ok {
		fail("%s is a %s, it must be a whole number", what, kindOf(v))
	}
	return n
}

func text(v any, what string) string {
	here(v)
	s, ok := v.(string)
	if !ok {
		fail("%s takes a text, not a %s", what, kindOf(v))
	}
	return s
}

func sortedKeys(m *Map) []string { return slices.Sorted(maps.Keys(m.values)) }

var filters map[string]filter

func init() { // filters look up filters
	filters = map[string]filter{
		"tojson": func(v any, args []any, named *Map) any {
			indent, ok := arg(args, named, 0, "indent", nil).(int)
			if !ok { // transformers has ensure_ascii first
				indent, _ = arg(nil, named, 0, "indent", 0).(int)
			}
			return toJSON(v, indent, True(arg(nil, named, 0, "sort_keys", false)))
		},
		"trim": func(v any, args []any, named *Map) any {
			return method(Text(v), "strip", cut(args))
		},
		"length": func(v any, _ []any, _ *Map) any { return length(v) },
		"count":  func(v any, _ []any, _ *Map) any { return length(v) },
		"default": func(v any, args []any, named *Map) any {
			if _, missing := v.(Missing); missing || True(arg(args, named, 1, "boolean", false)) && !True(v) {
				return arg(args, named, 0, "default_value", "")
			}
			return v
		},
		"upper":      func(v any, _ []any, _ *Map) any { return strings.ToUpper(Text(v)) },
		"lower":      func(v any, _ []any, _ *Map) any { return strings.ToLower(Text(v)) },
		"title":      func(v any, _ []any, _ *Map) any { return title(Text(v)) },
		"capitalize": func(v any, _ []any, _ *Map) any { return capital(Text(v)) },
		"string":     func(v any, _ []any, _ *Map) any { return Text(v) },
		"safe":       func(v any, _ []any, _ *Map) any { return v },
		"list":       func(v any, _ []any, _ *Map) any { return List(v) },
		"items": func(v any, _ []any, _ *Map) any {
			switch m := v.(type) {
			case *Map:
				return m.items()
			case Missing:
				return []any{}
			}
			fail("items takes a dictionary, not a %s", kindOf(v))
			return nil
		},
		"dictsort": func(v any, _ []any, _ *Map) any {
			m, ok := v.(*Map)
			if !ok {
				fail("dictsort takes a dictionary, not a %s", kindOf(v))
			}
			out := []any{}
			for _, k := range sortedKeys(m) {
				out = append(out, []any{k, m.values[k]})
			}
			return out
		},
		"join": func(v any, args []any, named *Map) any {
			parts, of := []string{}, arg(args, named, 1, "attribute", nil)
			for _, x := range List(v) {
				if of != nil {
					x = At(x, of)
				}
				parts = append(parts, Text(x))
			}
			return strings.Join(parts, Text(arg(args, named, 0, "d", "")))
		},
		"first": func(v any, _ []any, _ *Map) any {
			if list := List(v); len(list) > 0 {
				return list[0]
			}
			return Missing{"the first element"}
		},
		"last": func(v any, _ []any, _ *Map) any {
			if list := List(v); len(list) > 0 {
				return list[len(list)-1]
			}
			return Missing{"the last element"}
		},
		"reverse": func(v any, _ []any, _ *Map) any {
			if s, ok := v.(string); ok {
				r := []rune(s)
				slices.Reverse(r)
				return string(r)
			}
			list := slices.Clone(List(v))
			slices.Reverse(list)
			return list
		},
		"sort": func(v any, args []any, named *Map) any {
			list, of := slices.Clone(List(v)), arg(args, named, 2, "attribute", nil)
			slices.SortStableFunc(list, func(a, b any) int {
				if of != nil {
					a, b = At(a, of), At(b, of)
				}
				return compare(a, b)
			})
			if True(arg(args, named, 0, "reverse", false)) {
				slices.Reverse(list)
			}
			return list
		},
		"unique": func(v any, _ []any, _ *Map) any {
			out := []any{}
			for _, x := range List(v) {
				if !In(x, out) {
					out = append(out, x)
				}
			}
			return out
		},
		"sum": func(v any, args []any, named *Map) any {
			var sum any = 0
			for _, x := range List(v) {
				if of := arg(args, named, 0, "attribute", nil); of != nil {
					x = At(x, of)
				}
				sum = Binary("+", sum, x)
			}
			return sum
		},
		"min": func(v any, _ []any, _ *Map) any { return extreme(v, -1) },
		"max": func(v any, _ []any, _ *Map) any { return extreme(v, 1) },
		"abs": func(v any, _ []any, _ *Map) any {
			if x, _, _ := number(v); x < 0 {
				return Negative(v)
			}
			return v
		},
		"int": func(v any, args []any, named *Map) any {
			switch v := v.(type) {
			case string:
				if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
					return n
				}
				if x, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
					return int(x)
				}
			default:
				if x, _, ok := number(v); ok {
					return int(x)
				}
			}
			return arg(args, named, 0, "default", 0)
		},
		"float": func(v any, args []any, named *Map) any {
			if s, ok := v.(string); ok {
				if x, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
					return x
				}
			} else if x, _, ok := number(v); ok {
				return x
			}
			return arg(args, named, 0, "default", 0.0)
		},
		"round": func(v any, args []any, named *Map) any {
			x, _, ok := number(v)
			if !ok {
				fail("round takes a number, not a %s", kindOf(v))
			}
			scale := math.Pow(10, float64(whole(arg(args, named, 0, "precision", 0), "precision")))
			return math.RoundToEven(x*scale) / scale
		},
		"replace": func(v any, args []any, _ *Map) any { return method(Text(v), "replace", args) },
		"indent": func(v any, args []any, named *Map) any {
			by := strings.Repeat(" ", max(whole(arg(args, named, 0, "width", 4), "width"), 0))
			lines := strings.Split(Text(v), "\n")
			for i, line := range lines {
				if (i > 0 || True(arg(args, named, 1, "first", false))) && (line != "" || True(arg(args, named, 2, "blank", false))) {
					lines[i] = by + line
				}
			}
			return strings.Join(lines, "\n")
		},
		"map": func(v any, args []any, named *Map) any {
			out := []any{}
			for _, x := range List(v) {
				if of := arg(nil, named, 0, "attribute", nil); of != nil {
					y := path(x, Text(of))
					if _, missing := y.(Missing); missing {
						y = arg(nil, named, 0, "default", y)
					}
					out = append(out, y)
				} else {
					out = append(out, Filter(Text(arg(args, nil, 0, "", "")), x, args[1:], nil))
				}
			}
			return out
		},
		"select":     func(v any, args []any, _ *Map) any { return selected(v, args, false, true) },
		"reject":     func(v any, args []any, _ *Map) any { return selected(v, args, false, false) },
		"selectattr": func(v any, args []any, _ *Map) any { return selected(v, args, true, true) },
		"rejectattr": func(v any, args []any, _ *Map) any { return selected(v, args, true, false) },
	}
	filters["d"] = filters["default"]
}

// cut leaves out arguments that are None.
func cut(args []any) []any {
	if len(args) > 0 && args[0] == nil {
		return nil
	}
	return args
}

// path is an attribute of an attribute: function.name.
func path(v any, names string) any {
	for name := range strings.SplitSeq(names, ".") {
		if n, err := strconv.Atoi(name); err == nil {
			v = At(v, n)
		} else {
			v = At(v, name)
		}
	}
	return v
}

func selected(v any, args []any, attr, want bool) any {
	out := []any{}
	for _, x := range List(v) {
		is, rest := x, args
		if attr {
			is, rest = path(x, Text(args[0])), args[1:]
		}
		holds := True(is)
		if len(rest) > 0 {
			holds = Test(Text(rest[0]), is, rest[1:]...)
		}
		if holds == want {
			out = append(out, x)
		}
	}
	return out
}

func extreme(v any, sign int) any {
	list := List(v)
	if len(list) == 0 {
		return Missing{"the extreme of nothing"}
	}
	best := list[0]
	for _, x := range list[1:] {
		if compare(x, best)*sign > 0 {
			best = x
		}
	}
	return best
}

func title(s string) string {
	var b strings.Builder
	begin := true
	for _, r := range s {
		if begin {
			b.WriteString(strings.ToUpper(string(r)))
		} else {
			b.WriteString(strings.ToLower(string(r)))
		}
		begin = strings.ContainsRune(" \t\n-([{<", r)
	}
	return b.String()
}

func capital(s string) string {
	for i := range s {
		if i > 0 {
			return strings.ToUpper(s[:i]) + strings.ToLower(s[i:])
		}
	}
	return strings.ToUpper(s)
}

// Filter is v|name.
func Filter(name string, v any, args []any, named *Map) any {
	f, ok := filters[name]
	if !ok {
		fail("the filter %s is unknown", name)
	}
	return f(v, args, named)
}

// HasFilter reports whether a filter is known.
func HasFilter(name string) bool { _, ok := filters[name]; return ok }

var tests = map[string]test{
	"defined":   func(v any, _ []any) bool { _, missing := v.(Missing); return !missing },
	"undefined": func(v any, _ []any) bool { _, missing := v.(Missing); return missing },
	"none":      func(v any, _ []any) bool { return v == nil },
	"string":    func(v any, _ []any) bool { return kindOf(v) == "str" },
	"mapping":   func(v any, _ []any) bool { return kindOf(v) == "dict" },
	"sequence":  func(v any, _ []any) bool { k := kindOf(v); return k == "list" || k == "str" || k == "dict" },
	"iterable": func(v any, _ []any) bool {
		k := kindOf(v)
		_, m := v.(Missing)
		return k == "list" || k == "str" || k == "dict" || m
	},
	"number":   func(v any, _ []any) bool { _, _, ok := number(v); return ok },
	"integer":  func(v any, _ []any) bool { return kindOf(v) == "int" },
	"float":    func(v any, _ []any) bool { return kindOf(v) == "float" },
	"boolean":  func(v any, _ []any) bool { return kindOf(v) == "bool" },
	"true":     func(v any, _ []any) bool { return v == true },
	"false":    func(v any, _ []any) bool { return v == false },
	"callable": func(v any, _ []any) bool { _, ok := v.(Callable); return ok },
	"odd":      func(v any, _ []any) bool { return Binary("%", v, 2) == 1 },
	"even":     func(v any, _ []any) bool { return Binary("%", v, 2) == 0 },
	"lower":    func(v any, _ []any) bool { return Text(v) == strings.ToLower(Text(v)) },
	"upper":    func(v any, _ []any) bool { return Text(v) == strings.ToUpper(Text(v)) },
	"equalto":  func(v any, args []any) bool { return Equal(v, only(args)) },
	"sameas":   func(v any, args []any) bool { return kindOf(v) == kindOf(only(args)) && Equal(v, only(args)) },
	"ne":       func(v any, args []any) bool { return !Equal(v, only(args)) },
	"in":       func(v any, args []any) bool { return In(v, only(args)) },
	"lt":       func(v any, args []any) bool { return compare(v, only(args)) < 0 },
	"le":       func(v any, args []any) bool { return compare(v, only(args)) <= 0 },
	"gt":       func(v any, args []any) bool { return compare(v, only(args)) > 0 },
	"ge":       func(v any, args []any) bool { return compare(v, only(args)) >= 0 },
	"divisibleby": func(v any, args []any) bool {
		return Binary("%", v, only(args)) == 0
	},
}

func init() {
	for short, long := range map[string]string{"eq": "equalto", "==": "equalto", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "lessthan": "lt", "greaterthan": "gt"} {
		tests[short] = tests[long]
	}
}

func only(args []any) any {
	if len(args) != 1 {
		fail("a test has %d arguments, it takes one", len(args))
	}
	return args[0]
}

// Test is v is name.
func Test(name string, v any, args ...any) bool {
	f, ok := tests[name]
	if !ok {
		fail("the test %s is unknown", name)
	}
	return f(v, args)
}

// HasTest reports whether a test is known.
func HasTest(name string) bool { _, ok := tests[name]; return ok }
