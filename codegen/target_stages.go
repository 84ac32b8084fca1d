package codegen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// A program of stages has an entry function for each of them. It calls that of its own.

// base is the name of an entry without the stage that it is of.
func (v *view) base(f *ir.Func) string {
	name, stage, ok := strings.Cut(f.Name, ".")
	if n, err := strconv.Atoi(stage); ok && err == nil && f.Entry && n < v.stages && v.stages > 1 {
		return name
	}
	return f.Name
}

// has reports whether the module has an entry, in one piece or of every stage.
func (v *view) has(name string) bool { return v.m.Func(name) != nil || len(v.staged(name)) > 0 }

// staged lists the functions that an entry is, by stage; none where it is in one piece.
func (v *view) staged(name string) (out []*ir.Func) {
	for stage := range v.stages {
		if f := v.m.Func(fmt.Sprintf("%s.%d", name, stage)); f != nil && v.stages > 1 {
			out = append(out, f)
		}
	}
	if len(out) < v.stages {
		return nil
	}
	return out
}

// pipeline is the statement of the loop that computes the micro-batches of a step.
func (v *view) pipeline() *j.Statement {
	step := func() *j.Statement { return j.Func().Params(j.Op("*").Qual(rtPath, "MicroBatch")).Float64() }
	return j.Id("r").Dot("Pipeline").Call(j.Qual(rtPath, "Steps").Values(
		j.Line().Add(key("Step", j.Id("m").Dot("step"))),
		j.Line().Add(key("Other", j.Func().Params().Add(step()).Block(j.Return(j.Id("m").Dot("other").Call(j.Id("r").Dot("Arena").Call(j.Id("arenaBytes"))).Dot("step"))))),
		j.Line().Add(key("Ahead", j.Id("m").Dot("ahead"))),
		j.Line(),
	)).Comment("// forward and backward of all, several under way; gradients add up")
}

// emitStages writes the entries of the program, which are those of its stage.
func (v *view) emitStages(f *j.File, trains bool) {
	batch := func() j.Code { return j.Id("b").Op("*").Qual(rtPath, "MicroBatch") }
	method := func(name string) *j.Statement {
		return f.Func().Params(j.Id("m").Op("*").Id("model")).Id(name)
	}
	for _, name := range []string{"step", "loss", "logits", "next"} {
		list := v.staged(name)
		if list == nil || name == "step" && !trains {
			continue
		}
		f.Comment(name + " is that of the stage of this process.")
		method(name).Params(batch()).Add(v.resultType(list[0], list[0].Results[0])).Block(v.byStage(func(stage int) []j.Code {
			return []j.Code{j.Return(j.Id("m").Dot(v.funcs[list[stage]].name).Call(j.Id("b")))}
		}))
	}
	if !trains {
		return
	}
	f.Comment("other is the model with activations of its own, for a micro-batch that is under way beside others.")
	method("other").Params(j.Id("arena").Op("*").Qual(rtPath, "Arena")).Op("*").Id("model").BlockFunc(func(g *j.Group) {
		g.Id("other").Op(":=").Op("*").Id("m")
		g.Id("other").Dot("arena").Op("=").Id("arena")
		for _, x := range v.order {
			if x.record != "" {
				g.Id("other").Dot(x.record).Op("=").Make(j.Index().Id(x.record), j.Len(j.Id("m").Dot(x.record)))
			}
		}
		g.Return(j.Op("&").Id("other"))
	})
	f.Comment("ahead has what other stages send for a micro-batch on its way before it is wanted.")
	method("ahead").Params(batch()).BlockFunc(func(g *j.Group) {
		used := map[string]bool{}
		list := v.staged("step")
		for _, fn := range list {
			for _, s := range fn.Body {
				if s.Op.Name == "recv" {
					for _, d := range s.Results[0].Type.Shape {
						used[d.Sym] = true
					}
				}
			}
		}
		name := func(sym string) j.Code {
			if used[sym] {
				return j.Id(sym)
			}
			return j.Id("_")
		}
		if used["T"] || used["S"] {
			g.List(name("T"), name("S")).Op(":=").Id("b").Dot("Size").Call()
		}
		g.Add(v.byStage(func(stage int) (out []j.Code) {
			for _, s := range list[stage].Body {
				if s.Op.Name == "recv" {
					out = append(out, j.Id("m").Dot("stages").Dot("Expect").Call(j.Lit(s.Attrs.Int("by")), v.elements(s.Results[0].Type)))
				}
			}
			return out
		}))
	})
}

// elements is how many numbers a type of a micro-batch has.
func (v *view) elements(t ir.Type) *j.Statement {
	out := j.Null()
	for i, d := range t.Shape {
		if i > 0 {
			out.Op("*")
		}
		if d.Sym != "" && d.By != "" {
			out.Id("m").Dot("ranks").Dot("Rows").Call(j.Id(d.Sym))
		} else if d.Sym != "" {
			out.Id(d.Sym)
		} else {
			out.Add(v.numbers.dim(d))
		}
	}
	return out
}

// byStage does what the stage of the process has to do. Stages that do the same share
// the text.
func (v *view) byStage(do func(stage int) []j.Code) *j.Statement {
	var texts []string
	var blocks [][]j.Code
	for stage := range v.stages {
		block := do(stage)
		blocks = append(blocks, block)
		texts = append(texts, fmt.Sprintf("%#v", j.Block(block...)))
	}
	return j.Switch(j.Id("m").Dot("stages").Dot("Stage").Call()).BlockFunc(func(g *j.Group) {
		last := texts[v.stages-1]
		for stage, text := range texts {
			if text == last || slices.Index(texts, text) < stage {
				continue
			}
			var same []j.Code
			for other := range texts {
				if texts[other] == text {
					same = append(same, j.Lit(other))
				}
			}
			g.Case(same...).Block(blocks[stage]...)
		}
		g.Default().Block(blocks[v.stages-1]...)
	})
}

// stacks are operands with the names of their layers.
func (c *call) stacks() (args []j.Code) {
	for _, a := range c.s.Args {
		if a.Storage == nil || !slab(a.Storage) {
			c.refuse("%s is not what trains, its gradient or its state", a)
			return nil
		}
		args = append(args, c.stack(a.Storage))
	}
	return args
}
