package naming

import (
	"fmt"
	"strings"
)

// SchemeOf detects the naming scheme of a checkpoint or an adapter: the one that
// knows most of the names, false if none knows any.
func SchemeOf(names []string) (s Scheme, ok bool) {
	best := 0
	for c := Scheme(0); c < schemes; c++ {
		n := 0
		for _, name := range names {
			if Known(name, c) {
				n++
			}
		}
		if n > best {
			s, best = c, n
		}
	}
	return s, best > 0
}

// Known reports whether a scheme has a parameter of this name: of the base, a
// factor of an adapter, or a linear of qkv_concat.
func Known(name string, s Scheme) bool {
	if s == SchemeMindFormers && Parts(name) != nil {
		return true
	}
	_, ok := Translate(name, s, SchemeMindFormers)
	return ok
}

// ParameterNames lists the parameters of a model with n layers in the order of
// the table, the layers one after the other; concat joins linears as
// `qkv_concat: True` does (MindFormers names only). Biases, which only some models
// have, are not among them; see WithBiases.
func ParameterNames(n int, s Scheme, concat bool) (names []string) {
	add := func(layer string, rows []string) {
		for _, name := range rows {
			names = append(names, fillPattern(name, layer))
		}
	}
	var before, layer, after []string
	for _, row := range table {
		name := row[s]
		for _, j := range joined {
			if at := indexOf(j.parts, row[SchemeMindFormers]); concat && s == SchemeMindFormers && at >= 0 {
				if name = j.name; at > 0 {
					name = ""
				}
			}
		}
		switch {
		case name == "" || strings.HasSuffix(name, ".bias"):
		case strings.Contains(name, "#"):
			layer = append(layer, name)
		case layer == nil:
			before = append(before, name)
		default:
			after = append(after, name)
		}
	}
	add("", before)
	for i := range n {
		add(fmt.Sprint(i), layer)
	}
	add("", after)
	return names
}

// WithBiases puts after the name of each linear that of its bias, where the model
// has it.
func WithBiases(names []string, s Scheme, has func(bias string) bool) (out []string) {
	for _, name := range names {
		out = append(out, name)
		if bias := BiasOf(name, s); bias != "" && has(bias) {
			out = append(out, bias)
		}
	}
	return out
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return -1
}
