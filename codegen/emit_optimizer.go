package codegen

import (
	j "github.com/dave/jennifer/jen"
)

// optimizers is how the optimizers' ops are written: the slabs of parameter,
// gradient and states, then a struct with the scalars.
var optimizers = map[string]func(c *call) *j.Statement{
	"adamw": func(c *call) *j.Statement {
		step := c.step(4, "beta1", "beta2", "eps", "weight_decay")
		step = append(step, j.Id("Torch").Op(":").Lit(c.s.Attrs.Str("rule") == "torch"))
		return c.optimizer("AdamW", 4, j.Qual(kPath, "AdamStep").Values(step...))
	},
	"adam": func(c *call) *j.Statement {
		step := c.step(4, "beta1", "beta2", "eps", "weight_decay")
		return c.optimizer("Adam", 4, j.Lit(c.s.Attrs.Bool("nesterov")), j.Qual(kPath, "AdamStep").Values(step...))
	},
	"lamb": func(c *call) *j.Statement {
		step := c.step(4, "beta1", "beta2", "eps", "weight_decay")
		return c.optimizer("Lamb", 4, c.elements(), j.Qual(kPath, "AdamStep").Values(step...))
	},
	"sgd": func(c *call) *j.Statement {
		return c.optimizer("SGD", 2, j.Qual(kPath, "SGDStep").Values(c.step(2, "weight_decay")...))
	},
	"momentum": func(c *call) *j.Statement {
		return c.optimizer("Momentum", 3, j.Qual(kPath, "SGDStep").Values(c.step(3, "momentum", "dampening", "nesterov", "weight_decay")...))
	},
	"adagrad": func(c *call) *j.Statement {
		return c.optimizer("Adagrad", 3, j.Qual(kPath, "SGDStep").Values(c.step(3, "accum", "weight_decay")...))
	},
	"adafactor":        func(c *call) *j.Statement { return c.optimizer("Adafactor", 5, c.factored(5)) },
	"adafactor_vector": func(c *call) *j.Statement { return c.optimizer("Adafactor", 4, j.Nil(), c.factored(4)) },
	"came":             func(c *call) *j.Statement { return c.optimizer("Came", 7, c.factored(7)) },
	"came_vector": func(c *call) *j.Statement {
		return c.optimizer("Came", 4, j.Nil(), j.Nil(), j.Nil(), c.factored(4))
	},
}

// optimizer writes the call with its first n operands as slabs.
func (c *call) optimizer(name string, n int, rest ...j.Code) *j.Statement {
	var args []j.Code
	for _, a := range c.s.Args[:n] {
		args = append(args, c.data(a.Storage))
	}
	return kernel(name, append(args, rest...)...)
}

// step writes the fields all optimizers have, from operand at on, and the
// named attributes that are not zero.
func (c *call) step(at int, attrs ...string) []j.Code {
	coef := j.Lit(1)
	if len(c.s.Args) > at+2 {
		coef = c.in(at + 2)
	}
	out := []j.Code{j.Id("LR").Op(":").Add(c.in(at)), j.Id("Step").Op(":").Add(c.in(at + 1)), j.Id("GradScale").Op(":").Add(coef)}
	for _, name := range attrs {
		out = append(out, j.Id(public(name)).Op(":").Add(literal(c.s.Attrs[name])))
	}
	return out
}

// elements is the size of one tensor of the parameter.
func (c *call) elements() *j.Statement {
	out := j.Null()
	for i, d := range c.s.Args[0].Storage.Type.Shape {
		if i > 0 {
			out.Op("*")
		}
		out.Add(c.v.num(d.N))
	}
	return out
}

func (c *call) factored(at int) *j.Statement {
	attrs := []string{"eps1", "eps2", "clip_threshold", "decay_rate", "beta1", "weight_decay", "scale_parameter", "relative_step", "warmup_init"}
	if c.s.Attrs["beta3"] != nil {
		attrs = append(attrs, "eps3", "beta3")
	}
	fields := c.step(at, attrs...)
	shape := c.s.Args[0].Storage.Type.Shape
	if len(shape) == 2 {
		fields = append(fields, j.Id("Rows").Op(":").Add(c.v.num(shape[0].N)))
	}
	fields = append(fields, j.Id("Cols").Op(":").Add(c.v.num(shape[len(shape)-1].N)))
	return j.Qual(kPath, "FactoredStep").Values(fields...)
}
