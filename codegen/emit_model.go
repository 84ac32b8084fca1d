package codegen

import (
	"fmt"
	"math"
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// emitModel writes the sizes, the types and the loading of the weights.
func (v *view) emitModel() *j.File {
	body := v.newFile()
	for _, g := range v.groups {
		v.emitGroup(body, g)
	}
	for _, x := range v.order {
		if x.record != "" {
			v.emitRecord(body, x)
		}
	}
	v.emitStruct(body)
	v.emitLoad(body)

	f := v.newFile() // the constants stand first, and are known last
	v.emitConstants(f)
	f.Add(body.Group)
	return f
}

// emitConstants writes the sizes the program names, and the scalars of its ops.
func (v *view) emitConstants(f *j.File) {
	f.Comment("Sizes, with the letters that stand for them in comments and the lines of the config they come from.")
	f.Const().DefsFunc(func(g *j.Group) {
		for _, s := range v.m.Sizes {
			if v.numbers.used[s.Name] {
				g.Id(v.numbers.sizeName(s.Name)).Op("=").Lit(s.N).Comment("// " + plain(fmt.Sprintf("%s: %s%s", s.Attrs.Str("letter"), s.Attrs.Str("doc"), at(s.Pos.Line))))
			}
		}
	})
	if v.sharesSteps() {
		v.emitParts(f)
	}
	if len(v.numbers.scalar) == 0 {
		return
	}
	f.Comment("Scalars of the kernels.")
	f.Const().DefsFunc(func(g *j.Group) {
		for _, s := range v.numbers.scalar {
			g.Id(s.name).Op("=").Add(number(s.value)).Comment("// " + scalarDocs[s.key] + at(s.line))
		}
	})
}

func (v *view) emitStruct(f *j.File) {
	f.Comment("model is the weights, what trains, and the memory of a micro-batch.")
	f.Type().Id("model").StructFunc(func(g *j.Group) {
		what := "threads and workspace of the kernels"
		if v.ascend {
			what = "device and workspace of the kernels"
		}
		g.Id("k").Op("*").Qual(kPath, "Context").Comment("// " + what)
		g.Id("arena").Op("*").Qual(rtPath, "Arena").Comment("// memory of all values; memory.go says where each lies")
		if v.ranks > 1 {
			g.Id("ranks").Op("*").Qual(rtPath, "Ranks").Comment("// the processes that share each layer")
		}
		if v.stages > 1 {
			g.Id("stages").Op("*").Qual(rtPath, "Stages").Comment("// the processes that have the layers in turn")
		}
		if v.shards > 1 {
			g.Id("shards").Op("*").Qual(rtPath, "Shards").Comment("// the processes that have shares of the optimizer's states")
		}
		g.Id("T").Op(",").Id("S").Int().Comment("// rows of the micro-batch: tokens, and those whose prediction is wanted")
		if v.tokens {
			g.Id("tokens").Int().Comment("// rows of the micro-batch between the linears that are divided: those of this process")
		}
		for _, s := range v.single {
			g.Id(field(s)).Add(v.singleType(s)).Comment("// " + plain(v.describe(s)))
		}
		for _, grp := range v.groups {
			g.Id(grp.field).Index().Id(grp.typ)
			for _, s := range grp.storages {
				if slab(s) {
					g.Id(stackField(s)).Add(stackType(s)).Comment("// " + plain(v.describe(s)) + ", all layers")
				}
			}
		}
		for _, x := range v.order {
			if x.record != "" {
				g.Id(x.record).Index().Id(x.record)
			}
		}
	})
}

func (v *view) describe(s *ir.Storage) string {
	what := s.Kind.String()
	if s.Kind == ir.Param {
		what = map[bool]string{true: "trainable", false: "frozen"}[s.Trainable]
	}
	return fmt.Sprintf("$%s %s %s%s", s.Name, v.shape(s.Type), what, at(s.Pos.Line))
}

// typeOf is the type of one tensor of a storage.
func typeOf(s *ir.Storage) *j.Statement {
	switch {
	case s.Type.Rank() == 1:
		return j.Qual(kPath, "Vec")
	case slab(s) && s.Kind != ir.Copy || s.Kind == ir.Table || s.Kind == ir.Cache:
		return j.Qual(kPath, "Mat")
	}
	return j.Qual(kPath, "Weight")
}

// singleType is the type of the field of a storage that is not stacked.
func (v *view) singleType(s *ir.Storage) *j.Statement {
	if slab(s) {
		return stackType(s)
	}
	return typeOf(s)
}

// stackType is the type of a slab.
func stackType(s *ir.Storage) *j.Statement {
	if s.Kind == ir.Copy {
		return j.Op("*").Qual(rtPath, "Copy")
	}
	return j.Op("*").Qual(rtPath, "Stack")
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
	f.Comment(fmt.Sprintf("%s is the weights of one layer.", g.typ))
	f.Type().Id(g.typ).StructFunc(func(b *j.Group) {
		for _, s := range g.inLayer() {
			b.Id(field(s)).Add(typeOf(s)).Comment("// " + plain(v.describe(s)))
		}
	})
}

// emitRecord writes the type of the activations a function saves.
func (v *view) emitRecord(f *j.File, x *fn) {
	f.Comment(fmt.Sprintf("%s is the activations that %s saves of one layer for its backward.", x.record, x.name))
	f.Type().Id(x.record).StructFunc(func(b *j.Group) {
		for _, k := range x.f.Keep {
			b.Id(local(k.Name)).Add(v.valueType(k.Type)).Comment("// " + plain(k.String()+" "+k.Type.DType.String()+" "+v.shape(k.Type)))
		}
	})
}

// valueType is the Go type of a value. On Ascend a matrix of any type is one.
func (v *view) valueType(t ir.Type) *j.Statement {
	switch {
	case t.Rank() == 0 && t.DType == ir.I32:
		return j.Int()
	case t.Rank() == 0:
		return j.Float64()
	case t.DType == ir.I32:
		return j.Qual(kPath, "Ints")
	case t.DType == ir.I64:
		return j.Qual(kPath, "Seeds")
	case t.Rank() == 1:
		return j.Qual(kPath, "Vec")
	case t.DType != ir.F32 && !v.ascend:
		return j.Qual(kPath, "Weight")
	}
	return j.Qual(kPath, "Mat")
}

// emitLoad writes load, which asks the runtime for every storage.
func (v *view) emitLoad(f *j.File) {
	f.Comment("load maps the frozen weights and makes what trains.")
	f.Func().Id("load").Params(j.Id("run").Op("*").Qual(rtPath, "Run")).Params(j.Op("*").Id("model"), j.Error()).BlockFunc(func(b *j.Group) {
		fields := []j.Code{key("k", j.Id("run").Dot("Kernels").Call()), key("arena", j.Id("run").Dot("Arena").Call(j.Id("arenaBytes")))}
		if v.ranks > 1 {
			fields = append(fields, key("ranks", j.Id("run").Dot("Ranks").Call()))
		}
		if v.stages > 1 {
			fields = append(fields, key("stages", j.Id("run").Dot("Stages").Call()))
		}
		if v.shards > 1 {
			fields = append(fields, key("shards", j.Id("run").Dot("Shards").Call()))
		}
		b.Id("m").Op(":=").Op("&").Id("model").Values(fields...)
		for i, s := range v.single {
			if s.Kind == ir.Table && (i == 0 || v.single[i-1].Kind != ir.Table) { // cosines and sines of one embedding
				b.Id("rope").Op(":=").Add(v.ropeSpec(s))
			}
			v.loadSingle(b, s)
		}
		for _, g := range v.groups {
			b.Id("m").Dot(g.field).Op("=").Make(j.Index().Id(g.typ), v.numbers.layers(g.stack.Len()))
			for _, s := range g.storages {
				if slab(s) {
					b.Id("m").Dot(stackField(s)).Op("=").Add(v.makeSlab(s))
				}
			}
			if len(g.inLayer()) == 0 {
				continue
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
				count, turns := v.recordCount(x.f)
				size := v.numbers.layers(count)
				if turns || count == 1 { // not one a layer, however many layers there are
					size = j.Lit(count)
				}
				b.Id("m").Dot(x.record).Op("=").Make(j.Index().Id(x.record), size)
			}
		}
		b.Return(j.Id("m"), j.Id("run").Dot("Loaded").Call())
	})
}

// extents are the shape of a tensor of a storage as arguments.
func (v *view) extents(s *ir.Storage) []j.Code {
	var out []j.Code
	for _, d := range s.Type.Shape {
		out = append(out, v.numbers.dim(d))
	}
	return out
}

func (v *view) loadSingle(b *j.Group, s *ir.Storage) {
	to := b.Id("m").Dot(field(s)).Op("=")
	switch {
	case slab(s):
		to.Add(v.makeSlab(s))
	case s.Kind == ir.Table:
		to.Id("run").Dot("RopeTable").Call(j.Lit(s.Attrs.Str("part") == "sin"), v.numbers.dim(s.Type.Shape[0]), j.Id("rope"))
	case s.Kind == ir.Cache:
		to.Id("run").Dot("Cache").Call(v.extents(s)...)
	case s.Type.Rank() == 1:
		to.Id("run").Dot("Vector").Call(append([]j.Code{j.Lit(s.Attrs.Str("name"))}, v.extents(s)...)...)
	default:
		verb := "Weight"
		if v.m.OnlyEmbeds(s) {
			verb = "Embedding"
		}
		to.Add(v.part(s, "Part", j.Id("run").Dot(verb).Call(append([]j.Code{j.Lit(s.Attrs.Str("name"))}, v.wholeExtents(s)...)...)))
	}
}

// ropeFactors are the attributes of a table that methods of scaling read.
var ropeFactors = []struct{ attr, field string }{
	{"factor", "Factor"}, {"low_freq_factor", "LowFreqFactor"}, {"high_freq_factor", "HighFreqFactor"},
	{"original_max_position_embeddings", "OriginalMax"}, {"beta_fast", "BetaFast"}, {"beta_slow", "BetaSlow"},
	{"mscale", "MScale"}, {"mscale_all_dim", "MScaleAllDim"},
}

func (v *view) ropeSpec(s *ir.Storage) *j.Statement {
	fields := []j.Code{key("HeadDim", v.numbers.dim(s.Attrs.Dim("head_dim"))), key("Theta", number(s.Attrs.Float("theta"))), key("Method", j.Lit(s.Attrs.Str("method")))}
	for _, f := range ropeFactors {
		if _, ok := s.Attrs[f.attr]; ok {
			fields = append(fields, key(f.field, number(s.Attrs.Float(f.attr))))
		}
	}
	return j.Qual(kPath, "RopeSpec").Values(wrapped("rope := k.RopeSpec{}", 1, fields, columns)...)
}

// template turns the {i} of a name into the verb of a format.
func template(s *ir.Storage) string {
	return strings.ReplaceAll(strings.ReplaceAll(s.Attrs.Str("name"), "%", "%%"), "{i}", "%d")
}

// makeSlab asks for a trainable parameter, its gradient or its state.
func (v *view) makeSlab(s *ir.Storage) *j.Statement {
	if s.Kind == ir.Copy {
		return v.makeCopy(s)
	}
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
			return j.Id("run").Dot("SideState").Call(src, kind, v.numbers.dim(s.Type.Shape[0]))
		}
		return j.Id("run").Dot("State").Call(src, kind)
	}
	names := j.Index().String().Values(j.Lit(s.Attrs.Str("name")))
	if s.Stack != nil {
		names = j.Qual(rtPath, "Names").Call(j.Lit(template(s)), v.numbers.layer(s.Stack.Lo), v.numbers.layer(s.Stack.Hi))
	}
	verb := "Trainable"
	if !s.Trainable {
		verb = "Fixed"
	}
	init := []j.Code{key("Kind", j.Lit(s.Attrs.Str("init")))}
	if _, ok := s.Attrs["bound"]; ok {
		init = append(init, key("Bound", v.bound(s)))
	}
	cols := j.Code(j.Lit(0))
	if s.Type.Rank() == 2 {
		cols = v.numbers.dim(s.Type.Shape[1].Whole())
	}
	args := []j.Code{names, v.numbers.dim(s.Type.Shape[0].Whole()), cols, j.Qual(rtPath, "Init").Values(init...)}
	return v.part(s, "Share", j.Id("run").Dot(verb).Call(wrapped("m."+stackField(s)+" = run."+verb+"()", 1, args, columns)...))
}

// bound writes how far from zero a parameter may begin: 1/√(its columns), where
// it is that, or the number.
func (v *view) bound(s *ir.Storage) *j.Statement {
	x := s.Attrs.Float("bound")
	if s.Type.Rank() == 2 && x == 1/math.Sqrt(float64(s.Type.Shape[1].Whole().N)) {
		return j.Lit(1).Op("/").Qual("math", "Sqrt").Call(v.numbers.dim(s.Type.Shape[1].Whole()))
	}
	return number(x)
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
		return j.Id("run").Dot("Cache").Call(v.extents(s)...)
	}
	index := j.Code(j.Id("i"))
	if g.stack.Lo > 0 {
		index = j.Id("i").Op("+").Lit(g.stack.Lo)
	}
	verb, part := "Weight", "Part"
	if s.Type.Rank() == 1 {
		verb, part = "Vector", "PartVector"
	}
	name := j.Qual("fmt", "Sprintf").Call(j.Lit(template(s)), index)
	return v.part(s, part, j.Id("run").Dot(verb).Call(append([]j.Code{name}, v.wholeExtents(s)...)...))
}
