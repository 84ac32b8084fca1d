package jinja

import "slices"

// walk visits the expressions of a statement that are computed in its own scope, and
// its bodies: inner ones have a scope of their own, in which names are given.
func walk(s stmt, x func(expr), body func(list []stmt, inner bool, names ...string)) {
	switch s := s.(type) {
	case *print:
		x(s.what)
	case *cond:
		for _, c := range s.conds {
			x(c)
		}
		for _, b := range s.bodies {
			body(b, false)
		}
	case *loop:
		x(s.over)
		if s.where != nil {
			body([]stmt{&print{s.where}}, true, s.names...)
		}
		body(s.body, true, append([]string{"loop"}, s.names...)...)
		body(s.other, false)
	case *set:
		if s.space != nil {
			x(s.space)
		}
		if s.value != nil {
			x(s.value)
		}
		body(s.body, true)
	case *filtered:
		x(s.by)
		body(s.body, true)
	case *macro:
		for _, d := range s.defaults {
			x(d)
		}
		body(s.body, true, s.params...)
	case *answer:
		body(s.body, false)
	}
}

// inside visits the names that an expression reads.
func inside(x expr, see func(n string)) {
	each := func(list ...expr) {
		for _, y := range list {
			if y != nil {
				inside(y, see)
			}
		}
	}
	switch x := x.(type) {
	case *name:
		see(x.name)
	case *attr:
		each(x.of)
	case *index:
		each(x.of, x.key)
	case *slice:
		each(x.of, x.from, x.to, x.step)
	case *call:
		each(x.of)
		each(x.args...)
		each(x.named...)
	case *method:
		each(x.of)
		each(x.args...)
		each(x.named...)
	case *filter:
		each(x.of)
		each(x.args...)
		each(x.named...)
	case *test:
		each(x.of)
		each(x.args...)
	case *binary:
		each(x.a, x.b)
	case *logic:
		each(x.a, x.b)
	case *not:
		each(x.of)
	case *minus:
		each(x.of)
	case *choice:
		each(x.cond, x.a, x.b)
	case *list:
		each(x.items...)
	case *dict:
		each(x.keys...)
		each(x.values...)
	}
}

// mentions reports whether statements read a name, in whatever scope.
func mentions(list []stmt, n string) (found bool) {
	for _, s := range list {
		walk(s, func(x expr) { inside(x, func(m string) { found = found || m == n }) },
			func(list []stmt, _ bool, _ ...string) { found = found || mentions(list, n) })
	}
	return found
}

// use is what statements do with a variable first.
type use byte

const (
	neither use = iota
	reads
	writes
)

// firstUse is what statements of one scope do with a variable first, on whatever way
// through them: what may be read before it is written is read.
func firstUse(list []stmt, n string) use {
	for _, s := range list {
		if u := useOf(s, n); u != neither {
			return u
		}
	}
	return neither
}

func useOf(s stmt, n string) use {
	switch s := s.(type) {
	case *macro:
		if s.name == n {
			return writes
		}
	case *set:
		own := s.value
		if s.space != nil {
			own = &list{items: []expr{s.space, s.value}}
		}
		if mentions([]stmt{&set{value: own, body: s.body}}, n) {
			return reads
		}
		if s.space == nil && slices.Contains(s.names, n) {
			return writes
		}
		return neither
	case *cond:
		for _, x := range s.conds {
			if mentions([]stmt{&print{x}}, n) {
				return reads
			}
		}
		all := len(s.bodies) > len(s.conds)
		for _, b := range s.bodies {
			switch firstUse(b, n) {
			case reads:
				return reads
			case neither:
				all = false
			}
		}
		if all {
			return writes
		}
		return neither
	case *answer:
		return firstUse(s.body, n)
	}
	if mentions([]stmt{s}, n) {
		return reads
	}
	return neither
}

// free lists the names that statements read and that no scope within them has.
func free(list []stmt) (out []string) {
	add := func(n string) {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, s := range list {
		walk(s, func(x expr) { inside(x, add) }, func(body []stmt, inner bool, names ...string) {
			for _, n := range free(body) {
				hidden := slices.Contains(names, n) || inner && slices.Contains(assigned(body), n) && firstUse(body, n) != reads
				if !hidden {
					add(n)
				}
			}
		})
	}
	return out
}
