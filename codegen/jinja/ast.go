// Package jinja compiles chat templates: the part of Jinja that they use is parsed,
// checked, and written as Go that calls runtime/data/chat. It also evaluates a
// template without compiling it, for lorac's own process and as the judge of what is
// written. Trainers link none of it.
package jinja

// expr is an expression.
type expr interface{}

type (
	literal struct{ value any } // string, int, float64, bool or nil
	name    struct{ name string }
	attr    struct {
		of   expr
		name string
	}
	index struct{ of, key expr }
	slice struct{ of, from, to, step expr } // nil: left out
	call  struct {
		of expr
		arguments
	}
	method struct {
		of   expr
		name string
		arguments
	}
	filter struct {
		of   expr // nil: what a block writes
		name string
		arguments
	}
	test struct {
		of   expr
		name string
		args []expr
		not  bool
	}
	binary struct {
		op   string // those of chat.Binary
		a, b expr
	}
	logic struct {
		and  bool
		a, b expr
	}
	not    struct{ of expr }
	minus  struct{ of expr }
	choice struct{ cond, a, b expr } // b nil: nothing
	list   struct{ items []expr }
	dict   struct{ keys, values []expr }
)

type arguments struct {
	args  []expr
	names []string // of the last ones
	named []expr
}

// stmt is a statement.
type stmt interface{}

type (
	text  struct{ text string }
	print struct{ what expr }
	cond  struct {
		conds  []expr
		bodies [][]stmt // one more than conds, where there is an else
	}
	loop struct {
		names []string
		over  expr
		where expr // nil: all
		body  []stmt
		other []stmt // where there is nothing to loop over
	}
	set struct {
		names []string // one, or several that a list is taken apart into
		space expr     // names[0] is an attribute of it; nil: a variable
		value expr     // nil: what body writes
		body  []stmt
	}
	filtered struct {
		by   *filter
		body []stmt
	}
	macro struct {
		name     string
		params   []string
		defaults []expr // of the last ones
		body     []stmt
	}
	jump   struct{ word string } // break or continue
	answer struct{ body []stmt } // {% generation %}
)

// Template is a parsed template.
type Template struct {
	source string
	body   []stmt
}
