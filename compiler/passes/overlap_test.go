package passes

import (
	"testing"

	"lorac/ir"
)

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
					if _, err := Misplaced(m, f); err != nil {
						t.Errorf("%s: %v", f.Name, err)
					}
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
