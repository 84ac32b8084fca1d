package codegen

import (
	"fmt"
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// body writes the statements of one function.
type body struct {
	v      *view
	x      *fn
	g      *j.Group
	direct bool            // an entry whose parameters are scalars, taken as they are
	told   map[string]bool // formulas that stand in the function already
	flow   *ir.Flow        // what a process has of storages at the statement
	shares bool            // the statement works on the process' share of its storages
	masks  []mask
	rules  []rule
}

// emitFuncs writes the chosen functions into a file.
func (v *view) emitFuncs(pick func(x *fn) bool, legend bool) (*j.File, error) {
	f := v.newFile()
	if legend {
		v.legend(f, pick)
	}
	n := 0
	for _, x := range v.order {
		if !pick(x) {
			continue
		}
		n++
		b := &body{v: v, x: x, told: map[string]bool{}, flow: v.m.NewFlow(x.f)}
		if err := b.emit(f); err != nil {
			return nil, err
		}
	}
	if n == 0 {
		return nil, nil
	}
	return f, nil
}

func (b *body) emit(f *j.File) (err error) {
	x := b.x
	params := b.params()
	var results []j.Code
	for _, r := range x.f.Results {
		results = append(results, b.v.resultType(x.f, r))
	}
	remark(f, 0, b.describe())
	fn := f.Func().Params(j.Id("m").Op("*").Id("model")).Id(x.name).Params(wrapped("func (m *model) "+x.name+"() k.Mat {", 0, params, paramColumns)...)
	if len(results) > 0 {
		fn.Params(results...)
	}
	fn.BlockFunc(func(g *j.Group) {
		b.g = g
		b.prologue()
		for i, s := range x.f.Body {
			if err == nil {
				b.shares = b.v.shards > 1 && s.Callee == nil && b.flow.Shares(s)
				err = b.stmt(s, i)
			}
			if b.v.shards > 1 && s.Callee == nil {
				b.flow.Step(s) // which the verifier checked
			}
		}
		if len(x.f.Results) > 0 {
			var out []j.Code
			for _, r := range x.f.Results {
				value := b.val(r)
				if x.f.Entry && r.Type.Rank() == 0 && r.Def != nil {
					value.Dot("Value").Call()
				}
				out = append(out, value)
			}
			g.Return(out...)
		}
	})
	return err
}

// describe is the comment above a function: what the IR says it computes.
func (b *body) describe() string {
	f := b.x.f
	doc := f.Doc
	if doc == "" {
		doc = "see its statements"
	}
	switch {
	case b.x.record != "":
		doc += ". saved receives what its backward reads"
	case b.x.of != nil && len(f.Saved) > 0:
		doc += ". saved is what " + b.x.of.name + " left"
	}
	return fmt.Sprintf("%s (%s): %s.", b.x.name, f.Name, doc)
}

// resultType is what a function returns of a value: the program takes the number
// of a scalar where it leaves an entry.
func (v *view) resultType(f *ir.Func, r *ir.Value) *j.Statement {
	switch {
	case r.Type.Rank() > 0:
		return v.valueType(r.Type)
	case f.Entry:
		return j.Float64()
	}
	return j.Qual(kPath, "Scalar")
}

func (b *body) params() []j.Code {
	x := b.x
	if x.f.Entry {
		b.direct = true
		for _, p := range x.f.Params {
			b.direct = b.direct && p.Type.Rank() == 0
		}
		if !b.direct {
			return []j.Code{j.Id("b").Op("*").Qual(rtPath, "MicroBatch")}
		}
		var out []j.Code
		for _, p := range x.f.Params {
			out = append(out, j.Id(local(p.Name)).Add(b.v.valueType(p.Type)))
		}
		return out
	}
	var regions []j.Code
	if b.places("keep") {
		regions = append(regions, j.Id("record"))
	}
	regions = append(regions, j.Id("frame"))
	if b.places("hand") {
		regions = append(regions, j.Id("carry"))
	}
	out := []j.Code{j.Id("i").Int(), j.List(regions...).Op("*").Qual(rtPath, "Arena")}
	if x.record != "" {
		out = append(out, j.Id("saved").Op("*").Id(x.record))
	}
	if x.of != nil && len(x.f.Saved) > 0 {
		out = append(out, j.Id("saved").Op("*").Id(x.of.record))
	}
	for _, p := range x.f.Params {
		out = append(out, j.Id(local(p.Name)).Add(b.v.valueType(p.Type)))
	}
	return out
}

func (b *body) prologue() {
	x := b.x
	if x.f.Entry && !b.direct {
		b.g.Id("m").Dot("T").Op(",").Id("m").Dot("S").Op("=").Id("b").Dot("Size").Call()
		if b.v.tokens {
			b.g.Id("m").Dot("tokens").Op("=").Id("m").Dot("ranks").Dot("Rows").Call(j.Id("m").Dot("T"))
		}
	}
	if x.group != nil {
		index := j.Id("i")
		if lo := x.group.stack.Lo; lo > 0 {
			index = j.Id("i").Op("-").Lit(lo)
		}
		b.g.Id("w").Op(":=").Op("&").Id("m").Dot(x.group.field).Index(index)
	}
	b.layerNote()
	if len(b.v.fieldsOf(x)) > 0 {
		b.g.Id("at").Op(":=").Op("&").Id(placesVar(x))
	}
	if x.f.Entry && b.places("frame") {
		b.g.Id("frame").Op(":=").Id("m").Dot("arena").Dot("At").Call(j.Id("at").Dot("frame"))
	}
	for _, p := range x.f.Params {
		if x.saves[p] {
			b.g.Id("saved").Dot(local(p.Name)).Op("=").Id(local(p.Name))
		}
	}
}

func (b *body) places(region string) bool { return holds(b.x.f, region) }

// holds reports whether a function places a value in a region.
func holds(f *ir.Func, region string) bool {
	found := false
	f.EachValue(func(v *ir.Value) { found = found || v.Place != nil && v.Place.Region == region })
	return found
}

// inputs are the fields of a micro-batch whose parameter has another name.
var inputs = map[string]string{"keys": "Seeds"} // in dumps of old

// val is how a value is written where it is read.
func (b *body) val(v *ir.Value) *j.Statement {
	x := b.x
	if v == x.f.Index {
		return j.Id("i")
	}
	for _, p := range x.f.Params {
		if p == v && x.f.Entry && !b.direct {
			if name := inputs[p.Name]; name != "" {
				return j.Id("b").Dot(name)
			}
			return j.Id("b").Dot(public(p.Name))
		}
		if p == v {
			return j.Id(local(p.Name))
		}
	}
	for _, p := range x.f.Saved {
		if p == v {
			return j.Id("saved").Dot(local(p.Name))
		}
	}
	if x.saves[v] {
		return j.Id("saved").Dot(local(v.Name))
	}
	return j.Id(local(v.Name))
}

// storage is how one tensor of a storage is written.
func (b *body) storage(s *ir.Storage) *j.Statement {
	if s.Stack != nil {
		return j.Id("w").Dot(field(s))
	}
	if !slab(s) {
		return j.Id("m").Dot(field(s))
	}
	kind := "Mat"
	if s.Type.Rank() == 1 {
		kind = "Vec"
	}
	return j.Id("m").Dot(field(s)).Dot(kind).Call(j.Lit(0))
}

func (b *body) arg(o ir.Operand) *j.Statement {
	if o.Storage != nil {
		return b.storage(o.Storage)
	}
	return b.val(o.Value)
}

// weight is an operand where a kernel wants a weight.
func (b *body) weight(o ir.Operand) *j.Statement {
	if o.Value != nil || slab(o.Storage) && o.Storage.Kind != ir.Copy {
		return b.arg(o).Dot("Weight").Call()
	}
	return b.arg(o)
}

// data is the whole slab of a storage, all layers that the process computes.
func (b *body) data(s *ir.Storage) *j.Statement {
	if b.shares {
		return j.Id("m").Dot("shards").Dot("Own").Call(b.stack(s))
	}
	if s.Stack != nil && b.v.stages > 1 {
		return j.Id("m").Dot("stages").Dot("Own").Call(b.stack(s))
	}
	return b.stack(s).Dot("Data")
}

// stack is the slab with its names.
func (b *body) stack(s *ir.Storage) *j.Statement {
	name := field(s)
	if s.Stack != nil {
		name = stackField(s)
	}
	return j.Id("m").Dot(name)
}

// declare points a result at its place.
func (b *body) declare(v *ir.Value) {
	if v.Place == nil {
		return
	}
	region := map[string]string{"frame": "frame", "keep": "record", "hand": "carry"}[v.Place.Region]
	view := j.Id(region).Dot(viewKind(v.Type)).CallFunc(func(g *j.Group) {
		if k := v.Type.DType; k == ir.F16 || k == ir.BF16 {
			g.Add(dtype(k.String()))
		}
		g.Id("at").Dot(local(v.Name))
		for _, d := range v.Type.Shape {
			g.Add(b.dim(d))
		}
	})
	if b.x.saves[v] {
		b.g.Id("saved").Dot(local(v.Name)).Op("=").Add(view)
		return
	}
	b.g.Id(local(v.Name)).Op(":=").Add(view)
}

func viewKind(t ir.Type) string {
	switch {
	case t.DType == ir.I32:
		return "Ints"
	case t.DType == ir.I64:
		return "Seeds"
	case t.DType == ir.F16 || t.DType == ir.BF16:
		return "Half"
	case t.Rank() == 1:
		return "Vec"
	}
	return "Mat"
}

func (b *body) dim(d ir.Dim) *j.Statement {
	switch {
	case d.Sym == "T" && d.By != "":
		return j.Id("m").Dot("tokens")
	}
	switch d.Sym {
	case "T", "S":
		return j.Id("m").Dot(d.Sym)
	case "":
		return b.v.numbers.dim(d)
	}
	return j.Id("b").Dot("Sequences").Call()
}

// stmt writes statement i of the function.
func (b *body) stmt(s *ir.Stmt, i int) error {
	again := i > 0 && b.x.f.Body[i-1].Op == s.Op && len(s.Results) == 0 && s.Callee == nil && b.x.f.Body[i-1].Pos == s.Pos
	if !again && (i > 0 || !b.direct) {
		b.g.Line()
	}
	if s.Callee != nil {
		b.repeat(s)
		return nil
	}
	switch {
	case s.Op.Wire != nil:
		return b.talk(s)
	case s.Op.Name == "zeros" && s.Results[0].Type.Rank() == 0:
		b.explain(s)
		b.g.Id(b.assigned(s.Results[0])).Op(b.assign(s.Results[0])).Qual(kPath, "Number").Call(j.Lit(0))
		return nil
	}
	name := s.KernelName()
	if name == "" {
		return b.v.formless(s.Line, "op `%s` has no kernel: a pass replaces it by another, and was switched off, did not run, or found no form of it", s.Op.Name)
	}
	c := &call{body: b, s: s}
	layout := layouts[s.Op.Name]
	if layout == nil {
		layout = inOrder()
	}
	if !again {
		b.explain(s)
	}
	args := layout(c) // may declare what the call needs
	if c.fault == nil && !ir.IsLoRA(s) {
		c.check(name, args)
	}
	if c.fault != nil {
		return c.fault
	}
	for _, r := range s.Results {
		b.declare(r)
	}
	if !ir.IsLoRA(s) { // whose layout breaks the lines itself
		args = wrapped("m.k."+name+"()", 1, args, columns)
	}
	out := j.Id("m").Dot("k").Dot(name).Call(args...)
	if len(s.Results) > 0 && s.Results[0].Type.Rank() == 0 {
		out = j.Id(b.assigned(s.Results[0])).Op(b.assign(s.Results[0])).Add(out)
	}
	b.g.Add(out)
	return nil
}

// assigned is the variable of a result that a call returns: none where nobody reads it.
func (b *body) assigned(r *ir.Value) string {
	if b.x.f.Uses()[r] == 0 {
		return "_"
	}
	return local(r.Name)
}

func (b *body) assign(r *ir.Value) string {
	if b.x.f.Uses()[r] == 0 {
		return "="
	}
	return ":="
}

// repeat writes the loop over the layers.
func (b *body) repeat(s *ir.Stmt) {
	callee := b.v.funcs[s.Callee]
	rec := b.x.layout.Record(s.Callee)
	n := b.v.numbers
	call := func(i, carried *j.Statement) *j.Statement {
		args := []j.Code{i}
		if holds(callee.f, "keep") {
			args = append(args, b.at(callee, "Record", b.turn(rec, i), rec.Count > 1 && rec.Stride > 0))
		}
		args = append(args, j.Id("m").Dot("arena").Dot("At").Call(j.Id("at").Dot("callee")))
		if rec.CarryStride > 0 {
			args = append(args, b.at(callee, "Carry", whole(i).Op("%").Lit(rec.CarryCount), rec.CarryCount > 1))
		}
		if callee.record != "" {
			args = append(args, j.Op("&").Id("m").Dot(callee.record).Index(b.turn(rec, i)))
		}
		if callee.of != nil && len(s.Callee.Saved) > 0 {
			of := b.x.layout.Record(callee.of.f)
			args = append(args, j.Op("&").Id("m").Dot(callee.of.record).Index(b.turn(of, i)))
		}
		for k := range s.Callee.Params {
			if k == 0 && carried != nil {
				args = append(args, carried)
			} else {
				args = append(args, b.arg(s.Args[k]))
			}
		}
		return j.Id("m").Dot(callee.name).Call(wrapped(strings.Repeat(" ", 12)+"m."+callee.name+"()", 2, args, columns)...)
	}
	b.explain(s)
	var result *j.Statement
	if len(s.Callee.Results) > 0 {
		result = j.Id(local(s.Results[0].Name))
	}
	if s.Range.Len() == 1 {
		c := call(n.layer(s.Range.Lo), nil)
		if result != nil {
			c = j.Id(b.assigned(s.Results[0])).Op(b.assign(s.Results[0])).Add(c)
		}
		b.g.Add(c)
		return
	}
	from, cond, post := j.Lit(s.Range.Lo), j.Id("i").Op("<").Add(n.layers(s.Range.Hi+1)), j.Id("i").Op("++")
	if s.Range.Lo > s.Range.Hi {
		from, cond, post = n.layer(s.Range.Lo), j.Id("i").Op(">=").Lit(s.Range.Hi), j.Id("i").Op("--")
	}
	loop := []j.Code{j.Id("i").Op(":=").Add(from), cond, post}
	if result == nil {
		b.g.For(loop...).Block(call(j.Id("i"), nil))
		return
	}
	b.g.Add(result.Clone()).Op(":=").Add(b.arg(s.Args[0]))
	b.g.For(loop...).Block(result.Clone().Op("=").Add(call(j.Id("i"), result.Clone())))
}

// at is the memory of one layer's record, or of what it carries to the next:
// they lie one after the other from the base on.
func (b *body) at(callee *fn, what string, index *j.Statement, several bool) *j.Statement {
	offset := j.Id("at").Dot(callee.name + what)
	if several {
		offset.Op("+").Add(index).Op("*").Id("at").Dot(callee.name + what + "Size")
	}
	return j.Id("m").Dot("arena").Dot("At").Call(offset)
}

// turn is the number of layer i's record: its own, or one of two in turn.
func (b *body) turn(r *ir.Record, i *j.Statement) *j.Statement {
	switch {
	case r.Count <= 1:
		return j.Lit(0)
	case r.Lo < 0:
		return whole(i).Op("%").Lit(r.Count)
	case r.Lo > 0:
		return j.Parens(i.Clone().Op("-").Add(b.v.numbers.layer(r.Lo)))
	}
	return i.Clone()
}

// whole is an expression that an operator takes as one.
func whole(x *j.Statement) *j.Statement {
	if strings.ContainsAny(fmt.Sprintf("%#v", x), "+- ") {
		return j.Parens(x.Clone())
	}
	return x.Clone()
}
