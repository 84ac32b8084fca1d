package jinja

import (
	"go/token"
	"slices"

	j "github.com/dave/jennifer/jen"

	"lorac/runtime/data/chat"
)

const chatPath = "lorac/runtime/data/chat"

func lib(f string) *j.Statement { return j.Qual(chatPath, f) }

// Emit writes a template as a function of Go, a chat.Func.
func (t *Template) Emit(f *j.File, function string) {
	e := &emitter{}
	f.Func().Id(function).Params(j.Id("c").Op("*").Add(lib("Context"))).BlockFunc(func(g *j.Group) {
		own := assigned(t.body)
		all := slices.DeleteFunc(free(t.body), func(n string) bool { return chat.IsFunction(n) && !slices.Contains(own, n) })
		for _, n := range own {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		e.scopes = [][]string{all}
		for _, n := range all {
			if slices.Contains(own, n) && firstUse(t.body, n) != reads {
				g.Var().Id(ident(n)).Any()
			} else {
				g.Id(ident(n)).Op(":=").Id("c").Dot("Var").Call(j.Lit(n))
			}
			used(g, t.body, n)
		}
		e.body(g, t.body)
	})
}

type emitter struct {
	scopes [][]string // declared variables, the innermost last
}

func (e *emitter) declared(n string) bool {
	return slices.ContainsFunc(e.scopes, func(s []string) bool { return slices.Contains(s, n) })
}

// ident is a variable's name in Go.
func ident(n string) string {
	if token.IsKeyword(n) || slices.Contains([]string{"c", "chat", "any", "nil", "string", "true", "false", "bool", "v", "list", "pair", "args", "named", "_"}, n) || n[0] == '_' {
		return "x" + n
	}
	return n
}

// used keeps Go from refusing a variable that nothing reads.
func used(g *j.Group, body []stmt, n string) {
	if !slices.Contains(free(body), n) {
		g.Id("_").Op("=").Id(ident(n))
	}
}

func (e *emitter) body(g *j.Group, list []stmt) {
	for _, s := range list {
		e.stmt(g, s)
	}
}

// scope writes a body that has variables of its own beside the given ones.
func (e *emitter) scope(g *j.Group, given []string, list []stmt) {
	own := slices.DeleteFunc(assigned(list), func(n string) bool { return slices.Contains(given, n) })
	for _, n := range own {
		switch {
		case firstUse(list, n) != reads:
			g.Var().Id(ident(n)).Any()
		case e.declared(n):
			g.Id(ident(n)).Op(":=").Id(ident(n))
		default:
			g.Id(ident(n)).Op(":=").Id("c").Dot("Var").Call(j.Lit(n))
		}
		used(g, list, n)
	}
	e.scopes = append(e.scopes, slices.Concat(given, own))
	e.body(g, list)
	e.scopes = e.scopes[:len(e.scopes)-1]
}

func (e *emitter) capture(list []stmt) *j.Statement {
	return j.Id("c").Dot("Capture").Call(j.Func().Params().BlockFunc(func(g *j.Group) { e.scope(g, nil, list) }))
}

func (e *emitter) stmt(g *j.Group, s stmt) {
	switch s := s.(type) {
	case *text:
		g.Id("c").Dot("Put").Call(j.Lit(s.text))
	case *print:
		e.print(g, s.what)
	case *cond:
		st := j.Null()
		for i, x := range s.conds {
			if i > 0 {
				st.Else()
			}
			st.If(e.truth(x)).BlockFunc(func(g *j.Group) { e.body(g, s.bodies[i]) })
		}
		if n := len(s.conds); len(s.bodies) > n && len(s.bodies[n]) > 0 {
			st.Else().BlockFunc(func(g *j.Group) { e.body(g, s.bodies[n]) })
		}
		g.Add(st)
	case *loop:
		e.loop(g, s)
	case *set:
		e.set(g, s)
	case *filtered:
		args := e.arguments(s.by.arguments)
		g.Id("c").Dot("Out").Call(lib("Filter").Call(append([]j.Code{j.Lit(s.by.name), e.capture(s.body)}, args...)...))
	case *macro:
		e.macro(g, s)
	case *jump:
		g.Id(s.word)
	case *answer:
		g.Id("c").Dot("Answer").Call()
		e.body(g, s.body)
		g.Id("c").Dot("EndAnswer").Call()
	}
}

// print writes an expression; a sum that begins with a text is a row of texts.
func (e *emitter) print(g *j.Group, x expr) {
	terms := sumOf(x)
	if s, ok := literalText(terms[0]); ok && len(terms) > 1 || ok {
		g.Id("c").Dot("Put").Call(j.Lit(s))
		for _, t := range terms[1:] {
			if s, ok := literalText(t); ok {
				g.Id("c").Dot("Put").Call(j.Lit(s))
			} else {
				g.Id("c").Dot("Str").Call(e.expr(t))
			}
		}
		return
	}
	if c, ok := x.(*call); ok && e.calls(c, "raise_exception") && len(c.args) == 1 {
		g.Add(lib("Raise").Call(e.expr(c.args[0])))
		return
	}
	if c, ok := x.(*choice); ok {
		st := j.If(e.truth(c.cond)).BlockFunc(func(g *j.Group) { e.print(g, c.a) })
		if s, ok := literalText(c.b); c.b != nil && !(ok && s == "") {
			st.Else().BlockFunc(func(g *j.Group) { e.print(g, c.b) })
		}
		g.Add(st)
		return
	}
	g.Id("c").Dot("Out").Call(e.expr(x))
}

// sumOf are the terms of a sum, added from the left.
func sumOf(x expr) []expr {
	if b, ok := x.(*binary); ok && b.op == "+" {
		return append(sumOf(b.a), b.b)
	}
	return []expr{x}
}

func literalText(x expr) (string, bool) {
	l, ok := x.(*literal)
	if !ok {
		return "", false
	}
	s, ok := l.value.(string)
	return s, ok
}

// calls reports whether a call is of a function of chat, which no variable hides.
func (e *emitter) calls(c *call, function string) bool {
	n, ok := c.of.(*name)
	return ok && n.name == function && !e.declared(function)
}

func (e *emitter) loop(g *j.Group, s *loop) {
	over := e.expr(s.over)
	items := lib("List").Call(over)
	if s.where != nil {
		items = lib("Where").Call(items, j.Func().Params(j.Id("v").Any()).Bool().BlockFunc(func(g *j.Group) {
			e.names(g, s.names, func() *j.Statement { return j.Id("v") }, []stmt{&print{s.where}})
			e.scopes = append(e.scopes, s.names)
			g.Return(e.truth(s.where))
			e.scopes = e.scopes[:len(e.scopes)-1]
		}))
	}
	if s.other != nil {
		g.If(j.Id("list").Op(":=").Add(items), j.Len(j.Id("list")).Op("==").Lit(0)).BlockFunc(func(g *j.Group) { e.body(g, s.other) }).
			Else().BlockFunc(func(g *j.Group) { e.turns(g, s, j.Id("list")) })
		return
	}
	e.turns(g, s, items)
}

func (e *emitter) turns(g *j.Group, s *loop, items *j.Statement) {
	given := slices.Clone(s.names)
	inner := free(s.body)
	if slices.Contains(inner, "loop") {
		given = append(given, "loop")
		g.For(j.Id("loop").Op(":=").Range().Add(lib("Loops")).Call(items)).BlockFunc(func(g *j.Group) {
			e.names(g, s.names, func() *j.Statement { return j.Id("loop").Dot("Value") }, s.body)
			e.scope(g, given, s.body)
		})
		return
	}
	if len(s.names) == 1 && slices.Contains(inner, s.names[0]) {
		g.For(j.List(j.Id("_"), j.Id(ident(s.names[0]))).Op(":=").Range().Add(items)).BlockFunc(func(g *j.Group) { e.scope(g, given, s.body) })
		return
	}
	g.For(j.List(j.Id("_"), j.Id("v")).Op(":=").Range().Add(items)).BlockFunc(func(g *j.Group) {
		e.names(g, s.names, func() *j.Statement { return j.Id("v") }, s.body)
		e.scope(g, given, s.body)
	})
}

// names binds the names of a loop to an element.
func (e *emitter) names(g *j.Group, names []string, v func() *j.Statement, body []stmt) {
	if len(names) == 1 {
		g.Id(ident(names[0])).Op(":=").Add(v())
		used(g, body, names[0])
		return
	}
	g.Id("pair").Op(":=").Add(lib("Pair")).Call(v(), j.Lit(len(names)))
	for i, n := range names {
		g.Id(ident(n)).Op(":=").Id("pair").Index(j.Lit(i))
		used(g, body, n)
	}
}

func (e *emitter) set(g *j.Group, s *set) {
	var value *j.Statement
	if s.value != nil {
		value = e.expr(s.value)
	} else {
		value = e.capture(s.body)
	}
	switch {
	case s.space != nil:
		g.Add(lib("SetAttr").Call(e.expr(s.space), j.Lit(s.names[0]), value))
	case len(s.names) == 1 && s.names[0] == "_":
		g.Id("_").Op("=").Add(value)
	case len(s.names) == 1:
		g.Id(ident(s.names[0])).Op("=").Add(value)
	default:
		g.BlockFunc(func(g *j.Group) {
			g.Id("list").Op(":=").Add(lib("Pair")).Call(value, j.Lit(len(s.names)))
			for i, n := range s.names {
				g.Id(ident(n)).Op("=").Id("list").Index(j.Lit(i))
			}
		})
	}
}

func (e *emitter) macro(g *j.Group, s *macro) {
	g.Id(ident(s.name)).Op("=").Add(lib("Callable")).Call(j.Func().Params(j.Id("args").Index().Any(), j.Id("named").Op("*").Add(lib("Map"))).Any().BlockFunc(func(g *j.Group) {
		for i, p := range s.params {
			otherwise := lib("Missing").Values(j.Id("Name").Op(":").Lit(p))
			if d := i - (len(s.params) - len(s.defaults)); d >= 0 {
				otherwise = e.expr(s.defaults[d])
			}
			g.Id(ident(p)).Op(":=").Add(lib("Parameter")).Call(j.Id("args"), j.Id("named"), j.Lit(i), j.Lit(p), thunk(otherwise))
			used(g, s.body, p)
		}
		e.scopes = append(e.scopes, s.params)
		g.Return(e.capture(s.body))
		e.scopes = e.scopes[:len(e.scopes)-1]
	}))
}

func thunk(x j.Code) *j.Statement { return j.Func().Params().Any().Block(j.Return(x)) }

// truth is an expression as a condition of Go.
func (e *emitter) truth(x expr) *j.Statement {
	switch x := x.(type) {
	case *literal:
		if b, ok := x.value.(bool); ok {
			return j.Lit(b)
		}
	case *not:
		if inner, ok := x.of.(*logic); ok {
			return j.Op("!").Parens(e.truth(inner))
		}
		return j.Op("!").Add(e.truth(x.of))
	case *logic:
		op := "||"
		if x.and {
			op = "&&"
		}
		side := func(y expr) *j.Statement {
			if l, ok := y.(*logic); ok && l.and != x.and {
				return j.Parens(e.truth(y))
			}
			return e.truth(y)
		}
		return side(x.a).Op(op).Add(side(x.b))
	case *test:
		return e.expr(x)
	case *binary:
		switch x.op {
		case "==", "!=", "in", "not in":
			return e.expr(x)
		}
	}
	return lib("True").Call(e.expr(x))
}

func (e *emitter) list(list []expr) *j.Statement {
	if len(list) == 0 {
		return j.Nil()
	}
	return j.Index().Any().ValuesFunc(func(g *j.Group) {
		for _, x := range list {
			g.Add(e.expr(x))
		}
	})
}

// arguments are those of a call: a list and a dictionary.
func (e *emitter) arguments(a arguments) []j.Code {
	named := j.Nil()
	if len(a.names) > 0 {
		named = lib("Dict").CallFunc(func(g *j.Group) {
			for i, n := range a.names {
				g.Lit(n)
				g.Add(e.expr(a.named[i]))
			}
		})
	}
	return []j.Code{e.list(a.args), named}
}

func (e *emitter) expr(x expr) *j.Statement {
	switch x := x.(type) {
	case nil:
		return j.Nil()
	case *literal:
		if x.value == nil {
			return j.Nil()
		}
		return j.Lit(x.value)
	case *name:
		if e.declared(x.name) {
			return j.Id(ident(x.name))
		}
		return j.Id("c").Dot("Var").Call(j.Lit(x.name))
	case *attr:
		return lib("Attr").Call(e.expr(x.of), j.Lit(x.name))
	case *index:
		return lib("At").Call(e.expr(x.of), e.expr(x.key))
	case *slice:
		return lib("Slice").Call(e.expr(x.of), e.expr(x.from), e.expr(x.to), e.expr(x.step))
	case *call:
		if e.calls(x, "raise_exception") && len(x.args) == 1 {
			return lib("Raise").Call(e.expr(x.args[0]))
		}
		return lib("Call").Call(append([]j.Code{e.expr(x.of)}, e.arguments(x.arguments)...)...)
	case *method:
		return lib("Method").Call(append([]j.Code{e.expr(x.of), j.Lit(x.name)}, e.arguments(x.arguments)...)...)
	case *filter:
		return lib("Filter").Call(append([]j.Code{j.Lit(x.name), e.expr(x.of)}, e.arguments(x.arguments)...)...)
	case *test:
		st := lib("Test").CallFunc(func(g *j.Group) {
			g.Lit(x.name)
			g.Add(e.expr(x.of))
			for _, a := range x.args {
				g.Add(e.expr(a))
			}
		})
		if x.not {
			return j.Op("!").Add(st)
		}
		return st
	case *binary:
		return e.binary(x)
	case *logic:
		f := "Or"
		if x.and {
			f = "And"
		}
		return lib(f).Call(e.expr(x.a), thunk(e.expr(x.b)))
	case *not:
		return e.truth(x)
	case *minus:
		return lib("Negative").Call(e.expr(x.of))
	case *choice:
		b := lib("Missing").Values(j.Id("Name").Op(":").Lit("the value of an if without else"))
		if x.b != nil {
			b = e.expr(x.b)
		}
		return lib("If").Call(e.truth(x.cond), thunk(e.expr(x.a)), thunk(b))
	case *list:
		if len(x.items) == 0 {
			return j.Index().Any().Values()
		}
		return e.list(x.items)
	case *dict:
		return lib("Dict").CallFunc(func(g *j.Group) {
			for i := range x.keys {
				g.Add(e.expr(x.keys[i]))
				g.Add(e.expr(x.values[i]))
			}
		})
	}
	panic("BUG: jinja: an expression of no kind")
}

func (e *emitter) binary(x *binary) *j.Statement {
	a, b := e.expr(x.a), e.expr(x.b)
	switch x.op {
	case "==":
		return lib("Equal").Call(a, b)
	case "!=":
		return j.Op("!").Add(lib("Equal").Call(a, b))
	case "in":
		return lib("In").Call(a, b)
	case "not in":
		return j.Op("!").Add(lib("In").Call(a, b))
	case "+":
		return lib("Add").CallFunc(func(g *j.Group) {
			for _, t := range sumOf(x) {
				g.Add(e.expr(t))
			}
		})
	}
	return lib("Binary").Call(j.Lit(x.op), a, b)
}
