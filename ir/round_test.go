package ir

import (
	"math"
	"math/rand/v2"
	"testing"
)

// nearestBF16 is the type by the bits of an f32, which it is the upper half of.
func nearestBF16(x float32) float64 {
	b := math.Float32bits(x)
	b += 0x7FFF + b>>16&1
	return float64(math.Float32frombits(b &^ 0xFFFF))
}

func TestNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		x := math.Float32frombits(rng.Uint32())
		if x != x {
			continue
		}
		if got, want := BF16.Nearest(float64(x)), nearestBF16(x); got != want {
			t.Fatalf("bf16 of %g is %g, want %g", x, got, want)
		}
	}
	inf := math.Inf(1)
	for _, c := range []struct {
		d       DType
		x, want float64
	}{
		{F16, 65504, 65504}, {F16, 65519.99, 65504}, {F16, 65520, inf}, {F16, -1e9, -inf}, {F16, inf, inf},
		{F16, 1 + 1.0/2048, 1}, {F16, 1 + 3.0/2048, 1 + 2.0/1024}, // ties to even
		{F16, math.Ldexp(1, -25), 0}, {F16, math.Ldexp(3, -25), math.Ldexp(1, -23)}, {F16, math.Ldexp(1.1, -25), math.Ldexp(1, -24)}, // denormals
		{BF16, math.Ldexp(255, 120), math.Ldexp(255, 120)}, {BF16, math.Ldexp(255.5, 120), inf},
		{F32, 1 + 1e-12, 1 + 1e-12}, {I32, 3, 3},
	} {
		if got := c.d.Nearest(c.x); got != c.want {
			t.Errorf("%s of %g is %g, want %g", c.d, c.x, got, c.want)
		}
	}
	if !math.IsNaN(BF16.Nearest(math.NaN())) || math.Signbit(F16.Nearest(math.Copysign(0, -1))) == false {
		t.Error("NaN or the sign of zero is lost")
	}
}
