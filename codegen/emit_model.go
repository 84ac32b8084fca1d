package codegen

import (
	"fmt"
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// emitModel writes the sizes, the types and the loading of the weights.
func (v *view) emitModel() *j.File {
	f := v.newFile()
	f.Comment("Sizes, with the line of the config they come from.")
	f.Const().DefsFunc(func(g *j.Group) {
		for _, s := range v.sizes {
			if v.byN[s.n] == s.name {
				g.Id(s.name).Op("=").Lit(s.n).Comment(fmt.Sprintf("// yaml:%d", s.line))
			}
		}
		g.Id("arenaBytes").Op("=").Lit(v.arena).Comment("// activations, at the most rows of a pass")
	})
	for _, g := range v.groups {
		v.emitGroup(f, g)
	}
	for _, x := range v.order {
		if x.record != "" {
			v.emitRecord(f, x)
		}
	}
	f.Comment("model is the weights, what trains, and the memory of a pass.")
	f.Type().Id("model").StructFunc(func(g *j.Group) {
		g.Id("arena").Op("*").Qual(rtPath, "Arena")
		g.Id("t").Op(",").Id("s").Int().Comment("// token rows and supervised rows of the pass")
		for _, s := range v.single {
			g.Id(field(s)).Add(v.singleType(s)).Comment("// " + describe(s))
		}
		for _, grp := range v.groups {
			g.Id(grp.field).Index().Id(grp.typ)
			for _, s := range grp.storages {
				if slab(s) {
					g.Id(stackField(s)).Op("*").Qual(rtPath, "Stack").Comment("// " + describe(s) + ", all layers")
				}
			}
		}
		for _, x := range v.order {
			if x.record != "" {
				g.Id(x.record).Index().Id(x.record)
			}
		}
	})
	v.emitLoad(f)
	return f
}

// stackField names the slab of a stacked storage in the model.
func stackField(s *ir.Storage) string { return "all" + public(s.Name) }

func describe(s *ir.Storage) string {
	shape := make([]string, len(s.Type.Shape))
	for i, d := range s.Type.Shape {
		shape[i] = d.String()
	}
	what := s.Kind.String()
	if s.Kind == ir.Param {
		what = map[bool]string{true: "trainable", false: "frozen"}[s.Trainable]
	}
	out := fmt.Sprintf("$%s (%s) %s", s.Name, strings.Join(shape, ", "), what)
	if s.Pos.Known() {
		out += fmt.Sprintf(" yaml:%d", s.Pos.Line)
	}
	return out
}

// typeOf is the type of one tensor of a storage.
func typeOf(s *ir.Storage) *j.Statement {
	switch {
	case s.Type.Rank() == 1:
		return j.Index().Float32()
	case slab(s) || s.Kind == ir.Table || s.Kind == ir.Cache:
		return j.Qual(kPath, "Mat")
	}
	return j.Qual(kPath, "Weight")
}

// singleType is the type of the field of a storage that is not stacked.
func (v *view) singleType(s *ir.Storage) *j.Statement {
	if slab(s) {
		return j.Op("*").Qual(rtPath, "Stack")
	}
	return typeOf(s)
}

// inLayer lists the storages a layer's functions read one by one.
func (g *group) inLayer() []*ir.Storage {
	var out []*ir.Storage
	for _, s := range g.storages {
		if s.Kind != ir.State {
			out = append(out, s)
		}
	}
	return out
}

func (v *view) emitGroup(f *j.File, g *group) {
	f.Comment(fmt.Sprintf("%s is the weights of one layer of %s.", g.typ, g.stack))
	f.Type().Id(g.typ).StructFunc(func(b *j.Group) {
		for _, s := range g.inLayer() {
			b.Id(field(s)).Add(typeOf(s)).Comment("// " + describe(s))
		}
	})
}

// emitRecord writes the type of what a function keeps for its backward.
func (v *view) emitRecord(f *j.File, x *fn) {
	f.Comment(fmt.Sprintf("%s is what %s keeps of one layer for the backward.", x.record, x.f.Name))
	f.Type().Id(x.record).StructFunc(func(b *j.Group) {
		for _, k := range x.f.Keep {
			b.Id(local(k.Name)).Add(valueType(k.Type)).Comment("// " + k.String() + " " + k.Type.String())
		}
	})
}

// valueType is the Go type of a value.
func valueType(t ir.Type) *j.Statement {
	switch {
	case t.Rank() == 0 && t.DType == ir.I32:
		return j.Int()
	case t.Rank() == 0:
		return j.Float64()
	case t.DType == ir.I32:
		return j.Index().Int32()
	case t.DType == ir.I64:
		return j.Index().Uint64()
	case t.Rank() == 1:
		return j.Index().Float32()
	case t.DType != ir.F32:
		return j.Qual(kPath, "Weight")
	}
	return j.Qual(kPath, "Mat")
}

// emitLoad writes load, which asks the runtime for every storage.
func (v *view) emitLoad(f *j.File) {
	f.Comment("load maps the frozen weights and makes what trains.")
	f.Func().Id("load").Params(j.Id("run").Op("*").Qual(rtPath, "Run")).Params(j.Op("*").Id("model"), j.Error()).BlockFunc(func(b *j.Group) {
		b.Id("m").Op(":=").Op("&").Id("model").Values(j.Id("arena").Op(":").Id("run").Dot("Arena").Call(j.Id("arenaBytes")))
		for _, s := range v.single {
			v.loadSingle(b, s)
		}
		for _, g := range v.groups {
			b.Id("m").Dot(g.field).Op("=").Make(j.Index().Id(g.typ), v.num(g.stack.Len()))
			for _, s := range g.storages {
				if slab(s) {
					b.Id("m").Dot(stackField(s)).Op("=").Add(v.makeSlab(s))
				}
			}
			b.For(j.Id("i").Op(":=").Range().Id("m").Dot(g.field)).BlockFunc(func(l *j.Group) {
				l.Id("w").Op(":=").Op("&").Id("m").Dot(g.field).Index(j.Id("i"))
				for _, s := range g.inLayer() {
					l.Id("w").Dot(field(s)).Op("=").Add(v.loadLayer(g, s))
				}
			})
		}
		for _, x := range v.order {
			if x.record != "" {
				b.Id("m").Dot(x.record).Op("=").Make(j.Index().Id(x.record), v.num(v.recordCount(x.f)))
			}
		}
		b.Return(j.Id("m"), j.Id("run").Dot("Loaded").Call())
	})
}

// recordCount is the most records of a function any entry needs.
func (v *view) recordCount(f *ir.Func) int {
	n := 0
	for _, e := range v.order {
		if e.layout != nil {
			if r := e.layout.Record(f); r != nil {
				n = max(n, r.Count)
			}
		}
	}
	return n
}

func (v *view) shape(s *ir.Storage) []j.Code {
	var out []j.Code
	for _, d := range s.Type.Shape {
		out = append(out, v.num(d.N))
	}
	return out
}

func (v *view) loadSingle(b *j.Group, s *ir.Storage) {
	to := b.Id("m").Dot(field(s)).Op("=")
	switch {
	case slab(s):
		to.Add(v.makeSlab(s))
	case s.Kind == ir.Table:
		to.Id("run").Dot("RopeTable").Call(j.Lit(s.Attrs.Str("part") == "sin"), v.num(s.Type.Shape[0].N), v.ropeSpec(s))
	case s.Type.Rank() == 1:
		to.Id("run").Dot("Vector").Call(append([]j.Code{j.Lit(s.Attrs.Str("name"))}, v.shape(s)...)...)
	default:
		verb := "Weight"
		if v.m.OnlyEmbeds(s) {
			verb = "Embedding"
		}
		to.Id("run").Dot(verb).Call(append([]j.Code{j.Lit(s.Attrs.Str("name"))}, v.shape(s)...)...)
	}
}

func (v *view) ropeSpec(s *ir.Storage) *j.Statement {
	fields := j.Dict{
		j.Id("HeadDim"): v.num(s.Attrs.Int("head_dim")), j.Id("Theta"): number(s.Attrs.Float("theta")), j.Id("Method"): j.Lit(s.Attrs.Str("method")),
	}
	for key, name := range map[string]string{"factor": "Factor", "low_freq_factor": "LowFreqFactor", "high_freq_factor": "HighFreqFactor",
		"original_max_position_embeddings": "OriginalMax", "beta_fast": "BetaFast", "beta_slow": "BetaSlow", "mscale": "MScale", "mscale_all_dim": "MScaleAllDim"} {
		if _, ok := s.Attrs[key]; ok {
			fields[j.Id(name)] = number(s.Attrs.Float(key))
		}
	}
	return j.Qual(kPath, "RopeSpec").Values(fields)
}

// template turns the {i} of a name into the verb of a format.
func template(s *ir.Storage) string {
	return strings.ReplaceAll(strings.ReplaceAll(s.Attrs.Str("name"), "%", "%%"), "{i}", "%d")
}

// makeSlab asks for a trainable parameter, its gradient or its state.
func (v *view) makeSlab(s *ir.Storage) *j.Statement {
	if s.Kind != ir.Param {
		of := v.m.Storage(s.Attrs.Str("of"))
		name := field(of)
		if of.Stack != nil {
			name = stackField(of)
		}
		src := j.Id("m").Dot(name)
		if s.Kind == ir.Grad {
			return j.Id("run").Dot("Grad").Call(src)
		}
		kind := j.Lit(s.Name[strings.LastIndexByte(s.Name, '.')+1:])
		if s.Type.Rank() < of.Type.Rank() {
			return j.Id("run").Dot("SideState").Call(src, kind, v.num(s.Type.Shape[0].N))
		}
		return j.Id("run").Dot("State").Call(src, kind)
	}
	names := j.Index().String().Values(j.Lit(s.Attrs.Str("name")))
	if s.Stack != nil {
		names = j.Qual(rtPath, "Names").Call(j.Lit(template(s)), j.Lit(s.Stack.Lo), j.Lit(s.Stack.Hi))
	}
	verb := "Trainable"
	if !s.Trainable {
		verb = "Fixed"
	}
	init := j.Dict{j.Id("Kind"): j.Lit(s.Attrs.Str("init"))}
	if _, ok := s.Attrs["bound"]; ok {
		init[j.Id("Bound")] = number(s.Attrs.Float("bound"))
	}
	cols := j.Code(j.Lit(0))
	if s.Type.Rank() == 2 {
		cols = v.num(s.Type.Shape[1].N)
	}
	return j.Id("run").Dot(verb).Call(names, v.num(s.Type.Shape[0].N), cols, j.Qual(rtPath, "Init").Values(init))
}

func (v *view) loadLayer(g *group, s *ir.Storage) *j.Statement {
	if slab(s) {
		kind := "Mat"
		if s.Type.Rank() == 1 {
			kind = "Vec"
		}
		return j.Id("m").Dot(stackField(s)).Dot(kind).Call(j.Id("i"))
	}
	if s.Kind == ir.Cache {
		return j.Id("run").Dot("Cache").Call(v.shape(s)...)
	}
	index := j.Code(j.Id("i"))
	if g.stack.Lo > 0 {
		index = j.Id("i").Op("+").Lit(g.stack.Lo)
	}
	verb := "Weight"
	if s.Type.Rank() == 1 {
		verb = "Vector"
	}
	name := j.Qual("fmt", "Sprintf").Call(j.Lit(template(s)), index)
	return j.Id("run").Dot(verb).Call(append([]j.Code{name}, v.shape(s)...)...)
}

// num writes a number by its name where it has one.
func (v *view) num(n int) *j.Statement {
	if name := v.byN[n]; name != "" {
		return j.Id(name)
	}
	return j.Lit(n)
}
