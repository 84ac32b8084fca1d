package codegen

import (
	"fmt"
	"reflect"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// optimizers is how the optimizers' ops are written: the slabs of parameter,
// gradient and states, what depends on the parameter, then the scalars.
var optimizers = map[string]layout{
	"adamw": func(c *call) []j.Code {
		return c.optimizer("AdamStep", 4, nil, adam, key("Torch", j.Lit(c.s.Attrs.Str("rule") == "torch")))
	},
	"adam": func(c *call) []j.Code {
		return c.optimizer("AdamStep", 4, nil, adam, key("Nesterov", j.Lit(c.s.Attrs.Bool("nesterov"))))
	},
	"lamb": func(c *call) []j.Code { return c.optimizer("AdamStep", 4, []j.Code{c.elements()}, adam) },
	"sgd":  func(c *call) []j.Code { return c.optimizer("SGDStep", 2, nil, []string{"weight_decay"}) },
	"momentum": func(c *call) []j.Code {
		return c.optimizer("SGDStep", 3, nil, []string{"momentum", "dampening", "nesterov", "weight_decay"})
	},
	"adagrad":          func(c *call) []j.Code { return c.optimizer("SGDStep", 3, nil, []string{"accum", "weight_decay"}) },
	"adafactor":        func(c *call) []j.Code { return c.factored(5) },
	"adafactor_vector": func(c *call) []j.Code { return c.factored(4, j.Nil()) },
	"came":             func(c *call) []j.Code { return c.factored(7) },
	"came_vector":      func(c *call) []j.Code { return c.factored(4, j.Nil(), j.Nil(), j.Nil()) },
}

var adam = []string{"beta1", "beta2", "eps", "weight_decay"}

// rule is the scalars of a step, in a variable that parameters share.
type rule struct{ key, name string }

// optimizer writes the first n operands as slabs, then the rest and the step of
// the given type with its named attributes.
func (c *call) optimizer(typ string, n int, rest []j.Code, attrs []string, more ...j.Code) []j.Code {
	slabs := &call{body: c.body, s: &ir.Stmt{Op: c.s.Op, Args: c.s.Args[:n], Line: c.s.Line}}
	args := slabs.slabs()
	if c.fault = slabs.fault; c.fault != nil {
		return nil
	}
	args = append(append(args, rest...), j.Id(c.step(typ, n, attrs, more)))
	for _, a := range c.s.Args[n:] { // after rate, number and coefficient
		if a.Storage != nil {
			args = append(args, c.data(a.Storage))
		}
	}
	return args
}

// step is the variable of the step's scalars: rate, number, what gradients are
// multiplied by, and the named attributes. It is written where it is first needed.
func (c *call) step(typ string, at int, attrs []string, more []j.Code) string {
	coef := j.Qual(kPath, "Number").Call(j.Lit(1))
	if len(c.s.Args) > at+2 && c.s.Args[at+2].Value != nil {
		coef = c.scalarIn(at + 2)
	}
	rate, number := c.in(at), c.in(at+1)
	c.fits(rate, reflect.TypeFor[float64](), "a step")
	c.fits(number, reflect.TypeFor[int](), "a step")
	if ratio := c.s.Attrs["lr_ratio"]; ratio != nil {
		rate = literal(ratio).Op("*").Add(rate)
	}
	fields := []j.Code{key("LR", rate), key("Step", number), key("GradScale", coef)}
	for _, name := range attrs {
		fields = append(fields, key(public(name), literal(c.s.Attrs[name])))
	}
	fields = append(fields, more...)
	value := j.Qual(kPath, typ).Values(wrapped("rule := k."+typ+"{}", 1, fields, columns)...)
	r := rule{fmt.Sprintf("%#v", value), "rule"}
	for _, old := range c.rules {
		if old.key == r.key {
			return old.name
		}
	}
	if n := len(c.rules); n > 0 {
		r.name = fmt.Sprintf("rule%d", n+1)
	}
	c.rules = append(c.rules, r)
	c.g.Id(r.name).Op(":=").Add(value)
	return r.name
}

// elements is the size of one tensor of the parameter.
func (c *call) elements() *j.Statement {
	out := j.Null()
	for i, d := range c.s.Args[0].Storage.Type.Shape {
		if i > 0 {
			out.Op("*")
		}
		out.Add(c.v.numbers.dim(d))
	}
	return out
}

// factored writes a step whose second moments are kept by rows and columns:
// rows is 0 for vectors.
func (c *call) factored(n int, rest ...j.Code) []j.Code {
	attrs := []string{"eps1", "eps2", "clip_threshold", "decay_rate", "beta1", "weight_decay", "scale_parameter", "relative_step", "warmup_init"}
	if c.s.Attrs["beta3"] != nil {
		attrs = append(attrs, "eps3", "beta3")
	}
	args := c.optimizer("FactoredStep", n, rest, attrs)
	if c.fault != nil {
		return nil
	}
	shape := c.s.Args[0].Storage.Type.Shape
	rows := j.Lit(0)
	if len(shape) == 2 {
		rows = c.v.numbers.dim(shape[0])
	}
	last := len(args) - 1
	args[last] = j.Add(args[last]).Dot("Of").Call(rows, c.v.numbers.dim(shape[len(shape)-1]))
	return args
}
