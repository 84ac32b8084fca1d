package codegen

import (
	"fmt"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// A program of processes that share each row of a step, or the optimizer's states, has
// the text of one that runs alone but for the package that rt is, constants of what a
// process has of some sizes, and what processes say to each other, by methods of m.ranks,
// m.stages and m.shards.

// sharesSteps reports whether several processes share each row of a step: each layer, or
// the layers in turn; or the states by which they step.
func (v *view) sharesSteps() bool { return v.ranks*v.stages*v.shards > 1 }

// emitParts writes how many processes there are, and what each has of the sizes that
// are divided.
func (v *view) emitParts(f *j.File) {
	f.Comment("How several processes share each row of a step, and what each has of a size.")
	f.Const().DefsFunc(func(g *j.Group) {
		if v.shards > 1 {
			g.Id("optimizerRanks").Op("=").Lit(v.shards).Comment("// processes that have rows of their own, and shares of the optimizer's states")
		}
		if v.stages > 1 {
			g.Id("stageRanks").Op("=").Lit(v.stages).Comment("// processes that have the layers in turn")
		}
		if v.ranks == 1 {
			return
		}
		g.Id("modelRanks").Op("=").Lit(v.ranks).Comment("// processes that share each layer")
		for _, s := range v.m.Sizes {
			if v.numbers.parts[s.Name] {
				g.Id(v.numbers.partName(s.Name)).Op("=").Id(v.numbers.sizeName(s.Name)).Op("/").Id("modelRanks")
			}
		}
	})
}

// meshLiteral is how they share it.
func (v *view) meshLiteral() *j.Statement {
	var fields []j.Code
	if v.shards > 1 {
		fields = append(fields, key("Shards", j.Id("optimizerRanks")))
	}
	if v.ranks > 1 {
		fields = append(fields, key("Model", j.Id("modelRanks")))
	}
	if v.stages > 1 {
		fields = append(fields, key("Stages", j.Id("stageRanks")), key("Layers", v.numbers.layers(v.m.Layers())))
	}
	return j.Qual(rtPath, "Mesh").Values(fields...)
}

// meshNames are what the model of such a program has besides.
func (v *view) meshNames() (out []string) {
	if v.sharesSteps() {
		out = append(out, "ranks", "stages", "shards", "tokens")
	}
	if v.stages > 1 {
		out = append(out, "step", "loss", "logits", "next", "other", "ahead")
	}
	return out
}

// wholeExtents are the shape of the tensor of all processes, as arguments.
func (v *view) wholeExtents(s *ir.Storage) []j.Code {
	var out []j.Code
	for _, d := range s.Type.Shape {
		out = append(out, v.numbers.dim(d.Whole()))
	}
	return out
}

// part takes, by a method of the run, what a process has of a tensor that is cut.
func (v *view) part(s *ir.Storage, method string, whole *j.Statement) *j.Statement {
	for i, d := range s.Type.Shape {
		if d.By == "" {
			continue
		}
		args := []j.Code{whole, j.Qual(rtPath, []string{"Rows", "Columns"}[i])}
		if s.Attrs.Int("blocks_dim") == i {
			for _, b := range s.Attrs.List("blocks") {
				e, _ := ir.DimOf(b)
				args = append(args, v.numbers.dim(e.Whole()))
			}
		}
		return j.Id("run").Dot(method).Call(args...)
	}
	return whole
}

// first is the index in the whole dimension of the first element that a process has
// of a dimension of an operand, as the last argument of a kernel; none where it has
// all.
func (c *call) first(operand, dim int) []j.Code {
	d := c.s.Args[operand].Type().Shape[dim]
	if d.By == "" {
		return nil
	}
	return []j.Code{j.Id("m").Dot("ranks").Dot("First").Call(c.v.numbers.dim(d))}
}

// firstOrZero is the same where the kernel always wants it.
func (c *call) firstOrZero(operand, dim int) j.Code {
	if first := c.first(operand, dim); first != nil {
		return first[0]
	}
	return j.Lit(0)
}

func (c *call) headGrad() []j.Code {
	dx, dw := j.Qual(kPath, "Mat").Values(), j.Qual(kPath, "Mat").Values()
	if len(c.s.Results) > 0 {
		dx = c.out(0)
	}
	if len(c.s.Args) > 5 {
		dw = c.in(5)
	}
	return append([]j.Code{dx, dw, c.in(0), c.weightIn(1), c.in(2), c.in(3), c.in(4)}, c.firstOrZero(1, 0))
}

// numbers are operands that kernels made.
func (c *call) numbers() (args []j.Code) {
	for i := range c.s.Args {
		args = append(args, c.scalarIn(i))
	}
	return args
}

// cutRows reports whether a process has some of the tokens of a tensor.
func cutRows(t ir.Type) bool { return t.Rank() > 0 && t.Shape[0].Sym != "" && t.Shape[0].By != "" }

// talk writes a statement by which processes exchange what they have.
func (b *body) talk(s *ir.Stmt) error {
	axis := s.Attrs.Str("axis")
	switch {
	case s.Op.Name == "scatter_units" && axis == ir.Optimizer:
		b.g.Comment("Gradients are the sums over the units of the step, of all processes; each has its share of them.")
		return nil
	case s.Op.Name == "sum_units" && axis == ir.Data && b.v.shards > 1:
		return nil
	case s.Op.Name == "sum_units" && axis == ir.Data:
		b.g.Comment("Gradients are the sums over the units of the step, of all processes.")
		return nil
	}
	c := &call{body: b, s: s}
	var args []j.Code
	method, by := "", "ranks"
	switch axis {
	case ir.Stage:
		by = "stages"
	case ir.Optimizer:
		by = "shards"
	}
	scalar := len(s.Results) > 0 && s.Results[0].Type.Rank() == 0
	switch {
	case axis == ir.Stage && s.Op.Name == "norm_layers", axis == ir.Optimizer && s.Op.Name == "norm_shares":
		method, args = "Norm", c.stacks()
	case axis == ir.Optimizer && s.Op.Name == "gather_shares":
		method, args = "Gather", c.stacks()
	case axis == ir.Optimizer && s.Op.Name == "all_reduce" && scalar && s.Attrs.Str("of") != "lse":
		method, args = "SumScalar", []j.Code{c.in(0)}
	case axis == ir.Stage && s.Op.Name == "send" && s.Args[0].Type().Rank() == 2:
		method, args = "Send", []j.Code{j.Lit(s.Attrs.Int("by")), c.in(0)}
	case axis == ir.Stage && s.Op.Name == "recv" && s.Results[0].Type.Rank() == 2:
		method, args = "Receive", []j.Code{j.Lit(s.Attrs.Int("by")), c.out(0)}
	case axis != ir.Model && !(axis == ir.Stage && (s.Op.Name == "sum_units" || s.Op.Name == "all_reduce" && scalar)):
	case s.Op.Name == "sum_units":
		method, args = "SumGrads", c.slabs()
	case s.Op.Name == "all_gather" && cutRows(s.Args[0].Type()) && s.Results[0].Type.Rank() == 2:
		method, args = "GatherRows", []j.Code{c.out(0), c.in(0)}
	case s.Op.Name == "all_gather" && cutRows(s.Args[0].Type()) && s.Results[0].Type.Rank() == 1:
		method, args = "GatherVec", []j.Code{c.out(0), c.in(0)}
	case s.Op.Name == "reduce_scatter" && cutRows(s.Results[0].Type) && s.Results[0].Type.Rank() == 2:
		method, args = "ScatterRows", []j.Code{c.out(0), c.in(0)}
	case s.Op.Name == "own_rows" && s.Results[0].Type.Rank() == 2:
		method, args = "OwnRows", []j.Code{c.out(0), c.in(0)}
	case s.Op.Name == "all_gather" && s.Attrs.Int("dim") == 1:
		method, args = "Columns", []j.Code{c.out(0), c.in(0)}
	case s.Op.Name == "all_reduce" && s.Attrs.Str("of") == "lse" && s.Results[0].Type.Rank() == 1:
		method, args = "LogSumExp", []j.Code{c.out(0), c.in(0)}
	case s.Op.Name == "all_reduce" && s.Attrs.Str("of") != "lse":
		method = []string{"SumScalar", "SumVec", "Sum"}[min(s.Results[0].Type.Rank(), 2)]
		if args = []j.Code{c.in(0)}; method != "SumScalar" {
			args = []j.Code{c.out(0), c.in(0)}
		}
	}
	if method == "" || b.v.ascend {
		return b.v.formless(s.Line, "op `%s` over %s has no form as a program", s.Op.Name, axis)
	}
	if c.fault != nil {
		return c.fault
	}
	b.explain(s)
	for _, r := range s.Results {
		b.declare(r)
	}
	out := j.Id("m").Dot(by).Dot(method).Call(wrapped(fmt.Sprintf("m.%s.%s()", by, method), 1, args, columns)...)
	if scalar {
		out = j.Id(b.assigned(s.Results[0])).Op(b.assign(s.Results[0])).Add(out)
	}
	b.g.Add(out)
	return nil
}
