package codegen

import (
	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// place is one offset a function uses.
type place struct {
	name, note string
	offset     int
}

// placesVar is the variable that holds the places of a function.
func placesVar(x *fn) string { return x.name + "At" }

// fieldsOf lists the places of a function: its values, and in an entry where its
// own frame, the frame of the functions it calls and their records begin.
func (v *view) fieldsOf(x *fn) (out []place) {
	add := func(name string, offset int, note string) { out = append(out, place{name, note, offset}) }
	if l := x.layout; l != nil {
		if holds(x.f, "frame") {
			add("frame", l.Frame, "of this function")
		}
		if len(l.Records) > 0 {
			add("callee", l.Callee, "frame of the functions it calls")
		}
		for _, r := range l.Records {
			name := v.funcs[r.Func].name
			if holds(r.Func, "keep") {
				add(name+"Record", r.Base, "")
			}
			if r.Count > 1 && r.Stride > 0 {
				add(name+"RecordSize", r.Stride, "of one layer")
			}
			if r.CarryStride > 0 {
				add(name+"Carry", r.Carry, "")
				if r.CarryCount > 1 {
					add(name+"CarrySize", r.CarryStride, "of one layer")
				}
			}
		}
	}
	region := map[string]string{"frame": "frame", "keep": "record", "hand": "carry"}
	x.f.EachValue(func(val *ir.Value) {
		if val.Place != nil {
			add(local(val.Name), val.Place.Offset, region[val.Place.Region]+", "+val.Type.DType.String()+" "+v.shape(val.Type))
		}
	})
	return out
}

// emitMemory writes where every value lies.
func (v *view) emitMemory() *j.File {
	f := v.newFile()
	remark(f, 0, "Where values lie: offsets in bytes, planned for the largest micro-batch. Those of a frame or a record count from its beginning,"+
		" frames and records from that of the arena. Values that share bytes are never needed at the same time.")
	f.Line()
	f.Const().Id("arenaBytes").Op("=").Lit(v.arena)
	for _, x := range v.order {
		places := v.fieldsOf(x)
		if len(places) == 0 {
			continue
		}
		f.Comment(placesVar(x) + " is where the values of " + x.name + " lie.")
		f.Var().Id(placesVar(x)).Op("=").StructFunc(func(g *j.Group) {
			var names []j.Code
			length := 0
			flush := func() {
				if len(names) > 0 {
					g.List(names...).Int()
				}
				names, length = nil, 0
			}
			for _, p := range places {
				if length += len(p.name) + 2; length > width-12 {
					flush()
					length = len(p.name) + 2
				}
				names = append(names, j.Id(p.name))
			}
			flush()
		}).Values(placeValues(places)...)
	}
	return f
}

func placeValues(places []place) []j.Code {
	l := &fieldList{}
	for _, p := range places {
		l.add(p.name, j.Lit(p.offset), 0)
		if p.note != "" {
			l.note = "// " + p.note
		}
	}
	return l.done()
}
