package codegen

import (
	"fmt"
	"strings"
	"unicode"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// width is the most columns of a line of the program, a tab counted as four.
const width = 112

// commenter is what comments are written to: a file or a block.
type commenter interface {
	Comment(text string) *j.Statement
}

// plain is text that stays in the comment it is written into: what ends a line or a
// comment, or what Go's compiler refuses in one, is a space. Names and remarks of a
// dump are somebody else's text.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, " "))
	return strings.ReplaceAll(strings.ReplaceAll(text, "*/", "* /"), "/*", "/ *")
}

// remark writes text as line comments that are no wider than a line may be.
func remark(to commenter, indent int, text string) {
	line := "//"
	for _, word := range strings.Fields(plain(text)) {
		if len([]rune(line))+1+len([]rune(word)) > width-4*indent && line != "//" {
			to.Comment(line)
			line = "//"
		}
		line += " " + word
	}
	to.Comment(line)
}

// legend explains, at the head of a file, the letters its shapes have and how to
// read its statements.
func (v *view) legend(f *j.File, pick func(x *fn) bool) {
	used, ops, carries := map[string]bool{}, map[string]bool{}, false
	for _, x := range v.order {
		if pick(x) {
			carries = carries || holds(x.f, "hand")
			x.f.EachValue(func(val *ir.Value) {
				for _, d := range val.Type.Shape {
					used[v.letter(d)] = true
				}
			})
			for _, s := range x.f.Body {
				ops[s.Op.Name] = true
				used["L"] = used["L"] || s.Callee != nil     // in the text of a loop
				used["D"] = used["D"] || s.Op.Name == "rope" // in its formula
				ops["dropout"] = ops["dropout"] || s.Attrs.Float("p") > 0
			}
		}
	}
	f.Comment("// The letters of shapes, and what they are in the code:")
	f.Comment("//")
	for _, l := range append([][2]string{
		{"T", "token rows of the micro-batch (m.T, set by the functions that take one)"},
		{"S", "rows of it whose prediction is wanted (m.S)"},
		{"N", "sequences in it; starts has the first row of each, base the first in the caches"},
	}, v.letters()...) {
		if used[l[0]] {
			f.Comment("//\t" + plain(l[0]+"  "+l[1]))
		}
	}
	f.Comment("//")
	remark(f, 0, "Above a call: its results as the intermediate representation (IR) names them, their shapes, the formula where it comes up first in a"+
		" function, and the line of the config. ∘ is the product of elements, silu(x) = x/(1+exp(−x)). In the code, w has the weights of layer i; nil in"+
		" place of rows means all rows, and k.Mat{} a gradient that nobody needs.")
	if v.ascend {
		f.Comment("//")
		remark(f, 0, "On the device, what is multiplied has 16 bits: adapters have copies, of which Scaled is alpha/rank times the parameter, so that Scale is 1 here."+
			" m.k.Layer says which layer it is to messages about faults.")
	}
	if ops["dropout"] {
		f.Comment("//")
		remark(f, 0, "drop(x) = x ∘ mask/(1−dropoutRate). The mask is a function of the seed of the row, the layer, the linear (the number"+
			" in drop.Of) and the column, so that the backward recomputes it.")
	}
	f.Comment("//")
	memory := "Values are views of the arena, at byte offsets that memory.go lists. frame is scratch memory: each layer has its frame at callee and the" +
		" next one overwrites it. record is where a layer leaves what its backward or the next layer reads: one for each layer (i*size) where a" +
		" backward reads it, else two in turn (i%2*size)."
	if carries {
		memory += " carry is two places in turn for what only the next layer reads."
	}
	remark(f, 0, memory+" Values may share bytes where they are not needed at the same time.")
	f.Line()
}

// letters lists the sizes that have a letter of their own.
func (v *view) letters() (out [][2]string) {
	for _, s := range v.m.Sizes {
		if l := s.Attrs.Str("letter"); len(l) == 1 {
			out = append(out, [2]string{l, s.Attrs.Str("doc") + " (" + v.numbers.sizeName(s.Name) + ")"})
		}
	}
	return out
}

// explain writes the comment above a statement.
func (b *body) explain(s *ir.Stmt) {
	var parts []string
	for _, r := range s.Results {
		if r.Type.Kept == nil {
			parts = append(parts, strings.TrimSpace(r.String()+" "+strings.TrimSuffix(b.v.shape(r.Type), "()")))
		}
	}
	text := strings.Join(parts, ", ")
	add := func(what string) { text = strings.TrimPrefix(text+": "+what, ": ") }
	switch {
	case s.Callee != nil && s.Range.Len() > 1:
		add("layers " + b.v.layerText(s.Range.Lo) + " to " + b.v.layerText(s.Range.Hi))
	case s.Callee != nil:
		add("layer " + b.v.layerText(s.Range.Lo))
	case !b.told[s.Formula()]:
		b.told[s.Formula()] = true
		add(s.Formula())
	case text == "":
		text = s.Op.Name
	}
	remark(b.g, 1, text+at(s.Pos.Line))
}

// layerText writes the index of a layer as numbers.layer does, in letters.
func (v *view) layerText(i int) string {
	size := v.m.Size("layers")
	if size == nil || i < size.N-2 || i < 2 {
		return fmt.Sprint(i)
	}
	return fmt.Sprintf("%s−%d", v.letter(size.Dim()), size.N-i)
}

// at is the line of the config a thing comes from.
func at(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" (yaml:%d)", line)
}

// columns is how long a value, or a field of a struct, is as text.
func columns(p j.Code) int { return len([]rune(fmt.Sprintf("%#v", j.Id("x").Values(p)))) - len("x{}") }

// paramColumns is the same of a parameter.
func paramColumns(p j.Code) int {
	return len([]rune(fmt.Sprintf("%#v", j.Func().Id("x").Params(p).Block()))) - len("func x() {}")
}

// wrapped puts the parts of a list on one line where they fit after head, else
// on as few further lines as hold them.
func wrapped(head string, indent int, parts []j.Code, columns func(j.Code) int) []j.Code {
	length := len([]rune(head))
	sizes := make([]int, len(parts))
	for i, p := range parts {
		sizes[i] = columns(p) + 2
		length += sizes[i]
	}
	if length+4*indent <= width {
		return parts
	}
	out, line := make([]j.Code, 0, len(parts)+1), 0
	for i, p := range parts {
		if i == 0 || line+sizes[i]+4*(indent+1) > width {
			p, line = j.Line().Add(p), 0
		}
		line += sizes[i]
		out = append(out, p)
	}
	return append(out, j.Line())
}
