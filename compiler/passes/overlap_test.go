package passes

import (
	"slices"
	"testing"

	"lorac/ir"
)

// overlaps checks the frame of one function with nothing but the definition:
// two values that are both needed at some moment must not share a byte.
// Moment 2i is before statement i, 2i+1 while it runs.
func overlaps(t *testing.T, m *ir.Module, f *ir.Func) {
	t.Helper()
	env := m.MaxEnv()
	type life struct{ from, to int }
	lives := map[*ir.Value]life{}
	var order []*ir.Value
	for i, s := range f.Body {
		for _, r := range s.Results {
			if r.Place != nil {
				lives[r] = life{2*i + 1, 2*i + 1}
				order = append(order, r)
			}
		}
		for k, a := range s.Args {
			l, ok := lives[a.Value]
			if !ok {
				continue
			}
			l.to = max(l.to, 2*i+1)
			if s.Callee != nil && k == 0 && slices.Contains(s.Callee.Keep, s.Callee.Params[0]) && f.Uses()[s.Results[len(s.Results)-1]] > 0 {
				l.to = 2*len(f.Body) + 1 // the first layer keeps it as it is
			}
			lives[a.Value] = l
		}
	}
	for _, r := range append(append([]*ir.Value(nil), f.Results...), f.Keep...) {
		if l, ok := lives[r]; ok {
			l.to = 2*len(f.Body) + 1
			lives[r] = l
		}
	}
	for i, a := range order {
		if a.Place.Offset%m.Align() != 0 {
			t.Errorf("%s: %s is not aligned", f.Name, a)
		}
		for _, b := range order[:i] {
			la, lb := lives[a], lives[b]
			apart := la.to < lb.from || lb.to < la.from || a.Place.Region != b.Place.Region
			disjoint := a.Place.Offset+a.Type.Bytes(env) <= b.Place.Offset || b.Place.Offset+b.Type.Bytes(env) <= a.Place.Offset
			if a.Place.Region != "frame" && a.Place.Region == b.Place.Region {
				apart = false // the whole record is needed later
			}
			if apart || disjoint || inPlacePair(b, a, lb.to, la.from) {
				continue
			}
			t.Errorf("%s: %s at %+v and %s at %+v are needed at once", f.Name, a, *a.Place, b, *b.Place)
		}
	}
}

// inPlacePair reports whether the op that makes result may write it over
// operand, which dies there.
func inPlacePair(operand, result *ir.Value, dies, made int) bool {
	s := result.Def
	if dies != made || operand.Place.Offset != result.Place.Offset || operand.Place.Region != "frame" {
		return false
	}
	for _, p := range s.Op.InPlace {
		if p[0] < len(s.Results) && s.Results[p[0]] == result && p[1] < len(s.Args) && s.Args[p[1]].Value == operand {
			return true
		}
	}
	return false
}

func TestNoOverlap(t *testing.T) {
	texts := map[string]string{"7B": llama(llama7B), "70B": llama(llama70B)}
	for name, s := range specs {
		texts[name] = llama(s)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			for _, o := range []*Options{nil, {Disable: map[string]bool{"fuse-lora": true, "fuse-elementwise": true, "choose-keep": true}}} {
				m := ir.MustParse(text)
				if _, err := Run(m, o, nil); err != nil {
					t.Fatal(err)
				}
				for _, f := range m.Funcs {
					overlaps(t, m, f)
				}
			}
		})
	}
}

// TestPlanInArena runs every entry function of the finished modules in memory
// laid out as planned.
func TestPlanInArena(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		m := ir.MustParse(llama(s))
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		simulate(t, "plan", m, numbers(m))
	})
}
