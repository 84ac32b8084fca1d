package ir

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"lorac/ir/diag"
)

// Print writes the module as text. Parse reads it back to an equal module.
func (m *Module) Print(w io.Writer) error {
	_, err := io.WriteString(w, m.String())
	return err
}

func (m *Module) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "module %s from %s\n", m.Name, strconv.Quote(m.Source))
	if len(m.Settings) > 0 {
		b.WriteByte('\n')
	}
	for _, s := range m.Settings {
		fmt.Fprintf(&b, "setting %s = %s%s\n", s.Key, FormatAttr(s.Val), at(s.Pos))
	}
	if len(m.Sizes) > 0 {
		b.WriteByte('\n')
	}
	for _, s := range m.Sizes {
		fmt.Fprintf(&b, "size %s = %d", s.Name, s.N)
		if len(s.Attrs) > 0 {
			b.WriteString(" " + s.Attrs.String())
		}
		b.WriteString(at(s.Pos) + "\n")
	}
	if len(m.Dims) > 0 {
		b.WriteByte('\n')
	}
	for _, d := range m.Dims {
		fmt.Fprintf(&b, "dim %s <= %s%s\n", d.Name, d.Max, at(d.Pos))
	}
	if m.Mesh != nil {
		fmt.Fprintf(&b, "\nmesh %s%s\n", m.Mesh, at(m.Mesh.Pos))
	}
	if len(m.Storages) > 0 {
		b.WriteByte('\n')
	}
	for _, s := range m.Storages {
		fmt.Fprintf(&b, "%s $%s%s : %s", s.Kind, s.Name, stackString(s.Stack), s.Type)
		if s.Kind == Param {
			if s.Trainable {
				b.WriteString(" trainable")
			} else {
				b.WriteString(" frozen")
			}
		}
		if len(s.Attrs) > 0 {
			b.WriteString(" " + s.Attrs.String())
		}
		b.WriteString(at(s.Pos) + "\n")
	}
	for _, f := range m.Funcs {
		b.WriteByte('\n')
		printFunc(&b, f)
	}
	return b.String()
}

func (f *Func) String() string {
	var b strings.Builder
	printFunc(&b, f)
	return b.String()
}

func printFunc(b *strings.Builder, f *Func) {
	if f.Entry {
		b.WriteString("entry ")
	}
	fmt.Fprintf(b, "func %s", f.Name)
	if f.Index != nil {
		fmt.Fprintf(b, "[%s]", f.Index)
	}
	b.WriteString("(" + paramList(f.Params) + ")")
	if f.Of != "" {
		fmt.Fprintf(b, " saved %s (%s)", f.Of, paramList(f.Saved))
	}
	b.WriteString(" -> (" + valueList(f.Results) + ")")
	if len(f.Keep) > 0 {
		b.WriteString(" keep (" + valueList(f.Keep) + ")")
	}
	if f.Doc != "" {
		b.WriteString(" doc " + strconv.Quote(f.Doc))
	}
	b.WriteString(" {\n")
	for _, s := range f.Body {
		b.WriteString("  ")
		printStmt(b, s)
	}
	b.WriteString("}\n")
}

func printStmt(b *strings.Builder, s *Stmt) {
	if len(s.Results) > 0 {
		b.WriteString(valueList(s.Results) + " = ")
	}
	b.WriteString(s.Op.Name)
	if s.Callee != nil {
		b.WriteString(" " + s.Callee.Name + s.Range.String())
	}
	for i, a := range s.Args {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(" " + a.String())
	}
	if len(s.Attrs) > 0 {
		b.WriteString(" " + s.Attrs.String())
	}
	for i, r := range s.Results {
		if i == 0 {
			b.WriteString(" : ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(r.Type.String())
		if r.Place != nil {
			fmt.Fprintf(b, " in %s+%d", r.Place.Region, r.Place.Offset)
		}
	}
	b.WriteString(at(s.Pos) + "\n")
}

func stackString(r *Range) string {
	if r == nil {
		return ""
	}
	return r.String()
}

func paramList(vs []*Value) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = v.String() + ": " + v.Type.String()
	}
	return strings.Join(parts, ", ")
}

func valueList(vs []*Value) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = v.String()
	}
	return strings.Join(parts, ", ")
}

func at(p diag.Pos) string { return fmt.Sprintf(" @%d:%d", p.Line, p.Col) }
