package codegen

import (
	"bytes"
	"fmt"
	"reflect"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
	"lorac/kernels/ascend"
)

// A program for Ascend has the same text as one for the CPU but for the packages
// behind k and rt, the types of tensors, and what messages of faults need: layer
// functions say which layer they compute, and main.go has the sources of the calls.

// onAscend reports whether a module is for Ascend NPUs (the pass device-types).
func onAscend(m *ir.Module) bool { return m.Setting("device") == "ascend" }

// imports puts the packages of the target into the text of a file.
func (v *view) imports(text []byte) []byte {
	if v.sharesSteps() {
		return bytes.Replace(text, []byte(`"`+rtPath+`"`), []byte(`"`+rtPath+`/mesh"`), 1)
	}
	if !v.ascend {
		return text
	}
	for _, path := range []string{kPath, rtPath} {
		text = bytes.Replace(text, []byte(`"`+path+`"`), []byte(`"`+path+`/ascend"`), 1)
	}
	return text
}

// checkKernels refuses ops that Ascend has no kernel for.
func (v *view) checkKernels() error {
	context := reflect.TypeFor[*ascend.Context]()
	for _, f := range v.m.Funcs {
		for _, s := range f.Body {
			if name := s.KernelName(); v.ascend && s.Callee == nil && name != "" {
				if _, ok := context.MethodByName(name); !ok {
					return fmt.Errorf("op `%s` in `%s` has no kernel on Ascend\n  = help: compile with --device cpu", s.Op.Name, f.Name)
				}
			}
		}
	}
	return nil
}

// layerNote has the function say which layer it computes.
func (b *body) layerNote() {
	if b.v.ascend && !b.x.f.Entry && b.x.f.Index != nil {
		b.g.Id("m").Dot("k").Dot("Layer").Call(j.Id("i"))
	}
}

// emitSources embeds the files that call kernels.
func (v *view) emitSources(f *j.File, files []string) {
	f.Comment("program is what calls kernels, as text: the message of a fault says what was computed.")
	f.Comment("//")
	text := "//go:embed"
	for _, name := range files {
		text += " " + name
	}
	f.Comment(text)
	f.Var().Id("program").Qual("embed", "FS")
}

// makeCopy asks for the 16-bit copies of a parameter.
func (v *view) makeCopy(s *ir.Storage) *j.Statement {
	of := v.m.Storage(s.Attrs.Str("of"))
	name := field(of)
	if of.Stack != nil {
		name = stackField(of)
	}
	scale := number(1)
	if by := s.Attrs.Float("scale"); by != 1 {
		scale = v.numbers.constant("loraScale", by, s.Pos.Line)
	}
	return j.Id("run").Dot("Copy").Call(j.Id("m").Dot(name), dtype(s.Type.DType.String()), scale)
}
