package codegen

import (
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// numbers is how the program writes numbers: sizes by the role the IR gives
// them, never by their value, and the scalars of ops by a name of their own, so
// that two configs differ in the constants alone.
type numbers struct {
	m      *ir.Module
	taken  map[string]bool   // identifiers that values have
	names  map[string]string // of sizes and scalars, once they are used
	used   map[string]bool   // sizes
	parts  map[string]bool   // sizes of which a process has a part
	scalar []scalar
}

// scalar is a constant of one or more ops.
type scalar struct {
	key, name string
	value     float64
	line      int
}

func newNumbers(m *ir.Module) *numbers {
	n := &numbers{m: m, taken: map[string]bool{}, names: map[string]string{}, used: map[string]bool{}, parts: map[string]bool{}}
	for _, f := range m.Funcs {
		f.EachValue(func(x *ir.Value) { n.taken[local(x.Name)] = true })
	}
	return n
}

// free is a name that no value has.
func (n *numbers) free(name string) string {
	for n.taken[name] || reserved[name] || predeclared[name] {
		name += "Size"
	}
	return name
}

// dim writes a constant extent: by its size, or as the number it is.
func (n *numbers) dim(d ir.Dim) *j.Statement {
	if d.Name == "" {
		return j.Lit(d.N)
	}
	n.used[d.Name] = true
	if d.By != "" {
		n.parts[d.Name] = true
		return j.Id(n.partName(d.Name))
	}
	return j.Id(n.sizeName(d.Name))
}

func (n *numbers) sizeName(size string) string { return n.free(local(size)) }

// partName is the constant of what a process has of a size.
func (n *numbers) partName(size string) string { return n.free(local(size) + "Part") }

// scalars names the attributes that are constants of a kind of op.
var scalars = map[string]map[string]string{
	"rmsnorm":              {"eps": "normEps"},
	"add_rmsnorm":          {"eps": "normEps"},
	"attention":            {"scale": "attentionScale"},
	"attention_grad":       {"scale": "attentionScale"},
	"cached_attention":     {"scale": "attentionScale"},
	"lora_linear":          {"scale": "loraScale", "p": "dropoutRate"},
	"lora_linear_grad":     {"scale": "loraScale", "p": "dropoutRate"},
	"lora_linear_grad_acc": {"scale": "loraScale", "p": "dropoutRate"},
	"dropout":              {"p": "dropoutRate"},
	"scale":                {"by": "factor"},
	"clip":                 {"max": "maxNorm"},
}

// scalarDocs says what each is.
var scalarDocs = map[string]string{
	"normEps":        "what is added to the mean square before its root",
	"attentionScale": "of scores, 1/√headDim",
	"loraScale":      "of adapters, alpha/rank",
	"dropoutRate":    "share of an adapter's input that is dropped",
	"factor":         "of a value",
	"maxNorm":        "of the gradients, above which they are clipped",
}

// attr writes a real attribute of a statement, by name where it has one.
func (n *numbers) attr(s *ir.Stmt, attr string) *j.Statement {
	name := scalars[s.Op.Name][attr]
	value := s.Attrs.Float(attr)
	if name == "" {
		return number(value)
	}
	return n.constant(name, value, s.Pos.Line)
}

// constant is a scalar by its name. A second value of the same name gets a number.
func (n *numbers) constant(name string, value float64, line int) *j.Statement {
	same := 0
	for _, c := range n.scalar {
		if c.key == name {
			if c.value == value {
				return j.Id(c.name)
			}
			same++
		}
	}
	c := scalar{key: name, name: n.free(name), value: value, line: line}
	if same > 0 {
		c.name = n.free(name + string(rune('1'+same)))
	}
	n.scalar = append(n.scalar, c)
	return j.Id(c.name)
}

// layers writes a count of layers, or the index after the last one: relative to
// the number of all layers where it is that number or one or two less.
func (n *numbers) layers(count int) *j.Statement {
	size := n.m.Size("layers")
	switch {
	case size == nil || count < size.N-2 || count > size.N || count < 2 && count != size.N:
		return j.Lit(count)
	case count == size.N:
		return n.dim(size.Dim())
	}
	return n.dim(size.Dim()).Op("-").Lit(size.N - count)
}

// layer writes the index of a layer.
func (n *numbers) layer(i int) *j.Statement {
	size := n.m.Size("layers")
	if size == nil || i < size.N-2 || i > size.N-1 || i < 2 {
		return j.Lit(i)
	}
	return n.dim(size.Dim()).Op("-").Lit(size.N - i)
}

// number writes a float as people do: 1e-5, 0.95, 2.
func number(x float64) *j.Statement {
	text := strings.TrimSuffix(ir.FormatAttr(x), ".0")
	return j.Op(strings.Replace(strings.Replace(text, "e-0", "e-", 1), "e+0", "e+", 1))
}

// letter is how comments abbreviate an extent.
func (v *view) letter(d ir.Dim) string {
	if d.By != "" {
		return v.letter(d.Whole()) + "/" + d.By
	}
	if s := v.m.Size(d.Name); d.Name != "" && s != nil && s.Attrs.Str("letter") != "" {
		return s.Attrs.Str("letter")
	}
	return d.String()
}

// shape writes the extents of a type in letters: (T, C).
func (v *view) shape(t ir.Type) string {
	parts := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		parts[i] = v.letter(d)
	}
	return "(" + strings.Join(parts, ", ") + ")"
}
