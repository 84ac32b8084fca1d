package passes

import (
	"testing"

	"lorac/compiler/cost"
	"lorac/ir"
)

func TestTouched(t *testing.T) {
	for _, s := range []spec{llama7B, {layers: 3, targets: "wq wv", dropout: 0.1}} {
		m := ir.MustParse(llama(s))
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		full := m.MaxEnv()
		if got, size := cost.Touched(m, full, nil, "step"), m.Layout(m.Func("step")).Size; got > size || float64(got) < 0.99*float64(size) {
			t.Errorf("a full pass touches %d of %d bytes", got, size)
		}
		half := ir.Env{"T": full["T"] / 2, "S": full["T"] / 4, "N": 1}
		few := cost.Touched(m, half, nil, "step")
		if few >= cost.Touched(m, full, nil, "step")*6/10 {
			t.Errorf("half a pass touches %d bytes", few)
		}
		if cost.Touched(m, half, &cost.Device{Page: 1 << 21}, "step") < few || cost.Touched(m, half, nil, "step", "loss", "no such") < few {
			t.Error("more pages or functions touch less")
		}
	}
}
