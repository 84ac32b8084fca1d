package rt

import (
	"math"
	"slices"
	"testing"

	"lorac/kernels"
)

// TestMagnitudes: they start as the norms of the rows of W + scale·B·A, and without the
// adapter are those of W, so that the base alone answers.
func TestMagnitudes(t *testing.T) {
	const linear = "model.layers.0.attention.wq"
	k := kernels.New(1)
	defer k.Close()
	j := &Job{}
	j.LoRA.Rank, j.LoRA.Alpha, j.LoRA.DoRA = 1, 2, true
	said := 0
	l := newLoader(j, k, nil, func(string, ...any) { said++ })
	stack := func(name string, rows, cols int, vector bool, data ...float32) *Stack {
		return &Stack{Names: []string{linear + name}, Rows: rows, Cols: cols, Vector: vector, Data: data}
	}
	b := stack(".mindpet_delta_lora_b", 2, 1, false, 1, 0)
	m := stack(".mindpet_delta_lora_magnitude", 2, 1, true, 0, 0)
	l.params = []*Stack{stack(".mindpet_delta_lora_a", 1, 3, false, 1, 1, 0), b, m}
	l.base = []stored{{linear + ".weight", []int{2, 3}, kernels.MatOf([]float32{1, 2, 2, 0, 3, 4}, 2, 3).Weight()}}
	if err := l.startMagnitudes(); err != nil || said != 1 {
		t.Fatal(err, said)
	}
	if want := []float32{float32(math.Sqrt(9 + 16 + 4)), 5}; !slices.Equal(m.Data, want) {
		t.Errorf("the magnitudes are %v, the norms %v", m.Data, want)
	}
	m.Data[1] = 7 // trained
	with := slices.Clone(m.Data)
	of := l.adapterSwitch()
	if !slices.Equal(m.Data, with) || b.Data[0] != 1 {
		t.Errorf("the adapter is %v, %v before it is switched", b.Data, m.Data)
	}
	of(0)
	if !slices.Equal(m.Data, []float32{3, 5}) || b.Data[0] != 0 {
		t.Errorf("without the adapter: %v, %v", b.Data, m.Data)
	}
	of(1)
	if !slices.Equal(m.Data, with) || b.Data[0] != 1 {
		t.Errorf("with it again: %v, %v", b.Data, m.Data)
	}
	l.begun, m.Data[0] = true, 1
	if err := l.startMagnitudes(); err != nil || m.Data[0] != 1 {
		t.Errorf("magnitudes that were loaded start again: %v, %v", m.Data, err)
	}
}
