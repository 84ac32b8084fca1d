package rt

import (
	"math"
	"testing"
)

// How parameters start: A of LoRA is uniform in ±bound (variance bound²/3), B
// zero, base weights normal. The numbers follow from seed and name.
func TestInit(t *testing.T) {
	const n = 1 << 16
	x := make([]float32, n)
	moments := func() (mean, variance, least, most float64) {
		least, most = math.Inf(1), math.Inf(-1)
		for _, v := range x {
			mean += float64(v) / n
			least, most = min(least, float64(v)), max(most, float64(v))
		}
		for _, v := range x {
			variance += (float64(v) - mean) * (float64(v) - mean) / n
		}
		return
	}
	const bound = 0.25 // 1/√16
	Init{Kind: "uniform", Bound: bound}.fill(x, "a", 1)
	mean, variance, least, most := moments()
	if math.Abs(mean) > 0.003 || math.Abs(variance-bound*bound/3) > 3e-4 || least < -bound || most > bound || least > -0.249 || most < 0.249 {
		t.Errorf("uniform: mean %v, variance %v in [%v, %v]", mean, variance, least, most)
	}
	first := x[0]
	Init{Kind: "uniform", Bound: bound}.fill(x, "a", 2)
	if x[0] == first {
		t.Error("another seed gives the same start")
	}
	Init{Kind: "uniform", Bound: bound}.fill(x, "b", 1)
	if x[0] == first {
		t.Error("another name gives the same start")
	}
	Init{Kind: "uniform", Bound: bound}.fill(x[:1], "a", 1)
	if x[0] != first {
		t.Error("the same seed and name give another start")
	}
	Init{Kind: "normal", Bound: 0.01}.fill(x, "w", 1)
	within := 0
	for _, v := range x {
		if math.Abs(float64(v)) < 0.01 {
			within++
		}
	}
	if mean, variance, _, _ := moments(); math.Abs(mean) > 2e-4 || math.Abs(variance-1e-4) > 2e-6 || math.Abs(float64(within)/n-0.6827) > 0.01 {
		t.Errorf("normal: mean %v, variance %v, %v within one deviation", mean, variance, float64(within)/n)
	}
	for kind, want := range map[string]float32{"zeros": 0, "ones": 1} {
		if (Init{Kind: kind}).fill(x, "x", 1); x[0] != want || x[n-1] != want {
			t.Errorf("%s begins with %v", kind, x[0])
		}
	}
}
