package weights

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lorac/runtime/weights/naming"
)

// unwrapped is a set whose parameter names carried names of wrappers, as
// module.model.norm.weight or model.layers.0._orig_mod.mlp.up_proj.weight.
type unwrapped struct {
	Set
	names  []string
	stored map[string]string // by the name without wrappers, where that differs
	note   string
}

// Unwrap takes the names of wrappers off: all that stands before a parameter of a
// Llama, as MindSpore does (python/mindspore/train/serialization.py,
// _load_dismatch_prefix_params), and those inside a name; it adds a `model.` that is
// missing. A name that is no parameter's even so, or that another one has, stays.
// Where there is nothing to take off it returns s.
func Unwrap(s Set) Set {
	list := unwrapAll([]Set{s})
	return list[0]
}

// Unwrapped says what Unwrap took off, and what AsBase rounds or leaves out; "" for nothing.
func Unwrapped(s Set) string {
	switch s := s.(type) {
	case *unwrapped:
		return s.note
	case *rounded:
		note := s.note()
		if names := Unwrapped(s.Set); names != "" {
			note = names + "; " + note
		}
		return note
	case *renamed:
		return Unwrapped(s.from)
	case *union:
		for _, part := range s.sets {
			if note := Unwrapped(part); note != "" {
				return note
			}
		}
	case *shards:
		return Unwrapped(s.sets[0])
	}
	return ""
}

// unwrapAll is Unwrap of the files of one checkpoint, whose names follow one scheme.
func unwrapAll(sets []Set) []Set {
	var names []string
	for _, s := range sets {
		names = append(names, s.Names()...)
	}
	scheme, changed := bareScheme(names)
	out := slices.Clone(sets)
	if !changed {
		return out
	}
	for i, s := range sets {
		out[i] = unwrap(s, scheme)
	}
	return out
}

// bareScheme is the scheme that knows most of the names without wrappers;
// changed is false where it knows them as they are.
func bareScheme(names []string) (scheme naming.Scheme, changed bool) {
	best, plain := 0, 0
	for _, c := range []naming.Scheme{naming.SchemeHuggingFace, naming.SchemeMindFormers, naming.SchemeMeta, naming.SchemeTorchtune} {
		known, same := 0, 0
		for _, n := range names {
			if b, ok := naming.Bare(n, c); ok {
				if known++; b == n {
					same++
				}
			}
		}
		if known > best || known == best && same > plain {
			scheme, best, plain = c, known, same
		}
	}
	return scheme, plain < best
}

func unwrap(s Set, scheme naming.Scheme) Set {
	u := &unwrapped{Set: s, stored: map[string]string{}}
	taken := map[string]bool{}
	all := s.Names()
	for _, n := range all { // names that need no change keep their place
		if b, ok := naming.Bare(n, scheme); ok && b == n {
			taken[n] = true
		}
	}
	words := map[string]bool{}
	for _, n := range all {
		b, ok := naming.Bare(n, scheme)
		if !ok || b == n || taken[b] {
			u.names = append(u.names, n)
			continue
		}
		taken[b] = true
		u.names, u.stored[b] = append(u.names, b), n
		for _, w := range difference(n, b) {
			words[w] = true
		}
	}
	if len(u.stored) == 0 {
		return s
	}
	u.note = fmt.Sprintf("%d of %d names", len(u.stored), len(all))
	if list := slices.Sorted(maps.Keys(words)); len(list) > 0 {
		u.note += " are read without " + strings.Join(list[:min(len(list), 4)], ", ")
	} else {
		u.note += " are read with model. before them"
	}
	return u
}

// difference lists the wrappers that were in a name.
func difference(name, bare string) (out []string) {
	left := strings.Split(name, ".")
	for _, part := range strings.Split(bare, ".") {
		if at := slices.Index(left, part); at >= 0 && part != "model" {
			left[at] = ""
		}
	}
	if at := slices.Index(left, "model"); at >= 0 && strings.HasPrefix(bare, "model.") {
		left[at] = ""
	}
	for _, part := range left {
		if part != "" {
			out = append(out, part+".")
		}
	}
	return out
}

func (u *unwrapped) Names() []string { return slices.Clone(u.names) }

// inFile is the name of a parameter in the file.
func (u *unwrapped) inFile(name string) string {
	if n, ok := u.stored[name]; ok {
		return n
	}
	return name
}

func (u *unwrapped) Tensor(name string) (Tensor, bool) {
	t, ok := u.Set.Tensor(u.inFile(name))
	t.Name = name
	return t, ok
}

func (u *unwrapped) Header(name string) (Header, bool) { return Describe(u.Set, u.inFile(name)) }

func (u *unwrapped) Pairs(name string) int { return Pairs(u.Set, u.inFile(name)) }

// Same reports whether two names share one tensor in the file.
func (u *unwrapped) Same(a, b string) bool { return Same(u.Set, u.inFile(a), u.inFile(b)) }
