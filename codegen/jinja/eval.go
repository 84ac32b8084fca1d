package jinja

import (
	"slices"

	"lorac/runtime/data/chat"
)

// Func is the template as a function that evaluates it.
func (t *Template) Func() chat.Func {
	return func(c *chat.Context) {
		e := &evaluator{c: c, vars: &scope{values: map[string]any{}}}
		e.body(t.body)
	}
}

// scope are the variables of a loop's turn, of a macro or of the template.
type scope struct {
	outer  *scope
	values map[string]any
}

type evaluator struct {
	c    *chat.Context
	vars *scope
	jump string // break or continue, on its way to the loop
}

func (e *evaluator) get(n string) any {
	for s := e.vars; s != nil; s = s.outer {
		if v, ok := s.values[n]; ok {
			return v
		}
	}
	return e.c.Var(n)
}

func (e *evaluator) inner(f func()) {
	e.vars = &scope{e.vars, map[string]any{}}
	f()
	e.vars = e.vars.outer
}

func (e *evaluator) body(list []stmt) {
	for _, s := range list {
		if e.jump != "" {
			return
		}
		e.stmt(s)
	}
}

func (e *evaluator) stmt(s stmt) {
	switch s := s.(type) {
	case *text:
		e.c.Put(s.text)
	case *print:
		e.c.Out(e.expr(s.what))
	case *cond:
		for i, x := range s.conds {
			if chat.True(e.expr(x)) {
				e.body(s.bodies[i])
				return
			}
		}
		if len(s.bodies) > len(s.conds) {
			e.body(s.bodies[len(s.conds)])
		}
	case *loop:
		e.loop(s)
	case *set:
		e.set(s)
	case *filtered:
		f := *s.by
		f.of = &literal{e.c.Capture(func() { e.body(s.body) })}
		e.c.Out(e.expr(&f))
	case *macro:
		e.vars.values[s.name] = e.macro(s)
	case *jump:
		e.jump = s.word
	case *answer:
		e.c.Answer()
		e.body(s.body)
		e.c.EndAnswer()
	}
}

func (e *evaluator) loop(s *loop) {
	items := chat.List(e.expr(s.over))
	if s.where != nil {
		items = chat.Where(items, func(v any) (holds bool) {
			e.inner(func() {
				e.bind(s.names, v)
				holds = chat.True(e.expr(s.where))
			})
			return holds
		})
	}
	if len(items) == 0 {
		e.body(s.other)
		return
	}
	for l := range chat.Loops(items) {
		e.inner(func() {
			e.vars.values["loop"] = l
			e.bind(s.names, l.Value)
			e.body(s.body)
		})
		word := e.jump
		if e.jump = ""; word == "break" {
			return
		}
	}
}

func (e *evaluator) bind(names []string, v any) {
	if len(names) == 1 {
		e.vars.values[names[0]] = v
		return
	}
	for i, x := range chat.Pair(v, len(names)) {
		e.vars.values[names[i]] = x
	}
}

func (e *evaluator) set(s *set) {
	var v any
	if s.value != nil {
		v = e.expr(s.value)
	} else {
		v = e.c.Capture(func() { e.inner(func() { e.body(s.body) }) })
	}
	if s.space != nil {
		chat.SetAttr(e.expr(s.space), s.names[0], v)
		return
	}
	e.bind(s.names, v)
}

func (e *evaluator) macro(s *macro) chat.Callable {
	at := e.vars
	return func(args []any, named *chat.Map) any {
		was, jump := e.vars, e.jump
		defer func() { e.vars, e.jump = was, jump }()
		e.vars = &scope{at, map[string]any{}}
		for i, p := range s.params {
			e.vars.values[p] = chat.Parameter(args, named, i, p, func() any {
				if d := i - (len(s.params) - len(s.defaults)); d >= 0 {
					return e.expr(s.defaults[d])
				}
				return chat.Missing{Name: p}
			})
		}
		return e.c.Capture(func() { e.body(s.body) })
	}
}

func (e *evaluator) arguments(a arguments) (args []any, named *chat.Map) {
	for _, x := range a.args {
		args = append(args, e.expr(x))
	}
	if len(a.names) > 0 {
		named = chat.Dict()
		for i, n := range a.names {
			named.Set(n, e.expr(a.named[i]))
		}
	}
	return args, named
}

func (e *evaluator) expr(x expr) any {
	switch x := x.(type) {
	case nil:
		return nil
	case *literal:
		return x.value
	case *name:
		return e.get(x.name)
	case *attr:
		return chat.Attr(e.expr(x.of), x.name)
	case *index:
		return chat.At(e.expr(x.of), e.expr(x.key))
	case *slice:
		return chat.Slice(e.expr(x.of), e.expr(x.from), e.expr(x.to), e.expr(x.step))
	case *call:
		args, named := e.arguments(x.arguments)
		return chat.Call(e.expr(x.of), args, named)
	case *method:
		of := e.expr(x.of)
		args, named := e.arguments(x.arguments)
		return chat.Method(of, x.name, args, named)
	case *filter:
		of := e.expr(x.of)
		args, named := e.arguments(x.arguments)
		return chat.Filter(x.name, of, args, named)
	case *test:
		args, _ := e.arguments(arguments{args: x.args})
		return chat.Test(x.name, e.expr(x.of), args...) != x.not
	case *binary:
		a := e.expr(x.a)
		return chat.Binary(x.op, a, e.expr(x.b))
	case *logic:
		if x.and {
			return chat.And(e.expr(x.a), func() any { return e.expr(x.b) })
		}
		return chat.Or(e.expr(x.a), func() any { return e.expr(x.b) })
	case *not:
		return !chat.True(e.expr(x.of))
	case *minus:
		return chat.Negative(e.expr(x.of))
	case *choice:
		if chat.True(e.expr(x.cond)) {
			return e.expr(x.a)
		}
		if x.b == nil {
			return chat.Missing{Name: "the value of an if without else"}
		}
		return e.expr(x.b)
	case *list:
		items := make([]any, len(x.items))
		for i, y := range x.items {
			items[i] = e.expr(y)
		}
		return items
	case *dict:
		var pairs []any
		for i := range x.keys {
			pairs = append(pairs, e.expr(x.keys[i]), e.expr(x.values[i]))
		}
		return chat.Dict(pairs...)
	}
	panic("BUG: jinja: an expression of no kind")
}

// assigned lists the variables that statements set in their own scope: not those of
// loops, macros and captured blocks within.
func assigned(list []stmt) (out []string) {
	add := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	for _, s := range list {
		switch s := s.(type) {
		case *set:
			if s.space == nil {
				add(s.names...)
			}
		case *macro:
			add(s.name)
		case *cond:
			for _, body := range s.bodies {
				add(assigned(body)...)
			}
		case *loop:
			add(assigned(s.other)...)
		case *answer:
			add(assigned(s.body)...)
		}
	}
	return out
}
