package weights

import (
	"slices"
	"strings"

	"lorac/runtime/weights/naming"
)

// prefixed is a set whose parameter names all begin with the name of a wrapper
// cell, as network.model.norm_out.weight.
type prefixed struct {
	Set
	prefix string
}

// Unwrap strips such a prefix if no parameter is a Llama's with it and all are
// without it, as MindSpore does when no name matches (python/mindspore/train/
// serialization.py, _load_dismatch_prefix_params). Otherwise it returns s.
func Unwrap(s Set) Set {
	prefix := ""
	for _, name := range s.Names() {
		if _, state := naming.StateOf(name); state || !strings.Contains(name, ".") {
			continue
		}
		at := slices.Min([]int{begin(name, "model.layers."), begin(name, "model.tok_embeddings."), begin(name, "model.norm_out."), begin(name, "lm_head.")})
		switch {
		case at == 0 || at == len(name):
			return s
		case prefix == "":
			prefix = name[:at]
		case prefix != name[:at]:
			return s
		}
	}
	if !strings.HasSuffix(prefix, ".") {
		return s
	}
	return &prefixed{s, prefix}
}

// begin is the index of part in name, len(name) if absent.
func begin(name, part string) int {
	if i := strings.Index(name, part); i >= 0 {
		return i
	}
	return len(name)
}

func (p *prefixed) Names() []string {
	names := p.Set.Names()
	for i, n := range names {
		names[i] = strings.TrimPrefix(n, p.prefix)
	}
	return names
}

// stored is the name of a parameter in the file.
func (p *prefixed) stored(name string) string {
	if _, ok := Describe(p.Set, p.prefix+name); ok {
		return p.prefix + name
	}
	return name
}

func (p *prefixed) Tensor(name string) (Tensor, bool) {
	t, ok := p.Set.Tensor(p.stored(name))
	t.Name = name
	return t, ok
}

func (p *prefixed) Head(name string) (Head, bool) { return Describe(p.Set, p.stored(name)) }

func (p *prefixed) Pairs(name string) int { return Pairs(p.Set, p.stored(name)) }
