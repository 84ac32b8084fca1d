package passes

import (
	"math"
	"strings"
	"testing"

	"lorac/ir"
)

// relative is the distance of two tensors in units of the largest of one.
func relative(want, got []float64) float64 {
	if len(want) != len(got) {
		return math.Inf(1)
	}
	most, worst := 0.0, 0.0
	for i, w := range want {
		most = max(most, math.Abs(w))
		worst = max(worst, math.Abs(w-got[i]))
		if math.IsNaN(got[i]) {
			return math.NaN()
		}
	}
	return worst / most
}

// TestDeviceNumbers trains every small llama in 16 bits: loss, logits, gradients
// and what the optimizer makes of the parameters are those of the f32 module, as
// far as numbers of 8 or 11 bits go, and no two of them agree by chance.
func TestDeviceNumbers(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		host := ir.MustParse(llama(s))
		if _, err := Run(host, nil, nil); err != nil {
			t.Fatal(err)
		}
		want := numbers(host)
		for low, bound := range map[ir.DType]float64{ir.BF16: 0.2, ir.F16: 0.025} {
			m := ir.MustParse(llama(s))
			if _, err := Run(m, &Options{Facts: Facts{Ascend: &Ascend{Low: low}}}, nil); err != nil {
				t.Fatal(err)
			}
			got := numbers(m)
			simulate(t, low.String(), m, got)
			for _, f := range m.Funcs {
				if _, err := Misplaced(m, f); err != nil {
					t.Errorf("%s: %v", f.Name, err)
				}
			}
			differ := 0
			for name, w := range want {
				g, ok := got[name]
				if !ok {
					t.Errorf("%s: no %s", low, name)
					continue
				}
				d := relative(w, g)
				if !(d <= bound) {
					t.Errorf("%s: %s differs by %.3g", low, name, d)
				}
				if d > 0 {
					differ++
				}
			}
			if differ < 2 {
				t.Errorf("%s: only %d of %d numbers were rounded", low, differ, len(want))
			}
		}
	})
}

// TestDeviceBytes: what grows with the token rows takes half the bytes, what
// trains the same.
func TestDeviceBytes(t *testing.T) {
	s := spec{layers: 3, targets: "wq wo w2", dropout: 0.25, heads: 2, kvHeads: 1, dim: 64, hd: 32, ffn: 96, vocab: 31, rank: 4, rows: 64}
	host, m := ir.MustParse(llama(s)), ir.MustParse(llama(s))
	if _, err := Run(host, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(m, &Options{Facts: Facts{Ascend: &Ascend{}}}, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := host.Arena(), m.Arena(); b >= a*3/4 {
		t.Errorf("the arena takes %d bytes, in f32 %d", b, a)
	}
	for _, s := range m.Storages {
		h := host.Storage(s.Name)
		switch {
		case s.Kind == ir.Copy:
			if of := m.Storage(s.Attrs.Str("of")); !strings.HasPrefix(s.Name, of.Name+".") || s.Type.Bytes(nil)*2 != of.Type.Bytes(nil) {
				t.Errorf("%s is %s, of %s", s.Name, s.Type, of.Type)
			}
		case s.Trainable || s.Kind != ir.Param || s.Type.Rank() == 1:
			if s.Type.DType != ir.F32 {
				t.Errorf("%s is %s", s.Name, s.Type)
			}
		case s.Type.Bytes(nil)*2 != h.Type.Bytes(nil):
			t.Errorf("%s is %s", s.Name, s.Type)
		}
	}
}

// TestDeviceAgain: a dump of the pass is left alone when it is resumed.
func TestDeviceAgain(t *testing.T) {
	m := ir.MustParse(llama(specs["dropout"]))
	o := &Options{Last: "device-types", Facts: Facts{Ascend: &Ascend{}}}
	if _, err := Run(m, o, nil); err != nil {
		t.Fatal(err)
	}
	text := m.String()
	again := ir.MustParse(text)
	if _, err := Run(again, o, nil); err != nil || again.String() != text {
		t.Errorf("resumed, the module changes: %v", err)
	}
	if _, err := Run(again, &Options{Facts: o.Facts}, nil); err != nil || again.Arena() == 0 {
		t.Errorf("resumed, it is not placed: %v", err)
	}
}
