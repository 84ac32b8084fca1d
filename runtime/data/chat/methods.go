package chat

import (
	"slices"
	"strings"
	"unicode"
)

// functions are those that every template may call.
var functions = map[string]any{
	"raise_exception": Callable(func(args []any, named *Map) any { return Raise(arg(args, named, 0, "message", "")) }),
	"namespace": Callable(func(args []any, named *Map) any {
		s := &Space{*Dict()}
		for _, m := range append(args, any(named)) {
			if m, ok := m.(*Map); ok && m != nil {
				for _, k := range m.keys {
					s.Set(k, m.values[k])
				}
			}
		}
		return s
	}),
	"dict": Callable(func(args []any, named *Map) any {
		m := Dict()
		for _, from := range append(args, any(named)) {
			if from, ok := from.(*Map); ok && from != nil {
				for _, k := range from.keys {
					m.Set(k, from.values[k])
				}
			}
		}
		return m
	}),
	"range": Callable(func(args []any, _ *Map) any {
		from, to, by := 0, 0, 1
		switch len(args) {
		case 1:
			to = whole(args[0], "range")
		case 2, 3:
			from, to = whole(args[0], "range"), whole(args[1], "range")
			if len(args) == 3 {
				by = whole(args[2], "range")
			}
		}
		if by == 0 || (to-from)/max(by, -by) > 1<<20 {
			fail("a range of %d steps", (to-from)/max(by, -by, 1))
		}
		out := []any{}
		for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
			out = append(out, i)
		}
		return out
	}),
}

// IsFunction reports whether every template may call a name.
func IsFunction(name string) bool { _, ok := functions[name]; return ok }

// Call is f(args, named).
func Call(f any, args []any, named *Map) any {
	c, ok := f.(Callable)
	if !ok {
		here(f)
		fail("a %s is no function", kindOf(f))
	}
	return c(args, named)
}

// Method is v.name(args, named).
func Method(v any, name string, args []any, named *Map) any {
	here(v)
	switch v := v.(type) {
	case string:
		return method(v, name, args)
	case *Map:
		switch name {
		case "items":
			return v.items()
		case "keys":
			return List(v)
		case "values":
			out := []any{}
			for _, k := range v.keys {
				out = append(out, v.values[k])
			}
			return out
		case "get":
			key := arg(args, named, 0, "key", nil)
			if k, ok := key.(string); ok {
				if x, ok := v.values[k]; ok {
					return x
				}
			}
			return arg(args, named, 1, "default", nil)
		}
	case []any:
		switch name {
		case "index":
			if i := slices.IndexFunc(v, func(x any) bool { return Equal(x, only(args)) }); i >= 0 {
				return i
			}
			fail("%s is not in the list", Text(only(args)))
		case "count":
			n := 0
			for _, x := range v {
				if Equal(x, only(args)) {
					n++
				}
			}
			return n
		}
	case *Loop:
		if name == "cycle" && len(args) > 0 {
			return args[v.at%len(args)]
		}
	}
	f := Attr(v, name)
	if _, missing := f.(Missing); missing {
		fail("a %s has no method %s", kindOf(v), name)
	}
	return Call(f, args, named)
}

// method is one of a text.
func method(s, name string, args []any) any {
	str := func(i int, otherwise string) string {
		if i < len(args) && args[i] != nil {
			return text(args[i], name)
		}
		return otherwise
	}
	ends := func(has func(string, string) bool) any {
		list, ok := any(nil), false
		if len(args) > 0 {
			list = args[0]
		}
		var all []any
		if all, ok = list.([]any); !ok {
			all = []any{str(0, "")}
		}
		return slices.ContainsFunc(all, func(x any) bool { return has(s, text(x, name)) })
	}
	switch name {
	case "strip":
		return stripped(s, str(0, ""), true, true)
	case "lstrip":
		return stripped(s, str(0, ""), true, false)
	case "rstrip":
		return stripped(s, str(0, ""), false, true)
	case "upper":
		return strings.ToUpper(s)
	case "lower":
		return strings.ToLower(s)
	case "title":
		return title(s)
	case "capitalize":
		return capital(s)
	case "startswith":
		return ends(strings.HasPrefix)
	case "endswith":
		return ends(strings.HasSuffix)
	case "removeprefix":
		return strings.TrimPrefix(s, str(0, ""))
	case "removesuffix":
		return strings.TrimSuffix(s, str(0, ""))
	case "find":
		return position(s, strings.Index(s, str(0, "")))
	case "rfind":
		return position(s, strings.LastIndex(s, str(0, "")))
	case "count":
		return strings.Count(s, str(0, ""))
	case "replace":
		n := -1
		if len(args) > 2 {
			n = whole(args[2], "replace")
		}
		return strings.Replace(s, str(0, ""), str(1, ""), n)
	case "join":
		return Filter("join", arg(args, nil, 0, "", []any{}), []any{s}, nil)
	case "split", "rsplit":
		n := -1
		if len(args) > 1 {
			n = whole(args[1], name)
		}
		return split(s, str(0, ""), n, name == "rsplit")
	case "splitlines":
		out := []any{}
		for line := range strings.Lines(s) {
			out = append(out, strings.TrimRight(line, "\r\n"))
		}
		return out
	case "isdigit":
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }) < 0
	case "isspace":
		return s != "" && strings.TrimSpace(s) == ""
	case "isupper":
		return s != strings.ToLower(s) && s == strings.ToUpper(s)
	case "islower":
		return s != strings.ToUpper(s) && s == strings.ToLower(s)
	}
	fail("a text has no method %s", name)
	return nil
}

// methodNames are those of any value.
var methodNames = []string{
	"strip", "lstrip", "rstrip", "upper", "lower", "title", "capitalize", "startswith", "endswith", "removeprefix", "removesuffix", "find", "rfind",
	"count", "replace", "join", "split", "rsplit", "splitlines", "isdigit", "isspace", "isupper", "islower", "items", "keys", "values", "get", "index", "cycle",
}

// IsMethod reports whether some value has a method of a name.
func IsMethod(name string) bool { return slices.Contains(methodNames, name) }

// position is an offset in characters.
func position(s string, at int) int {
	if at < 0 {
		return -1
	}
	return length(s[:at])
}

func stripped(s, chars string, left, right bool) string {
	is := pySpace
	if chars != "" {
		is = func(r rune) bool { return strings.ContainsRune(chars, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, is)
	}
	if right {
		s = strings.TrimRightFunc(s, is)
	}
	return s
}

// pySpace is str.isspace of Python, which knows four separators more than Go.
func pySpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F }

func split(s, by string, n int, fromEnd bool) any {
	var parts []string
	switch {
	case by == "" && n < 0:
		parts = strings.FieldsFunc(s, pySpace)
	case by == "":
		fail("split at spaces with a count is unknown")
	case n < 0:
		parts = strings.Split(s, by)
	case !fromEnd:
		parts = strings.SplitN(s, by, n+1)
	default:
		parts = strings.Split(s, by)
		if more := len(parts) - n; more > 1 {
			parts = append([]string{strings.Join(parts[:more], by)}, parts[more:]...)
		}
	}
	out := []any{}
	for _, p := range parts {
		out = append(out, p)
	}
	return out
}

// Parameter is a parameter of a macro: an argument by place or name, else its default.
func Parameter(args []any, named *Map, i int, name string, otherwise func() any) any {
	if i < len(args) {
		return args[i]
	}
	if named != nil {
		if v, ok := named.Get(name); ok {
			return v
		}
	}
	return otherwise()
}
