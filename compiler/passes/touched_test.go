package passes

import (
	"testing"

	"lorac/ir"
)

func TestTouched(t *testing.T) {
	for _, s := range []spec{llama7B, {layers: 3, targets: "wq wv", dropout: 0.1}} {
		m := ir.MustParse(llama(s))
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		full := m.MaxEnv()
		if got, size := Touched(m, full, ir.Align, "step"), m.Layout(m.Func("step")).Size; got > size || float64(got) < 0.99*float64(size) {
			t.Errorf("a full pass touches %d of %d bytes", got, size)
		}
		half := ir.Env{"T": full["T"] / 2, "S": full["T"] / 4, "N": 1}
		few := Touched(m, half, ir.Align, "step")
		if few >= Touched(m, full, ir.Align, "step")*6/10 {
			t.Errorf("half a pass touches %d bytes", few)
		}
		if Touched(m, half, 1<<21, "step") < few || Touched(m, half, ir.Align, "step", "loss", "no such") < few {
			t.Error("more pages or functions touch less")
		}
	}
}
