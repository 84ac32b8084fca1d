package ir

import "math"

// Nearest is the number of type d nearest to x, ties to even, infinite beyond
// the largest (IEEE 754 section 4.3.1). Types of 32 bits change nothing.
func (d DType) Nearest(x float64) float64 {
	bits, least, most := 11, -14, 65504.0 // significant bits, smallest normal exponent
	switch d {
	case F16:
	case BF16:
		bits, least, most = 8, -126, math.Ldexp(255, 120)
	default:
		return x
	}
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	_, e := math.Frexp(x) // 2^(e-1) <= |x| < 2^e
	unit := math.Ldexp(1, max(e-1, least)-bits+1)
	y := math.RoundToEven(x/unit) * unit
	if math.Abs(y) > most {
		return math.Inf(int(math.Copysign(1, y)))
	}
	return y
}

// CopyScaled sets a to by·x.
func (a *Array) CopyScaled(x *Array, by float64) {
	for i, v := range x.F {
		a.F[i] = by * v
	}
}

// Round gives every element the nearest number of type d.
func (a *Array) Round(d DType) {
	if d != F16 && d != BF16 {
		return
	}
	for i, x := range a.F {
		a.F[i] = d.Nearest(x)
	}
}
