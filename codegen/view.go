package codegen

import (
	"fmt"
	"strings"

	"lorac/ir"
	rt "lorac/runtime"
)

// view is a module with every decision made that its program needs.
type view struct {
	m      *ir.Module
	job    *rt.Job
	sizes  []size         // named constants
	byN    map[int]string // number → constant
	groups []*group       // stacked storages, by what they are stacked over
	single []*ir.Storage
	funcs  map[*ir.Func]*fn
	order  []*fn
	arena  int
}

// size is a constant with the line of its YAML key.
type size struct {
	name string
	n    int
	line int
}

// group is the storages of a range of layers: a struct, one per layer.
type group struct {
	typ, field string
	stack      ir.Range
	storages   []*ir.Storage
}

// fn is one function.
type fn struct {
	f        *ir.Func
	name     string
	group    *group // whose layer's weights it reads; nil for entries
	record   string // type of what it keeps; "" for none
	of       *fn    // the function whose record it loads
	keeps    map[*ir.Value]bool
	layout   *ir.Layout
	usesT    bool
	usesS    bool
	repeated bool
}

func newView(m *ir.Module) (*view, error) {
	v := &view{m: m, byN: map[int]string{}, funcs: map[*ir.Func]*fn{}}
	if err := v.checkPlaced(); err != nil {
		return nil, err
	}
	var err error
	if v.job, err = Job(m); err != nil {
		return nil, err
	}
	v.arena = m.Arena()
	v.constants()
	v.storages()
	for _, f := range m.Funcs {
		v.addFunc(f)
	}
	for _, x := range v.order {
		if x.f.Of != "" {
			x.of = v.funcs[m.Func(x.f.Of)]
		}
	}
	return v, nil
}

// constants names the numbers the settings give names to. A number under ten
// says as much as its name, and a name that values have too would hide it.
func (v *view) constants() {
	values := map[string]bool{}
	for _, f := range v.m.Funcs {
		f.EachValue(func(x *ir.Value) { values[local(x.Name)] = true })
	}
	for _, s := range v.m.Settings {
		name, ok := strings.CutPrefix(s.Key, "size.")
		n, isInt := s.Val.(int)
		if !ok || !isInt {
			continue
		}
		name = local(name)
		if values[name] {
			name += "Size"
		}
		v.sizes = append(v.sizes, size{name, n, s.Pos.Line})
		if _, taken := v.byN[n]; !taken && n > 9 {
			v.byN[n] = name
		}
	}
}

// checkPlaced refuses modules the memory planner has not seen.
func (v *view) checkPlaced() error {
	for _, f := range v.m.Funcs {
		for _, s := range f.Body {
			for _, r := range s.Results {
				if s.Callee == nil && r.Type.Rank() > 0 && r.Place == nil {
					return fmt.Errorf("%s in `%s` has no place in memory: the dump was taken before plan-memory; resume the passes with lorac compile --from, or inspect --from it first", r, f.Name)
				}
			}
		}
	}
	return nil
}

func (v *view) storages() {
	byKey := map[string]*group{}
	for _, s := range v.m.Storages {
		if s.Stack == nil {
			v.single = append(v.single, s)
			continue
		}
		prefix := stackPrefix(s.Name)
		key := prefix + s.Stack.String()
		g := byKey[key]
		if g == nil {
			g = &group{typ: local(prefix), field: local(prefix) + "s", stack: *s.Stack}
			byKey[key] = g
			v.groups = append(v.groups, g)
		}
		g.storages = append(g.storages, s)
	}
}

// stackPrefix is what the storages of one layer share: layer of layer.wq.a,
// layer.0_3 of layer.0_3.wq.a.
func stackPrefix(name string) string {
	parts := strings.Split(name, ".")
	n := 1
	if len(parts) > 2 && parts[1] != "" && parts[1][0] >= '0' && parts[1][0] <= '9' {
		n = 2
	}
	return strings.Join(parts[:n], ".")
}

// field is the name of a storage within its group, or in the model.
func field(s *ir.Storage) string {
	if s.Stack == nil {
		return local(s.Name)
	}
	return local(strings.TrimPrefix(s.Name, stackPrefix(s.Name)+"."))
}

func (v *view) addFunc(f *ir.Func) {
	x := &fn{f: f, name: local(f.Name), keeps: map[*ir.Value]bool{}}
	for _, s := range f.Body {
		for _, a := range s.Args {
			if st := a.Storage; st != nil && st.Stack != nil && !f.Entry {
				for _, g := range v.groups {
					for _, t := range g.storages {
						if t == st {
							x.group = g
						}
					}
				}
			}
		}
	}
	if f.Entry {
		x.layout = v.m.Layout(f)
	} else {
		x.repeated = true
		for _, k := range f.Keep {
			x.keeps[k] = true
		}
		if len(f.Keep) > 0 {
			x.record = x.name + "Kept"
		}
	}
	f.EachValue(func(val *ir.Value) {
		if val.Def == nil || val.Def.Callee != nil {
			return
		}
		for _, d := range val.Type.Shape {
			x.usesT = x.usesT || d.Sym == "T"
			x.usesS = x.usesS || d.Sym == "S"
		}
	})
	v.funcs[f] = x
	v.order = append(v.order, x)
}

// slab reports whether a storage lies in one f32 slab: what trains, its
// gradient and state, and adapters that are frozen.
func slab(s *ir.Storage) bool {
	return s.Kind == ir.Grad || s.Kind == ir.State || s.Kind == ir.Param && (s.Trainable || adapter(s))
}

func adapter(s *ir.Storage) bool {
	return strings.Contains(s.Attrs.Str("name"), "_lora_")
}
