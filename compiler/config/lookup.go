package config

import (
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

// expand expands DATASET into the two sections, and braces into the keys in them.
func expand(rows []row) []row {
	var out []row
	for _, r := range rows {
		paths := []string{r.path}
		if rest, ok := strings.CutPrefix(r.path, "DATASET"); ok {
			paths = []string{"train_dataset" + rest, "eval_dataset" + rest}
		}
		for _, path := range paths {
			before, rest, braced := strings.Cut(path, "{")
			if !braced {
				out = append(out, row{path, r.status, r.why})
				continue
			}
			names, after, _ := strings.Cut(rest, "}")
			for _, name := range strings.Split(names, ",") {
				out = append(out, row{before + name + after, r.status, r.why})
			}
		}
	}
	return out
}

var (
	rowOf = index(schema, func(r row) bool { return !strings.HasSuffix(r.path, ".*") }) // by path
	below = index(schema, func(r row) bool { return strings.HasSuffix(r.path, ".*") })  // by path without ".*"

	// sections are the paths whose keys are all in the schema: mappings, and
	// lists of mappings.
	sections = sectionsOf(schema)
)

func index(rows []row, want func(row) bool) map[string]row {
	m := map[string]row{}
	for _, r := range rows {
		if want(r) {
			r.path = strings.TrimSuffix(r.path, ".*")
			m[r.path] = r
		}
	}
	return m
}

func sectionsOf(rows []row) map[string]yaml.Kind {
	m := map[string]yaml.Kind{}
	for _, r := range rows {
		parts := strings.Split(r.path, ".")
		for i := 1; i < len(parts); i++ {
			if i == len(parts)-1 && parts[i] == "*" {
				continue // any key below is accepted
			}
			path := strings.Join(parts[:i], ".")
			if list, ok := strings.CutSuffix(path, "[]"); ok {
				m[list] = yaml.SequenceNode
			} else {
				m[path] = yaml.MappingNode
			}
		}
	}
	return m
}

// exact reports whether a path has a row, not only a ".*" above it.
func exact(path string) bool {
	_, ok := rowOf[path]
	return ok
}

// Known reports whether a dotted path is a key of the schema.
func Known(path string) bool {
	_, ok := lookup(path)
	return ok
}

// lookup finds the row of a path: itself, or the nearest ".*" above it.
func lookup(path string) (row, bool) {
	if r, ok := rowOf[path]; ok {
		return r, true
	}
	for p := path; p != ""; {
		if r, ok := below[p]; ok {
			return r, true
		}
		p = p[:max(strings.LastIndex(p, "."), 0)]
		p = strings.TrimSuffix(p, "[]")
		if r, ok := below[p+"[]"]; ok {
			return r, true
		}
	}
	return row{}, false
}

// siblings lists the keys allowed directly below a path, sorted, without refused
// keys; with used, only those that have an effect.
func siblings(path string, used bool) []string {
	prefix := path + "."
	if path == "" {
		prefix = ""
	}
	seen := map[string]bool{}
	var out []string
	for _, r := range schema {
		rest, ok := strings.CutPrefix(r.path, prefix)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		name = strings.TrimSuffix(name, "[]")
		if used && r.status != Used || r.status == Refused {
			continue
		}
		if name != "*" && name != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// anywhere finds the path of a key of the same name in another section.
func anywhere(name string) string {
	for _, r := range schema {
		if strings.HasSuffix(r.path, "."+name) && !strings.Contains(r.path, "[]") {
			return r.path
		}
	}
	return ""
}

// KeyNamed is the path of the key that has a name in some section, or that another
// program calls so; "" for none.
func KeyNamed(name string) string {
	if ours := otherNames[name]; ours != "" {
		name = ours
	}
	if path := anywhere(name); path != "" && rowOf[path].status == Used {
		return path
	}
	return ""
}
