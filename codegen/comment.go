package codegen

import (
	"fmt"
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// width is the most columns of a line of the program, a tab counted as four.
const width = 112

// commenter is what comments are written to: a file or a block.
type commenter interface {
	Comment(text string) *j.Statement
}

// remark writes text as line comments that are no wider than a line may be.
func remark(to commenter, indent int, text string) {
	line := "//"
	for _, word := range strings.Fields(text) {
		if len([]rune(line))+1+len([]rune(word)) > width-4*indent && line != "//" {
			to.Comment(line)
			line = "//"
		}
		line += " " + word
	}
	to.Comment(line)
}

// legend explains, at the head of a file, the letters of its shapes and how to
// read its statements.
func (v *view) legend(f *j.File) {
	f.Comment("// The letters of shapes:")
	f.Comment("//")
	for _, l := range append([][2]string{
		{"T", "token rows of the micro-batch"},
		{"S", "rows of it whose prediction is wanted"},
		{"N", "sequences in it"},
	}, v.letters()...) {
		f.Comment(fmt.Sprintf("//\t%s  %s", l[0], l[1]))
	}
	f.Comment("//")
	remark(f, 0, "Above a call stand its results as the IR names them, their shapes, the formula where it comes up first in this file,"+
		" and the line of the config. Weights w are those of layer i. Every value is a view of the arena, at an offset that memory.go lists:"+
		" in frame, whose bytes the next layer uses again, in record, where a layer leaves what its backward or the layer after it reads,"+
		" or in carry, two places that layers take in turn. Values may share bytes where they are not needed at the same time.")
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
	if s.Callee != nil && s.Range.Len() > 1 {
		text = strings.TrimPrefix(text+": layer by layer", ": ")
	}
	if s.Callee == nil && !b.v.told[s.Formula()] {
		b.v.told[s.Formula()] = true
		text = strings.TrimPrefix(text+": "+s.Formula(), ": ")
	}
	switch {
	case text != "":
	case s.Callee != nil:
		text = s.Callee.Doc
	default:
		text = s.Op.Name
	}
	remark(b.g, 1, text+at(s.Pos.Line))
}

// at is the line of the config a thing comes from.
func at(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" · yaml:%d", line)
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
