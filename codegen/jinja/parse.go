package jinja

import (
	"fmt"
	"slices"
	"strconv"

	"lorac/runtime/data/chat"
)

// Parse reads a template. What the language has and chat templates do not use is an
// error that names it.
func Parse(source string) (t *Template, err error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := recover(); e != nil {
			wrong, ok := e.(*Error)
			if !ok {
				panic(e)
			}
			t, err = nil, wrong
		}
	}()
	p := &parser{tokens: tokens}
	body := p.body(0)
	return &Template{source, body}, nil
}

type parser struct {
	tokens []piece
	at     int
	loops  int // around the place
	depth  int // of an expression
}

func (p *parser) peek() piece { return p.tokens[p.at] }

func (p *parser) next() piece {
	t := p.tokens[p.at]
	p.at++
	return t
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{p.peek().line, fmt.Sprintf(format, args...)})
}

// is reports whether an operator or a word stands next, and takes it.
func (p *parser) is(k kind, s string) bool {
	if t := p.peek(); t.kind == k && t.text == s {
		p.at++
		return true
	}
	return false
}

func (p *parser) op(s string) bool   { return p.is(operator, s) }
func (p *parser) word(s string) bool { return p.is(word, s) }

func (p *parser) want(s string) {
	if !p.op(s) {
		p.fail("%q is expected, found %s", s, p.found())
	}
}

func (p *parser) found() string {
	t := p.peek()
	switch t.kind {
	case end:
		return "the end"
	case endBlock:
		return `"%}"`
	case endPrint:
		return `"}}"`
	case textToken, beginPrint, beginBlock:
		return "text"
	}
	return strconv.Quote(t.text)
}

func (p *parser) identifier() string {
	t := p.peek()
	if t.kind != word {
		p.fail("a name is expected, found %s", p.found())
	}
	p.at++
	return t.text
}

func (p *parser) endBlock() {
	if p.peek().kind != endBlock {
		p.fail(`"%%}" is expected, found %s`, p.found())
	}
	p.at++
}

// body reads statements up to a block that begins with one of some words, whose word
// is the next token then; without words, up to the end.
func (p *parser) body(depth int, until ...string) (out []stmt) {
	if depth > 100 {
		p.fail("blocks are nested too deep")
	}
	for {
		switch t := p.next(); t.kind {
		case textToken:
			out = append(out, &text{t.text})
		case beginPrint:
			x := p.tuple()
			if p.peek().kind != endPrint {
				p.fail(`"}}" is expected, found %s`, p.found())
			}
			p.at++
			out = append(out, &print{x})
		case beginBlock:
			w := p.peek()
			if w.kind == word && slices.Contains(until, w.text) {
				return out
			}
			out = append(out, p.block(depth+1)...)
		case end:
			p.at--
			if len(until) > 0 {
				p.fail("{%% %s %%} is missing", until[len(until)-1])
			}
			return out
		default:
			p.at--
			p.fail("unexpected %s", p.found())
		}
	}
}

// closed reads the body of a block up to its end.
func (p *parser) closed(depth int, last string) []stmt {
	p.endBlock()
	body := p.body(depth, last)
	p.at++
	p.endBlock()
	return body
}

// block reads a statement after {%.
func (p *parser) block(depth int) []stmt {
	w := p.identifier()
	switch w {
	case "if":
		return []stmt{p.conditional(depth)}
	case "for":
		return []stmt{p.loop(depth)}
	case "set":
		return []stmt{p.assignment(depth)}
	case "macro":
		return []stmt{p.macro(depth)}
	case "generation":
		return []stmt{&answer{p.closed(depth, "endgeneration")}}
	case "filter":
		f := &filter{name: p.identifier()}
		if p.op("(") {
			f.arguments = p.arguments()
		}
		p.checkFilter(f.name)
		return []stmt{&filtered{f, p.closed(depth, "endfilter")}}
	case "break", "continue":
		if p.loops == 0 {
			p.fail("{%% %s %%} is in no loop", w)
		}
		p.endBlock()
		return []stmt{&jump{w}}
	case "do":
		x := p.expression()
		p.endBlock()
		return []stmt{&set{names: []string{"_"}, value: x}}
	}
	p.at--
	p.fail("{%% %s %%} is not known here", w)
	return nil
}

func (p *parser) conditional(depth int) stmt {
	c := &cond{}
	for {
		c.conds = append(c.conds, p.expression())
		p.endBlock()
		c.bodies = append(c.bodies, p.body(depth, "elif", "else", "endif"))
		w := p.identifier()
		if w == "elif" {
			continue
		}
		if w == "else" {
			c.bodies = append(c.bodies, p.closed(depth, "endif"))
			return c
		}
		p.endBlock()
		return c
	}
}

func (p *parser) names() (out []string) {
	out = append(out, p.identifier())
	for p.op(",") {
		out = append(out, p.identifier())
	}
	return out
}

func (p *parser) loop(depth int) stmt {
	parens := p.op("(")
	l := &loop{names: p.names()}
	if parens {
		p.want(")")
	}
	if !p.word("in") {
		p.fail(`"in" is expected, found %s`, p.found())
	}
	l.over = p.or()
	if p.word("if") {
		l.where = p.expression()
	}
	if p.word("recursive") {
		p.at--
		p.fail("a recursive loop is not known here")
	}
	p.endBlock()
	p.loops++
	l.body = p.body(depth, "else", "endfor")
	p.loops--
	if p.identifier() == "else" {
		l.other = p.closed(depth, "endfor")
		return l
	}
	p.endBlock()
	return l
}

func (p *parser) assignment(depth int) stmt {
	s := &set{names: p.names()}
	if len(s.names) == 1 && p.op(".") {
		s.space, s.names[0] = &name{s.names[0]}, p.identifier()
	}
	if p.op("=") {
		s.value = p.tuple()
		p.endBlock()
		return s
	}
	if len(s.names) > 1 {
		p.fail(`"=" is expected, found %s`, p.found())
	}
	if p.op("|") {
		p.fail("{%% set %%} of a block with a filter is not known here")
	}
	loops := p.loops
	p.loops = 0 // the block is written into a text of its own
	s.body = p.closed(depth, "endset")
	p.loops = loops
	return s
}

func (p *parser) macro(depth int) stmt {
	m := &macro{name: p.identifier()}
	p.want("(")
	for !p.op(")") {
		if len(m.params) > 0 {
			p.want(",")
			if p.op(")") {
				break
			}
		}
		m.params = append(m.params, p.identifier())
		if p.op("=") {
			m.defaults = append(m.defaults, p.expression())
		} else if len(m.defaults) > 0 {
			p.fail("the parameter %s needs a default, as the one before it has", m.params[len(m.params)-1])
		}
	}
	loops := p.loops
	p.loops = 0
	m.body = p.closed(depth, "endmacro")
	p.loops = loops
	return m
}

// tuple is an expression, or several with commas: a list.
func (p *parser) tuple() expr {
	x := p.expression()
	if !p.op(",") {
		return x
	}
	l := &list{items: []expr{x}}
	for k := p.peek().kind; k != endBlock && k != endPrint; k = p.peek().kind {
		l.items = append(l.items, p.expression())
		if !p.op(",") {
			break
		}
	}
	return l
}

func (p *parser) expression() expr {
	if p.depth++; p.depth > 200 {
		p.fail("an expression is nested too deep")
	}
	defer func() { p.depth-- }()
	x := p.or()
	for p.word("if") {
		c := &choice{cond: p.or(), a: x}
		if p.word("else") {
			c.b = p.expression()
		}
		x = c
	}
	return x
}

func (p *parser) or() expr {
	x := p.and()
	for p.word("or") {
		x = &logic{false, x, p.and()}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.word("and") {
		x = &logic{true, x, p.not()}
	}
	return x
}

func (p *parser) not() expr {
	if p.word("not") {
		if p.depth++; p.depth > 200 {
			p.fail("an expression is nested too deep")
		}
		defer func() { p.depth-- }()
		return &not{p.not()}
	}
	return p.comparison()
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (p *parser) comparison() expr {
	first := p.sum()
	x, left := first, first
	for n := 0; ; n++ {
		t := p.peek()
		op := ""
		switch {
		case t.kind == operator && slices.Contains(comparisons, t.text):
			op = t.text
			p.at++
		case p.word("in"):
			op = "in"
		case t.kind == word && t.text == "not" && p.tokens[p.at+1].kind == word && p.tokens[p.at+1].text == "in":
			op = "not in"
			p.at += 2
		default:
			return x
		}
		right := p.sum()
		c := &binary{op, left, right}
		if n == 0 {
			x = c
		} else { // a < b < c
			x = &logic{true, x, c}
		}
		left = right
	}
}

// left reads operators of one precedence.
func (p *parser) left(below func() expr, ops ...string) expr {
	x := below()
	for {
		t := p.peek()
		if t.kind != operator || !slices.Contains(ops, t.text) {
			return x
		}
		p.at++
		x = &binary{t.text, x, below()}
	}
}

func (p *parser) sum() expr     { return p.left(p.concat, "+", "-") }
func (p *parser) concat() expr  { return p.left(p.product, "~") }
func (p *parser) product() expr { return p.left(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.left(func() expr { return p.unary(true) }, "**") }

func (p *parser) unary(filters bool) (x expr) {
	switch {
	case p.op("-"):
		x = &minus{p.unary(false)}
	case p.op("+"):
		x = p.unary(false)
	default:
		x = p.postfix(p.primary())
	}
	if filters {
		x = p.filters(x)
	}
	return x
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case word:
		switch t.text {
		case "true", "True":
			return &literal{true}
		case "false", "False":
			return &literal{false}
		case "none", "None":
			return &literal{nil}
		case "and", "or", "not", "in", "is", "if", "else":
			p.at--
			p.fail("an expression is expected, found %q", t.text)
		}
		return &name{t.text}
	case str:
		s := t.text
		for p.peek().kind == str {
			s += p.next().text
		}
		return &literal{s}
	case integer:
		n, err := strconv.Atoi(t.text)
		if err != nil {
			p.at--
			p.fail("the number %s is too large", t.text)
		}
		return &literal{n}
	case float:
		x, _ := strconv.ParseFloat(t.text, 64)
		return &literal{x}
	case operator:
		switch t.text {
		case "(":
			if p.op(")") {
				return &list{}
			}
			x := p.expression()
			if p.op(",") {
				l := &list{items: []expr{x}}
				for !p.op(")") {
					l.items = append(l.items, p.expression())
					if !p.op(",") {
						p.want(")")
						break
					}
				}
				return l
			}
			p.want(")")
			return x
		case "[":
			l := &list{}
			for !p.op("]") {
				if len(l.items) > 0 {
					p.want(",")
					if p.op("]") {
						break
					}
				}
				l.items = append(l.items, p.expression())
			}
			return l
		case "{":
			d := &dict{}
			for !p.op("}") {
				if len(d.keys) > 0 {
					p.want(",")
					if p.op("}") {
						break
					}
				}
				d.keys = append(d.keys, p.expression())
				p.want(":")
				d.values = append(d.values, p.expression())
			}
			return d
		}
	}
	p.at--
	p.fail("an expression is expected, found %s", p.found())
	return nil
}

func (p *parser) postfix(x expr) expr {
	for {
		switch {
		case p.op("."):
			t := p.next()
			if t.kind == integer {
				n, _ := strconv.Atoi(t.text)
				x = &index{x, &literal{n}}
				continue
			}
			p.at--
			n := p.identifier()
			if p.op("(") {
				m := &method{x, n, p.arguments()}
				x = m
				continue
			}
			x = &attr{x, n}
		case p.op("["):
			x = p.subscript(x)
		case p.op("("):
			c := &call{x, p.arguments()}
			x = c
		default:
			return x
		}
	}
}

func (p *parser) subscript(x expr) expr {
	var parts [3]expr
	n := 0
	for !p.op("]") {
		switch {
		case p.op(":"):
			if n++; n > 2 {
				p.fail("a slice has three parts at most")
			}
		case parts[n] == nil:
			parts[n] = p.expression()
		default:
			p.fail(`"]" is expected, found %s`, p.found())
		}
	}
	if n == 0 {
		if parts[0] == nil {
			p.fail("an expression is expected between the brackets")
		}
		return &index{x, parts[0]}
	}
	return &slice{x, parts[0], parts[1], parts[2]}
}

// arguments reads those of a call, after its parenthesis.
func (p *parser) arguments() (a arguments) {
	for n := 0; !p.op(")"); n++ {
		if n > 0 {
			p.want(",")
			if p.op(")") {
				break
			}
		}
		if t := p.peek(); t.kind == operator && (t.text == "*" || t.text == "**") {
			p.fail("arguments of a list (%s) are not known here", t.text)
		}
		if t := p.peek(); t.kind == word && p.tokens[p.at+1].kind == operator && p.tokens[p.at+1].text == "=" {
			p.at += 2
			a.names, a.named = append(a.names, t.text), append(a.named, p.expression())
			continue
		}
		if len(a.names) > 0 {
			p.fail("an argument without a name follows one with a name")
		}
		a.args = append(a.args, p.expression())
	}
	return a
}

func (p *parser) checkFilter(n string) {
	if !chat.HasFilter(n) {
		p.fail("the filter `%s` is not known here", n)
	}
}

func (p *parser) filters(x expr) expr {
	for {
		switch {
		case p.op("|"):
			f := &filter{of: x, name: p.identifier()}
			p.checkFilter(f.name)
			if p.op("(") {
				f.arguments = p.arguments()
			}
			p.checkInner(f)
			x = f
		case p.word("is"):
			t := &test{of: x, not: p.word("not"), name: p.identifier()}
			if !chat.HasTest(t.name) {
				p.fail("the test `%s` is not known here", t.name)
			}
			if p.op("(") {
				t.args = p.arguments().args
			} else if next := p.peek(); next.kind == str || next.kind == integer || next.kind == float ||
				next.kind == word && !slices.Contains([]string{"else", "or", "and", "is", "if", "in", "not", "recursive"}, next.text) ||
				next.kind == operator && (next.text == "[" || next.text == "{") {
				t.args = []expr{p.postfix(p.primary())}
			}
			x = t
		case p.peek().kind == operator && p.peek().text == "(": // after a filter
			p.fail("a call of what a filter gives is not known here")
		default:
			return x
		}
	}
}

// checkInner checks the filter or test that a filter applies to each element.
func (p *parser) checkInner(f *filter) {
	at := map[string]int{"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}
	i, ok := at[f.name]
	if !ok {
		return
	}
	if f.name != "map" && i == 1 && len(f.args) == 0 {
		p.fail("`%s` needs an attribute", f.name)
	}
	if f.name == "map" && len(f.args) == 0 && !slices.Contains(f.names, "attribute") {
		p.fail("`map` needs an attribute or a filter")
	}
	if i >= len(f.args) {
		return
	}
	l, _ := f.args[i].(*literal)
	if l == nil {
		p.fail("`%s` of a name that is computed is not known here", f.name)
	}
	n, _ := l.value.(string)
	if f.name == "map" && !chat.HasFilter(n) || f.name != "map" && !chat.HasTest(n) {
		p.fail("`%s('%s')` is not known here", f.name, n)
	}
}
