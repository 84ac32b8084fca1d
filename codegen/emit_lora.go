package codegen

import (
	"fmt"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// mask is a dropout mask that a function has a variable for.
type mask struct{ key, name string }

// drop is one mask of the family that operands seeds and layer draw: the
// variable of the family is written where it is first needed.
func (c *call) drop(stream, x, seeds, layer int) *j.Statement {
	from, of := c.in(seeds), c.in(layer)
	c.fits(from, kernelTypes(c.v.ascend)["Seeds"], "a mask")
	c.fits(of, kernelTypes(c.v.ascend)["int"], "a mask")
	fields := []j.Code{key("P", c.real("p")), key("Seeds", from), key("Layer", of)}
	if d := c.s.Args[x].Type().Shape[1]; d.By != "" && d.N%2 != 0 {
		c.refuse("each process has %d columns of %s: masks are drawn for two columns at a time, so that must be even", d.N, c.s.Args[x])
	}
	for _, first := range c.first(x, 1) {
		fields = append(fields, key("First", first))
	}
	value := j.Qual(kPath, "Drop").Values(fields...)
	key := fmt.Sprintf("%#v", value)
	for _, m := range c.masks {
		if m.key == key {
			return j.Id(m.name).Dot("Of").Call(j.Lit(stream))
		}
	}
	m := mask{key, "drop"}
	if n := len(c.masks); n > 0 {
		m.name = fmt.Sprintf("drop%d", n+1)
	}
	c.masks = append(c.masks, m)
	c.g.Id(m.name).Op(":=").Add(value)
	return j.Id(m.name).Dot("Of").Call(j.Lit(stream))
}

// group reads the statement; the module was verified, so that it can be read.
func (c *call) group() *ir.LoRAGroup {
	g, err := ir.LoRAOf(c.s)
	if err != nil {
		panic(fmt.Sprintf("BUG: codegen: %v in `%s`", err, c.s))
	}
	return g
}

// adapter is the fields an adapted linear has beyond its weight.
func (c *call) adapter(g *ir.LoRAGroup, l *ir.LoRALinear) []j.Code {
	scale := literal(c.s.Attrs["scale"])
	if !c.v.ascend { // where copies hold it, and it is 1
		scale = c.real("scale")
	}
	out := []j.Code{c.mat("A", c.in(l.A)), c.mat("B", c.in(l.B)), key("Scale", scale)}
	if g.Dropout > 0 {
		out = append(out, key("Drop", c.drop(l.Stream, g.X, g.Seeds, g.Layer)))
	}
	return out
}

// mat is a field that holds a matrix.
func (c *call) mat(name string, value *j.Statement) *j.Statement {
	c.fits(value, kernelTypes(c.v.ascend)["Mat"], "an adapter")
	return key(name, value)
}

// weightOf is the field of a weight.
func (c *call) weightOf(i int) *j.Statement {
	w := c.weightIn(i)
	c.fits(w, kernelTypes(c.v.ascend)["Weight"], "a linear")
	return key("W", w)
}

func key(name string, value j.Code) *j.Statement { return j.Id(name).Op(":").Add(value) }

// linear is one linear of a group as a value on lines of its own.
func linear(typ string, fields []j.Code) j.Code {
	return j.Qual(kPath, typ).Values(wrapped("k."+typ+"{},", 2, fields, columns)...)
}

func (c *call) loraLinear() []j.Code {
	g := c.group()
	x := c.in(g.X)
	c.fits(x, kernelTypes(c.v.ascend)["Mat"], "the kernel")
	args := []j.Code{x}
	for i := range g.Linears {
		l := &g.Linears[i]
		fields := []j.Code{c.mat("Y", c.out(l.Y)), c.weightOf(l.W)}
		if l.Bias != ir.None {
			bias := c.in(l.Bias)
			c.fits(bias, kernelTypes(c.v.ascend)["Vec"], "a linear")
			fields = append(fields, key("Bias", bias))
		}
		if l.Adapted {
			fields = append(append(fields, c.mat("XA", c.out(l.XA))), c.adapter(g, l)...)
		}
		args = append(args, j.Line().Add(linear("Adapted", fields)))
	}
	return append(args, j.Line())
}

func (c *call) loraGrad() []j.Code {
	g := c.group()
	dx, x := j.Qual(kPath, "Mat").Values(), j.Qual(kPath, "Mat").Values()
	if g.DX != ir.None {
		dx = c.out(g.DX)
		c.fits(dx, kernelTypes(c.v.ascend)["Mat"], "the kernel")
	}
	if g.X != ir.None {
		x = c.in(g.X)
		c.fits(x, kernelTypes(c.v.ascend)["Mat"], "the kernel")
	}
	args := []j.Code{dx, x}
	for i := range g.Linears {
		l := &g.Linears[i]
		fields := []j.Code{c.mat("DY", c.in(l.D)), c.weightOf(l.W)}
		if l.Adapted {
			fields = append(append(fields, c.mat("XA", c.in(l.XA))), c.adapter(g, l)...)
		}
		if l.Kind == "lora" {
			fields = append(fields, c.mat("DA", c.in(l.DA)), c.mat("DB", c.in(l.DB)))
		}
		args = append(args, j.Line().Add(linear("AdaptedGrad", fields)))
	}
	return append(args, j.Line())
}
