package passes

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/ir"
)

// TestSplitAt: layers that are split anywhere give the same bits, in the arena
// too, where the upper layers hand on in the places of the lower ones.
func TestSplitAt(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		m := ir.MustParse(llama(s))
		if _, err := Run(m, &Options{Last: "choose-keep"}, nil); err != nil {
			t.Fatal(err)
		}
		want := numbers(m)
		whole := m.Clone()
		planMemory(whole, nil)
		for n := range s.layers {
			split := m.Clone()
			splitAt(split, n)
			if err := split.Verify(); err != nil {
				t.Fatalf("at %d: %v\n%s", n, err, split)
			}
			if again, err := ir.Parse("again", split.String()); err != nil || again.String() != split.String() {
				t.Fatalf("at %d: the text does not parse back: %v", n, err)
			}
			planMemory(split, nil)
			if got, want := split.Arena(), whole.Arena(); got != want {
				t.Errorf("at %d: an arena of %d bytes, %d unsplit", n, got, want)
			}
			same(t, fmt.Sprint("split at ", n), want, numbers(split))
			simulate(t, fmt.Sprint("split at ", n), split, want)
		}
	})
}

// limits runs the passes under one limit after another.
func limits(t *testing.T, base *ir.Module, keep string) func(limit int) *ir.Module {
	if _, err := Run(base, &Options{Last: "dce"}, nil); err != nil {
		t.Fatal(err)
	}
	return func(limit int) *ir.Module {
		t.Helper()
		m := base.Clone()
		m.Settings = append(m.Settings, &ir.Setting{Key: "memory.limit", Val: limit}, &ir.Setting{Key: "memory.keep", Val: keep})
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatalf("limit %d: %v", limit, err)
		}
		return m
	}
}

// TestKeepLayers sweeps the limit from the least to all that is wanted. A
// higher limit never costs more, one above the least by more than a layer's
// share costs less, and the layers are split on the way.
func TestKeepLayers(t *testing.T) {
	for _, c := range []struct {
		keep string
		s    spec
	}{
		{"", spec{layers: 6, targets: "wq wk wv wo", dropout: 0.25}},
		{"f16", spec{layers: 6, targets: "wq wk wv wo", dropout: 0.25}},
		{"f16", spec{layers: 5, full: true}},
		{"f16", spec{layers: 7, targets: "wq w1", from: 2}},
	} {
		if !c.s.full && !testkit.Wanted("passes") { // the others take up to a minute
			continue
		}
		run := limits(t, ir.MustParse(llama(c.s)), c.keep)
		roomy, floor := run(math.MaxInt), run(0)
		least, most, first := total(floor), total(roomy), numbers(roomy)
		layer := (most - least) / (c.s.layers - c.s.from)
		const steps = 12
		split, before := 0, math.Inf(1)
		for i := range steps + 1 {
			limit := least + (most-least)*i/steps
			m := run(limit)
			choice, _ := m.Setting("memory.choice").(string)
			got, flops := total(m), stepFLOPs(m)
			if got > limit {
				t.Errorf("limit %d: %d bytes, %s", limit, got, choice)
			}
			if flops > before {
				t.Errorf("limit %d: a higher limit costs more: %v, %v before", limit, flops, before)
			}
			if saved := stepFLOPs(floor) - flops; saved < 0 || saved == 0 && limit > least+layer {
				t.Errorf("limit %d, %d above the least: %v operations saved", limit, limit-least, saved)
			}
			before = flops
			if strings.Contains(choice, " in layer") {
				if split++; split%3 == 1 {
					same(t, choice, first, numbers(m))
					simulate(t, choice, m, first)
				}
			}
		}
		if before != stepFLOPs(roomy) {
			t.Errorf("%d bytes and still something is recomputed", most)
		}
		if split < steps/2 {
			t.Errorf("%+v: layers are split at %d of %d limits", c, split, steps+1)
		}
	}
}

// TestKeepLayers7B: at the least there is full checkpointing; every step above
// it saves something, and no memory is left that another layer could use.
func TestKeepLayers7B(t *testing.T) {
	testkit.Slow(t, "passes")
	m := ir.MustParse(llama(llama7B))
	for _, p := range m.Storages {
		if p.Kind == ir.Param && !p.Trainable {
			p.Type.DType = ir.F16
		}
	}
	run := limits(t, m, "bf16")
	least, before := total(run(0)), math.Inf(1)
	for limit := least; limit < 26<<30; limit += 768 << 20 {
		m := run(limit)
		choice, _ := m.Setting("memory.choice").(string)
		got, flops := total(m), stepFLOPs(m)
		t.Logf("%.2f of %.2f GiB: %s", float64(got)/(1<<30), float64(limit)/(1<<30), choice)
		if got > limit || flops >= before && strings.Contains(choice, "recomputed: ") {
			t.Errorf("limit %d: %d bytes, %v operations, %v before: %s", limit, got, flops, before, choice)
		}
		if limit-got > 128<<20 && strings.Contains(choice, "recomputed: ") {
			t.Errorf("limit %d: %d bytes stay free: %s", limit, limit-got, choice)
		}
		before = flops
	}
}
