package ir

// Clone copies a module; nothing is shared but ops and attribute values.
func (m *Module) Clone() *Module {
	c := &Module{Name: m.Name, Source: m.Source, Dump: m.Dump}
	for _, s := range m.Settings {
		t := *s
		c.Settings = append(c.Settings, &t)
	}
	for _, s := range m.Sizes {
		t := *s
		t.Attrs = s.Attrs.Clone()
		c.Sizes = append(c.Sizes, &t)
	}
	for _, d := range m.Dims {
		t := *d
		c.Dims = append(c.Dims, &t)
	}
	if m.Mesh != nil {
		mesh := *m.Mesh
		c.Mesh = &mesh
	}
	storages := map[*Storage]*Storage{}
	for _, s := range m.Storages {
		t := *s
		t.Attrs = s.Attrs.Clone()
		if s.Stack != nil {
			r := *s.Stack
			t.Stack = &r
		}
		storages[s] = &t
		c.Storages = append(c.Storages, &t)
	}
	funcs := map[*Func]*Func{}
	for _, f := range m.Funcs {
		g, _ := f.clone(f.Name, storages, funcs)
		funcs[f] = g
		c.Funcs = append(c.Funcs, g)
	}
	return c
}

// Clone copies a function under a new name, for specialising it; storages and
// callees are shared. The map leads from the old values to the new.
func (f *Func) Clone(name string) (*Func, map[*Value]*Value) { return f.clone(name, nil, nil) }

func (f *Func) clone(name string, storages map[*Storage]*Storage, funcs map[*Func]*Func) (*Func, map[*Value]*Value) {
	g := &Func{Name: name, Doc: f.Doc, Entry: f.Entry, Of: f.Of, Line: f.Line}
	values := map[*Value]*Value{}
	value := func(v *Value) *Value {
		w := &Value{Name: v.Name, Type: v.Type}
		if v.Place != nil {
			place := *v.Place
			w.Place = &place
		}
		values[v] = w
		return w
	}
	list := func(vs []*Value) (out []*Value) {
		for _, v := range vs {
			out = append(out, values[v])
		}
		return out
	}
	if f.Index != nil {
		g.Index = value(f.Index)
	}
	for _, p := range f.Params {
		g.Params = append(g.Params, value(p))
	}
	for _, p := range f.Saved {
		g.Saved = append(g.Saved, value(p))
	}
	for _, s := range f.Body {
		t := &Stmt{Op: s.Op, Attrs: s.Attrs.Clone(), Callee: s.Callee, Range: s.Range, Pos: s.Pos, Line: s.Line}
		if funcs != nil && s.Callee != nil {
			t.Callee = funcs[s.Callee]
		}
		for _, a := range s.Args {
			if a.Value != nil {
				a.Value = values[a.Value]
			} else if storages != nil {
				a.Storage = storages[a.Storage]
			}
			t.Args = append(t.Args, a)
		}
		for _, r := range s.Results {
			w := value(r)
			w.Def = t
			t.Results = append(t.Results, w)
		}
		g.Body = append(g.Body, t)
	}
	g.Results, g.Keep = list(f.Results), list(f.Keep)
	return g, values
}
