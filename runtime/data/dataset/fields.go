package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// field is a value of a row under its key.
type field struct {
	key  string
	raw  json.RawMessage // JSON; nil: text is a cell of CSV
	text string
	used bool // something reads it, or says why not
}

// fields are all values of a row or of a turn, in the order of the file.
type fields []field

// membersOf takes an object of valid JSON apart. A key that comes twice is an error:
// which of its values counts would be anyone's guess.
func membersOf(raw json.RawMessage, into fields) (fields, error) {
	fs := into[:0]
	at := 1 // after {
	for {
		at += blanks(raw[at:])
		switch raw[at] {
		case '}':
			return fs, nil
		case ',':
			at++
			continue
		}
		end := at + valueEnd(raw[at:])
		var key string
		if err := json.Unmarshal(raw[at:end], &key); err != nil {
			return nil, err
		}
		at = end + blanks(raw[end:]) + 1 // the colon
		at += blanks(raw[at:])
		end = at + valueEnd(raw[at:])
		if slices.ContainsFunc(fs, func(f field) bool { return f.key == key }) {
			return nil, fmt.Errorf("the key `%s` is there twice", key)
		}
		fs = append(fs, field{key: key, raw: raw[at:end]})
		at = end
	}
}

// elementsOf takes a list of valid JSON apart.
func elementsOf(raw json.RawMessage) []json.RawMessage {
	var out []json.RawMessage
	for at := 1; ; {
		at += blanks(raw[at:])
		switch raw[at] {
		case ']':
			return out
		case ',':
			at++
			continue
		}
		end := at + valueEnd(raw[at:])
		out = append(out, raw[at:end])
		at = end
	}
}

func blanks(s []byte) int {
	n := 0
	for n < len(s) && strings.IndexByte(" \t\r\n", s[n]) >= 0 {
		n++
	}
	return n
}

// valueEnd is the length of the valid JSON value that s begins with.
func valueEnd(s []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				if quoted = false; depth == 0 {
					return i + 1
				}
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && strings.IndexByte(", \t\r\n:", c) >= 0:
			return i
		}
	}
	return len(s)
}

// find is the field of a key, nil if there is none. Where no key is spelled so,
// upper and lower case do not count.
func (fs fields) find(key string) *field {
	for i := range fs {
		if fs[i].key == key {
			return &fs[i]
		}
	}
	for i := range fs {
		if strings.EqualFold(fs[i].key, key) {
			return &fs[i]
		}
	}
	return nil
}

// has reports whether a key is there, with a value other than null.
func (fs fields) has(key string) bool {
	f := fs.find(key)
	return f != nil && !f.null()
}

// take finds a field and marks it as used; nil where the key is missing, its value
// null, or an optional cell blank.
func (fs fields) take(key string) *field {
	f := fs.find(key)
	if f == nil {
		return nil
	}
	f.used = true
	if f.null() || f.raw == nil && strings.TrimSpace(f.text) == "" {
		return nil
	}
	return f
}

// keys lists the keys for a message.
func (fs fields) keys() string {
	if len(fs) == 0 {
		return "none"
	}
	var names []string
	for _, f := range fs {
		names = append(names, f.key)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (f *field) null() bool { return string(f.raw) == "null" }

// empty reports whether a value says nothing: null, false, "", [] or {}.
func (f *field) empty() bool {
	if f.raw == nil {
		return strings.TrimSpace(f.text) == ""
	}
	switch string(f.raw) {
	case "null", "false", `""`, `"[]"`:
		return true
	}
	return strings.IndexByte("[{", f.raw[0]) >= 0 && blanks(f.raw[1:]) == len(f.raw)-2
}

// words is the text of a field. name is how messages call it.
func (f *field) words(name string) (string, error) {
	if f.raw == nil {
		return f.text, nil
	}
	var s string
	if err := json.Unmarshal(f.raw, &s); err != nil {
		return "", fmt.Errorf("`%s` is %s, want text", name, f.kind())
	}
	return s, nil
}

// parts is the text of a field that may be a list of parts, as OpenAI has it: each a
// text, or an object with a type and a text. They stand one after the other. Other parts,
// such as images, are an error with their place.
func (f *field) parts(name string) (string, error) {
	if f.raw == nil || f.raw[0] != '[' {
		return f.words(name)
	}
	var all strings.Builder
	for i, raw := range elementsOf(f.raw) {
		at := fmt.Sprintf("%s[%d]", name, i)
		part := field{key: at, raw: raw}
		if raw[0] == '{' {
			fs, err := membersOf(raw, nil)
			if err != nil {
				return "", fmt.Errorf("`%s`: %w", at, err)
			}
			kind := fs.find("type")
			if kind == nil {
				return "", fmt.Errorf("`%s` has no `type`; its keys are %s", at, fs.keys())
			}
			what, err := kind.words(at + ".type")
			if err != nil {
				return "", err
			}
			text := fs.find("text")
			switch {
			case !slices.Contains(textParts, what):
				return "", fmt.Errorf("`%s` is of the type %q; only text is trained on: take such rows out, or write what it shows into the text", at, what)
			case text == nil || text.null():
				return "", fmt.Errorf("`%s` is of the type %q and has no `text`", at, what)
			}
			for j := range fs {
				if g := &fs[j]; g != kind && g != text && !slices.Contains(partExtras, g.key) && !g.empty() {
					return "", fmt.Errorf("`%s` has the key `%s`, which has no place here; take it out", at, g.key)
				}
			}
			part = *text
			at += ".text"
		}
		text, err := part.words(at)
		if err != nil {
			return "", err
		}
		all.WriteString(text)
	}
	return all.String(), nil
}

// textParts are the types of parts that are text, and partExtras what they may have
// besides that changes nothing.
var (
	textParts  = []string{"text", "input_text", "output_text"}
	partExtras = []string{"annotations", "cache_control", "id", "index"}
)

// list is the elements of a field that is a list.
func (f *field) list(name string) ([]json.RawMessage, error) {
	if f.raw == nil || f.raw[0] != '[' {
		return nil, fmt.Errorf("`%s` is %s, want a list", name, f.kind())
	}
	return elementsOf(f.raw), nil
}

// whole is the whole numbers of a field that is a list of them. into may be nil.
func (f *field) whole(into []int64) ([]int64, error) {
	if f.raw == nil || f.raw[0] != '[' {
		return nil, fmt.Errorf("`%s` is %s, want a list", f.key, f.kind())
	}
	out := into[:0]
	if err := json.Unmarshal(f.raw, &out); err != nil {
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) {
			return nil, err
		}
		is := strings.TrimPrefix(wrong.Value, "number ")
		if named, ok := kinds[wrong.Value]; ok {
			is = named
		}
		return nil, fmt.Errorf("`%s` is %s, want a whole number", f.key, is)
	}
	return out, nil
}

// kinds are the names of JSON's kinds in messages.
var kinds = map[string]string{"string": "text", "array": "a list", "object": "an object", "number": "a number", "bool": "true or false"}

// kind names what a value is.
func (f *field) kind() string {
	if f.raw == nil {
		return "text"
	}
	switch f.raw[0] {
	case '"':
		return kinds["string"]
	case '[':
		return kinds["array"]
	case '{':
		return kinds["object"]
	case 't', 'f':
		return kinds["bool"]
	case 'n':
		return "null"
	}
	return kinds["number"]
}

// short is a value as a message shows it.
func (f *field) short() string {
	s := f.text
	if f.raw != nil {
		s = string(f.raw)
	}
	if r := []rune(s); len(r) > 30 {
		s = string(r[:30]) + "…"
	}
	return s
}

// switched is a field that says yes or no: 1 or 0, true or false.
func (f *field) switched() (bool, error) {
	s := strings.ToLower(strings.TrimSpace(f.text))
	if f.raw != nil {
		s = string(f.raw)
	}
	switch s {
	case "1", "1.0", "true":
		return true, nil
	case "0", "0.0", "false":
		return false, nil
	}
	return false, fmt.Errorf("`%s` is %s; only 0 and 1, or false and true, are known: repeat a row to weigh it more", f.key, f.short())
}

// Column is a key of rows that nothing reads.
type Column struct {
	Name string
	Rows int // that have it, with a value
}

// unread counts what nothing has read of a row, or of a turn: under is "" or the
// list of the turns. A key counts once in a row.
func (r *reader) unread(row int, under string, fs fields) {
	for _, f := range fs {
		if f.used || f.null() {
			continue
		}
		name := f.key
		if under != "" {
			name = under + "[]." + name
		}
		at, ok := r.columns[name]
		if !ok {
			if at = len(r.Stats.Unread); at == mostColumns {
				continue
			}
			if r.columns == nil {
				r.columns = map[string]int{}
			}
			r.columns[name] = at
			r.Stats.Unread = append(r.Stats.Unread, Column{Name: name})
			r.columnRow = append(r.columnRow, 0)
		}
		if place := r.file<<32 | row; r.columnRow[at] != place {
			r.columnRow[at] = place
			r.Stats.Unread[at].Rows++
		}
	}
}

// mostColumns bounds the list, for rows whose keys are data.
const mostColumns = 100
