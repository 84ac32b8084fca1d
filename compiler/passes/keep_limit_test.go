package passes

import (
	"math"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/compiler/cost"
	"lorac/ir"
)

// limited runs the passes under a memory limit.
func limited(t *testing.T, s spec, keep string, limit int) *ir.Module {
	t.Helper()
	m := ir.MustParse(llama(s))
	m.Settings = append(m.Settings, &ir.Setting{Key: "memory.limit", Val: limit})
	if keep != "" {
		m.Settings = append(m.Settings, &ir.Setting{Key: "memory.keep", Val: keep})
	}
	if _, err := Run(m, nil, nil); err != nil {
		t.Fatalf("limit %d: %v", limit, err)
	}
	if again, err := ir.Parse("again", m.String()); err != nil || again.String() != m.String() {
		t.Fatalf("limit %d: the text does not parse back: %v", limit, err)
	}
	return m
}

// TestKeepWithin walks down the limits from all that is wanted to the least:
// each is met as long as any choice meets it, more memory never costs more
// FLOPs, and the numbers have the same bits whatever is made again.
func TestKeepWithin(t *testing.T) {
	quick := map[string]string{"four heads": "", "full": "f16"} // the others take minutes
	eachSpec(t, func(t *testing.T, s spec) {
		if s.targets == "" && !s.full {
			return
		}
		_, name, _ := strings.Cut(t.Name(), "/")
		free := ir.MustParse(llama(s))
		if _, err := Run(free, nil, nil); err != nil {
			t.Fatal(err)
		}
		want := numbers(free)
		for _, keep := range []string{"", "f16"} {
			t.Run("kept "+keep, func(t *testing.T) {
				if only, ok := quick[strings.ReplaceAll(name, "_", " ")]; !ok || only != keep {
					testkit.Slow(t, "passes")
				}
				roomy := limited(t, s, keep, math.MaxInt)
				first := numbers(roomy)
				if keep == "" {
					compare(t, "f32", want, first)
				} else if d := distance(want["step"], first["step"]); d > 0.05 {
					t.Errorf("%s: the loss is %v, %v without rounding", keep, first["step"], want["step"])
				}
				least, flops, choices := total(limited(t, s, keep, 0)), 0.0, map[string]bool{}
				most := total(roomy)
				for i := range 5 {
					limit := most - (most-least)*i/4
					m := limited(t, s, keep, limit)
					got, now := total(m), stepFLOPs(m)
					choice, _ := m.Setting("memory.choice").(string)
					if got > limit && got > least {
						t.Fatalf("%s: limit %d: %d bytes, the least is %d", keep, limit, got, least)
					}
					if now < flops {
						t.Fatalf("%s: limit %d: a lower limit costs less: %v, %v before", keep, limit, now, flops)
					}
					flops = now
					if !choices[choice] {
						choices[choice] = true
						same(t, keep+": "+choice, first, numbers(m))
						simulate(t, choice, m, first)
						for _, f := range m.Funcs {
							if _, err := Misplaced(m, f); err != nil {
								t.Errorf("%s: %v", f.Name, err)
							}
						}
					}
				}
				if most > least && len(choices) < 2 {
					t.Errorf("%s: only %d choices between %d and %d bytes", keep, len(choices), least, most)
				}
			})
		}
	})
}

// same checks for equal bits.
func same(t *testing.T, what string, want, got map[string][]float64) {
	t.Helper()
	for name, w := range want {
		for i := range w {
			if math.Float64bits(w[i]) != math.Float64bits(got[name][i]) {
				t.Fatalf("%s: %s[%d] is %v, without it %v", what, name, i, got[name][i], w[i])
			}
		}
	}
}

// TestKeepWithin7B: the limits of the job the tool is made for, with weights of
// two bytes (13.5 GB): at 4096 tokens everything kept does not fit 24 GiB.
func TestKeepWithin7B(t *testing.T) {
	testkit.Slow(t, "passes")
	for _, c := range []struct {
		limit int
		again bool
	}{{64 << 30, false}, {28 << 30, false}, {22 << 30, true}, {18 << 30, true}} {
		s := llama7B
		m := ir.MustParse(llama(s))
		for _, p := range m.Storages {
			if p.Kind == ir.Param && !p.Trainable {
				p.Type.DType = ir.F16
			}
		}
		m.Settings = append(m.Settings, &ir.Setting{Key: "memory.limit", Val: c.limit}, &ir.Setting{Key: "memory.keep", Val: "f16"})
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		choice, _ := m.Setting("memory.choice").(string)
		total := total(m)
		t.Logf("%d GiB: %.2f GiB; %s", c.limit>>30, float64(total)/(1<<30), choice)
		if total > c.limit || strings.Contains(choice, "recomputed: ") != c.again {
			t.Errorf("limit %d: %d bytes, %s", c.limit, total, choice)
		}
	}
}

// total is the memory a limit is compared with.
func total(m *ir.Module) int {
	return cost.StorageBytes(m) + cost.Touched(m, m.MaxEnv(), nil, cost.Training...)
}
