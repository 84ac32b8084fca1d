package codegen

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// Emit writes the program of a module: file names and their sources. The same
// module gives the same bytes.
func Emit(m *ir.Module) (map[string][]byte, error) {
	v, err := newView(m)
	if err != nil {
		return nil, err
	}
	if !v.has("loss") && !v.has("logits") {
		return nil, errors.New("the module has neither `loss` nor `logits`, so there is nothing for a program to run")
	}
	files := map[string]*j.File{}
	for _, part := range []struct {
		name   string
		legend bool
		pick   func(x *fn) bool
	}{
		{"forward.go", true, func(x *fn) bool { return x.of == nil && v.base(x.f) != "step" && x.f.Name != "update" }},
		{"backward.go", true, func(x *fn) bool { return x.of != nil || v.base(x.f) == "step" }},
		{"update.go", false, func(x *fn) bool { return x.f.Name == "update" }},
	} {
		f, err := v.emitFuncs(part.pick, part.legend)
		if err != nil {
			return nil, err
		}
		if f != nil {
			files[part.name] = f
		}
	}
	if v.job.ChatTemplate != "" {
		if files["chat.go"], err = v.emitChat(); err != nil {
			return nil, err
		}
	}
	files["main.go"], files["memory.go"] = v.emitMain(slices.Sorted(maps.Keys(files))), v.emitMemory()
	files["model.go"] = v.emitModel() // last: it declares the constants the others use
	out := map[string][]byte{}
	for name, f := range files {
		var b bytes.Buffer
		if err := f.Render(&b); err != nil {
			return nil, fmt.Errorf("BUG: codegen: %s: %w", name, err)
		}
		out[name] = v.imports(b.Bytes())
	}
	return out, nil
}
