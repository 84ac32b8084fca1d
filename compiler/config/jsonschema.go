package config

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// JSONSchema writes the schema of the accepted YAML for editors (draft
// 2020-12), from the tables of the loader. lorac check accepts every file that it
// accepts, except for the rules between keys. It does not accept misplaced keys
// (see flatten).
func JSONSchema(w io.Writer) error {
	root := &branch{}
	for _, r := range schema {
		root.add(r)
	}
	s := root.object()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "MindFormers config, as lorac takes it"
	s["description"] = "Keys without effect say why; keys that are not supported are allowed where they are switched off."
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

// branch is one path of the schema: a key, a section, or both.
type branch struct {
	key   *row // nil: only a section
	open  *row // the row with ".*": any key is taken below
	below map[string]*branch
	list  bool // the keys below are those of the elements of a list
}

func (b *branch) add(r row) {
	path, open := strings.CutSuffix(r.path, ".*")
	for _, name := range strings.Split(path, ".") {
		name, list := strings.CutSuffix(name, "[]")
		if b.below == nil {
			b.below = map[string]*branch{}
		}
		if b.below[name] == nil {
			b.below[name] = &branch{}
		}
		b = b.below[name]
		b.list = b.list || list
	}
	if open {
		b.open = &r
	} else {
		b.key = &r
	}
}

// object is the schema of the keys below.
func (b *branch) object() map[string]any {
	keys := map[string]any{}
	for name, child := range b.below {
		keys[name] = child.schema()
	}
	return map[string]any{"type": []string{"object", "null"}, "properties": keys, "additionalProperties": b.open != nil}
}

// schema is the schema of the value.
func (b *branch) schema() map[string]any {
	row := b.key
	if row == nil {
		row = b.open
	}
	var s map[string]any
	switch {
	case b.list:
		return map[string]any{"type": []string{"array", "null"}, "items": b.object()}
	case b.below == nil:
		s = leaf(*row)
	case b.key == nil:
		s = b.object()
	default:
		s = map[string]any{"anyOf": []any{values(description[row.path].is), b.object()}}
	}
	if row != nil {
		s["description"] = describe(*row)
		if a := description[row.path]; row.status == Used && a.def != nil {
			s["default"] = a.def
		}
	}
	return s
}

// describe is one line: what a key does, or why it has no effect.
func describe(r row) string {
	switch r.status {
	case Ignored:
		return "No effect here: " + r.why
	case Refused:
		return "Not supported: " + r.why
	}
	return description[r.path].text
}

// leaf is the schema of a key without keys below.
func leaf(r row) map[string]any {
	switch r.status {
	case Used:
		return values(description[r.path].is)
	case Refused:
		if vals := harmless[r.path]; vals != nil {
			return map[string]any{"enum": vals}
		}
		return map[string]any{"enum": []any{nil, false, 0, ""}}
	}
	return map[string]any{}
}

// values is the schema of a shape.
func values(is shape) map[string]any {
	if is.exact != nil {
		return is.exact
	}
	if is.only != nil {
		return map[string]any{"enum": []any{nil, is.only}}
	}
	if is.enum != nil {
		names := []any{nil}
		for _, name := range sortedKeys(is.enum) {
			names = append(names, name)
			if len(name) == 1 && name >= "0" && name <= "9" {
				names = append(names, int(name[0]-'0'))
			}
		}
		return map[string]any{"enum": names}
	}
	if is.types == nil && is.of == nil {
		return map[string]any{}
	}
	if is.of == nil {
		return map[string]any{"type": append(slices.Clone(is.types), "null")}
	}
	list := map[string]any{"type": "array", "items": map[string]any{"type": is.of}}
	if is.size > 0 {
		list["minItems"], list["maxItems"] = is.size, is.size
	}
	return map[string]any{"anyOf": []any{map[string]any{"type": append(slices.Clone(is.types), "null")}, list}}
}
