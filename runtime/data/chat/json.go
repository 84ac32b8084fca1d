package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"lorac/runtime/python"
)

// JSON reads a value, keys in their order.
func JSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the JSON value")
	}
	return v, nil
}

func value(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if n, err := strconv.Atoi(t.String()); err == nil {
			return n, nil
		}
		return t.Float64()
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := value(d)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		m := Dict()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := value(d)
			if err != nil {
				return nil, err
			}
			m.Set(k.(string), v)
		}
		_, err := d.Token()
		return m, err
	}
	return t, nil
}

// toJSON writes a value as json.dumps of Python does, with ensure_ascii off.
func toJSON(v any, indent int, sorted bool) string {
	var b strings.Builder
	dump(&b, v, indent, 0, sorted)
	return b.String()
}

func dump(b *strings.Builder, v any, indent, depth int, sorted bool) {
	line := func(depth int) {
		if indent > 0 {
			b.WriteString("\n" + strings.Repeat(" ", indent*depth))
		}
	}
	between := func(i int) {
		if i > 0 && indent > 0 {
			b.WriteString(",")
		} else if i > 0 {
			b.WriteString(", ")
		}
		line(depth + 1)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strings.ToLower(python.Bool(v)))
	case int:
		b.WriteString(strconv.Itoa(v))
	case float64:
		switch {
		case math.IsNaN(v):
			b.WriteString("NaN")
		case math.IsInf(v, 0):
			b.WriteString(map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0])
		default:
			b.WriteString(python.Float(v, 64))
		}
	case string:
		quote(b, v)
	case []any:
		b.WriteString("[")
		for i, x := range v {
			between(i)
			dump(b, x, indent, depth+1, sorted)
		}
		if len(v) > 0 {
			line(depth)
		}
		b.WriteString("]")
	case *Map:
		keys := v.keys
		if sorted {
			keys = sortedKeys(v)
		}
		b.WriteString("{")
		for i, k := range keys {
			between(i)
			quote(b, k)
			b.WriteString(": ")
			dump(b, v.values[k], indent, depth+1, sorted)
		}
		if len(keys) > 0 {
			line(depth)
		}
		b.WriteString("}")
	default:
		here(v)
		fail("a %s has no form in JSON", kindOf(v))
	}
}

// quote writes a text as Python's json does.
func quote(b *strings.Builder, s string) {
	const digits = "0123456789abcdef"
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < ' ':
			b.WriteString(`\u00` + string(digits[r>>4]) + string(digits[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
