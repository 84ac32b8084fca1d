package codegen

import (
	"fmt"
	"strings"

	"lorac/ir"
	rt "lorac/runtime"
)

// view is a module with every decision made that its program needs.
type view struct {
	m       *ir.Module
	job     *rt.Job
	groups  []*group // stacked storages, by what they are stacked over
	single  []*ir.Storage
	funcs   map[*ir.Func]*fn
	order   []*fn
	numbers *numbers
	arena   int  // bytes
	ascend  bool // else the CPU
	ranks   int  // processes that share each layer
	shards  int  // processes that have shares of the optimizer's states
	stages  int  // of layers, which processes have in turn
	tokens  bool // those that share each layer divide its tokens, too
}

// group is the storages of a range of layers: a struct, one per layer.
type group struct {
	typ, field string
	stack      ir.Range
	storages   []*ir.Storage
}

// fn is one function.
type fn struct {
	f      *ir.Func
	name   string
	group  *group // whose layer's weights it reads; nil for entries
	record string // type of the activations it saves; "" for none
	of     *fn    // the function whose saved activations it reads
	saves  map[*ir.Value]bool
	layout *ir.Layout // of an entry
}

func newView(m *ir.Module) (*view, error) {
	v := &view{m: m, funcs: map[*ir.Func]*fn{}, numbers: newNumbers(m), ascend: onAscend(m), ranks: m.Mesh.Axis(ir.Model), shards: m.Mesh.Axis(ir.Optimizer), stages: m.Mesh.Axis(ir.Stage)}
	if err := v.checkPlaced(); err != nil {
		return nil, err
	}
	if err := v.checkKernels(); err != nil {
		return nil, err
	}
	var err error
	if v.job, err = Job(m); err != nil {
		return nil, err
	}
	v.arena = m.Arena()
	for _, f := range m.Funcs {
		f.EachValue(func(x *ir.Value) {
			v.tokens = v.tokens || cutRows(x.Type)
		})
	}
	v.storages()
	for _, f := range m.Funcs {
		v.addFunc(f)
	}
	for _, x := range v.order {
		if x.f.Of != "" {
			x.of = v.funcs[m.Func(x.f.Of)]
		}
	}
	return v, v.checkForm()
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

// stackField names, in the model, the slab of a stacked storage: all layers in one piece.
func stackField(s *ir.Storage) string { return "all" + public(s.Name) }

func (v *view) addFunc(f *ir.Func) {
	x := &fn{f: f, name: local(f.Name), saves: map[*ir.Value]bool{}}
	if f.Entry {
		x.layout = v.m.Layout(f)
	} else {
		x.group = v.groupOf(f)
		for _, k := range f.Keep {
			x.saves[k] = true
		}
		if len(f.Keep) > 0 {
			x.record = x.name + "Saved"
		}
	}
	v.funcs[f] = x
	v.order = append(v.order, x)
}

// groupOf is the group whose storages a repeated function reads, or nil.
func (v *view) groupOf(f *ir.Func) *group {
	of := map[*ir.Storage]*group{}
	for _, g := range v.groups {
		for _, s := range g.storages {
			of[s] = g
		}
	}
	var found *group
	for _, s := range f.Body {
		for _, a := range s.Args {
			if g := of[a.Storage]; g != nil {
				found = g
			}
		}
	}
	return found
}

// recordCount is the most records of a function any entry needs.
func (v *view) recordCount(f *ir.Func) (n int, turns bool) {
	turns = true
	for _, e := range v.order {
		if e.layout == nil {
			continue
		}
		if r := e.layout.Record(f); r != nil {
			n = max(n, r.Count)
			turns = turns && r.Lo < 0
		}
	}
	return n, turns
}

// slab reports whether a storage is one slab over all layers: what trains, its
// gradient, state and copies, and adapters that are frozen.
func slab(s *ir.Storage) bool {
	return s.Kind == ir.Grad || s.Kind == ir.State || s.Kind == ir.Copy || s.Kind == ir.Param && (s.Trainable || adapter(s) || s.Module())
}

func adapter(s *ir.Storage) bool {
	return strings.Contains(s.Attrs.Str("name"), "_lora_")
}
