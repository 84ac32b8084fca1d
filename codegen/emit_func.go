package codegen

import (
	"fmt"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// body writes the statements of one function.
type body struct {
	v      *view
	x      *fn
	g      *j.Group
	direct bool // an entry whose parameters are scalars, taken as they are
}

// emitFuncs writes the chosen functions into a file.
func (v *view) emitFuncs(pick func(x *fn) bool) (*j.File, error) {
	f := v.newFile()
	n := 0
	for _, x := range v.order {
		if !pick(x) {
			continue
		}
		n++
		b := &body{v: v, x: x}
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
		results = append(results, valueType(r.Type))
	}
	f.Comment(b.describe())
	fn := f.Func().Params(j.Id("m").Op("*").Id("model")).Id(x.name).Params(params...)
	if len(results) > 0 {
		fn.Params(results...)
	}
	fn.BlockFunc(func(g *j.Group) {
		b.g = g
		b.prologue()
		for _, s := range x.f.Body {
			if err == nil {
				err = b.stmt(s)
			}
		}
		if len(x.f.Results) > 0 {
			var out []j.Code
			for _, r := range x.f.Results {
				out = append(out, b.val(r))
			}
			g.Return(out...)
		}
	})
	return err
}

func (b *body) describe() string {
	x := b.x
	switch {
	case x.f.Name == "step":
		return "step runs one pass forward and backward and returns its share of the loss; gradients add up."
	case x.f.Name == "update":
		return "update takes one optimizer step and returns the norm of the gradients, which are zero again."
	case x.f.Entry:
		return fmt.Sprintf("%s runs one pass forward.", x.name)
	case x.of != nil:
		return fmt.Sprintf("%s runs one layer backward (%s).", x.name, x.f.Name)
	}
	return fmt.Sprintf("%s runs one layer (%s).", x.name, x.f.Name)
}

func (b *body) params() []j.Code {
	x := b.x
	if x.f.Entry {
		b.direct = true
		for _, p := range x.f.Params {
			b.direct = b.direct && p.Type.Rank() == 0
		}
		if !b.direct {
			return []j.Code{j.Id("p").Op("*").Qual(rtPath, "MicroBatch")}
		}
		var out []j.Code
		for _, p := range x.f.Params {
			out = append(out, j.Id(local(p.Name)).Add(valueType(p.Type)))
		}
		return out
	}
	regions := []j.Code{j.Id("rec"), j.Id("frame")}
	if b.places("hand") {
		regions = append(regions, j.Id("hand"))
	}
	out := []j.Code{j.Id("i").Int(), j.List(regions...).Op("*").Qual(rtPath, "Arena")}
	if x.record != "" {
		out = append(out, j.Id("own").Op("*").Id(x.record))
	}
	if x.of != nil && len(x.f.Saved) > 0 {
		out = append(out, j.Id("s").Op("*").Id(x.of.record))
	}
	for _, p := range x.f.Params {
		out = append(out, j.Id(local(p.Name)).Add(valueType(p.Type)))
	}
	return out
}

func (b *body) prologue() {
	x := b.x
	if x.f.Entry && !b.direct {
		b.g.Id("m").Dot("t").Op(",").Id("m").Dot("s").Op("=").Len(j.Id("p").Dot("Tokens")).Op(",").Len(j.Id("p").Dot("Rows"))
		if b.places("frame") {
			b.g.Id("frame").Op(":=").Id("m").Dot("arena").Dot("At").Call(j.Lit(x.layout.Frame))
		}
	}
	if x.group != nil {
		index := j.Id("i")
		if x.group.stack.Lo > 0 {
			index = j.Id("i").Op("-").Lit(x.group.stack.Lo)
		}
		b.g.Id("w").Op(":=").Op("&").Id("m").Dot(x.group.field).Index(index)
	}
	for _, p := range x.f.Params {
		if x.keeps[p] {
			b.g.Id("own").Dot(local(p.Name)).Op("=").Id(local(p.Name))
		}
	}
}

func (b *body) places(region string) bool {
	found := false
	b.x.f.EachValue(func(v *ir.Value) { found = found || v.Place != nil && v.Place.Region == region })
	return found
}

// val is how a value is written where it is read.
func (b *body) val(v *ir.Value) *j.Statement {
	x := b.x
	if v == x.f.Index {
		return j.Id("i")
	}
	for _, p := range x.f.Params {
		if p == v && x.f.Entry && !b.direct {
			if p.Name == "keys" { // what dropout masks are drawn from
				return j.Id("p").Dot("Seeds")
			}
			return j.Id("p").Dot(public(p.Name))
		}
		if p == v {
			return j.Id(local(p.Name))
		}
	}
	for _, p := range x.f.Saved {
		if p == v {
			return j.Id("s").Dot(local(p.Name))
		}
	}
	if x.keeps[v] {
		return j.Id("own").Dot(local(v.Name))
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
	if o.Value != nil || slab(o.Storage) {
		return b.arg(o).Dot("Weight").Call()
	}
	return b.arg(o)
}

// data is the whole slab of a storage, all layers.
func (b *body) data(s *ir.Storage) *j.Statement {
	name := field(s)
	if s.Stack != nil {
		name = stackField(s)
	}
	return j.Id("m").Dot(name).Dot("Data")
}

// declare points a result at its place.
func (b *body) declare(v *ir.Value) {
	if v.Place == nil {
		return
	}
	region := map[string]string{"frame": "frame", "keep": "rec", "hand": "hand"}[v.Place.Region]
	view := j.Id(region).Dot(viewKind(v.Type)).CallFunc(func(g *j.Group) {
		if k := v.Type.DType; k == ir.F16 || k == ir.BF16 {
			g.Add(dtype(k.String()))
		}
		g.Lit(v.Place.Offset)
		for _, d := range v.Type.Shape {
			g.Add(b.dim(d))
		}
	})
	if b.x.keeps[v] {
		b.g.Id("own").Dot(local(v.Name)).Op("=").Add(view)
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
	switch d.Sym {
	case "T":
		return j.Id("m").Dot("t")
	case "S":
		return j.Id("m").Dot("s")
	case "":
		return b.v.num(d.N)
	}
	return j.Len(j.Id("p").Dot("Starts"))
}

func (b *body) stmt(s *ir.Stmt) error {
	if s.Callee != nil {
		b.repeat(s)
		return nil
	}
	for _, r := range s.Results {
		b.declare(r)
	}
	emit := emitters[s.Op.Name]
	if emit == nil {
		return fmt.Errorf("op `%s` has no form in Go", s.Op.Name)
	}
	call := emit(&call{b, s})
	if len(s.Results) > 0 && s.Results[0].Type.Rank() == 0 {
		call = j.Id(local(s.Results[0].Name)).Op(":=").Add(call)
	}
	b.g.Add(call).Comment(comment(s))
	return nil
}

// repeat writes the loop over the layers.
func (b *body) repeat(s *ir.Stmt) {
	callee := b.v.funcs[s.Callee]
	rec := b.x.layout.Record(s.Callee)
	call := func(i, carried *j.Statement) *j.Statement {
		return j.Id("m").Dot(callee.name).CallFunc(func(g *j.Group) {
			g.Add(i)
			g.Add(b.recordAt(rec, i))
			g.Id("m").Dot("arena").Dot("At").Call(j.Lit(b.x.layout.Callee))
			if rec.HandStride > 0 {
				g.Add(b.handAt(rec, i))
			}
			if callee.record != "" {
				g.Op("&").Id("m").Dot(callee.record).Index(recordIndex(rec, i))
			}
			if callee.of != nil && len(s.Callee.Saved) > 0 {
				of := b.x.layout.Record(callee.of.f)
				g.Op("&").Id("m").Dot(callee.of.record).Index(recordIndex(of, i))
			}
			for k := range s.Callee.Params {
				if k == 0 && carried != nil {
					g.Add(carried)
				} else {
					g.Add(b.arg(s.Args[k]))
				}
			}
		})
	}
	var result *j.Statement
	if len(s.Callee.Results) > 0 {
		result = j.Id(local(s.Results[0].Name))
	}
	if s.Range.Len() == 1 {
		c := call(j.Lit(s.Range.Lo), nil)
		if result != nil {
			c = result.Op(":=").Add(c)
		}
		b.g.Add(c).Comment(comment(s))
		return
	}
	cond, post := j.Id("i").Op("<=").Lit(s.Range.Hi), j.Id("i").Op("++")
	if s.Range.Lo > s.Range.Hi {
		cond, post = j.Id("i").Op(">=").Lit(s.Range.Hi), j.Id("i").Op("--")
	}
	if result == nil {
		b.g.For(j.Id("i").Op(":=").Lit(s.Range.Lo), cond, post).Block(j.Add(call(j.Id("i"), nil)).Comment(comment(s)))
		return
	}
	b.g.Add(result.Clone()).Op(":=").Add(b.arg(s.Args[0]))
	b.g.For(j.Id("i").Op(":=").Lit(s.Range.Lo), cond, post).Block(
		result.Clone().Op("=").Add(call(j.Id("i"), result.Clone())).Comment(comment(s)))
}

// recordAt is the memory of layer i's record.
func (b *body) recordAt(r *ir.Record, i *j.Statement) *j.Statement {
	at := j.Id("m").Dot("arena").Dot("At")
	if r.Count <= 1 || r.Stride == 0 {
		return at.Call(j.Lit(r.Base))
	}
	return at.Call(j.Lit(r.Base).Op("+").Add(recordIndex(r, i)).Op("*").Lit(r.Stride))
}

// handAt is where layer i leaves what it hands on.
func (b *body) handAt(r *ir.Record, i *j.Statement) *j.Statement {
	at := j.Id("m").Dot("arena").Dot("At")
	if r.HandCount <= 1 {
		return at.Call(j.Lit(r.Hand))
	}
	return at.Call(j.Lit(r.Hand).Op("+").Add(i).Op("%").Lit(r.HandCount).Op("*").Lit(r.HandStride))
}

// recordIndex is the number of layer i's record: its own, or turn about.
func recordIndex(r *ir.Record, i *j.Statement) *j.Statement {
	switch {
	case r.Count <= 1:
		return j.Lit(0)
	case r.Lo < 0:
		return j.Add(i).Op("%").Lit(r.Count)
	case r.Lo > 0:
		return j.Parens(j.Add(i).Op("-").Lit(r.Lo))
	}
	return j.Add(i)
}
