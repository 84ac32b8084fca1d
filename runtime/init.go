package rt

import (
	"math"

	"lorac/runtime/rng"
)

// Init is how a new parameter starts.
type Init struct {
	Kind  string // zeros, ones, uniform (±Bound), normal (deviation Bound), norms: zeros, until startMagnitudes, or pissa, pissa_niter_N, olora: zeros, until startOfBase
	Bound float64
}

// fill writes the start of the named tensor. Its element i follows from seed,
// name and i (rng.Named): uniform is (u − ½)·2·Bound, normal takes two u
// (Box & Muller 1958).
func (in Init) fill(x []float32, name string, seed int) {
	s := rng.Named(name, seed)
	for i := range x {
		switch in.Kind {
		case "ones":
			x[i] = 1
		case "uniform":
			x[i] = float32((s.Unit(i) - 0.5) * 2 * in.Bound)
		case "normal":
			r := math.Sqrt(-2 * math.Log(1-s.Unit(2*i)))
			x[i] = float32(r * math.Cos(2*math.Pi*s.Unit(2*i+1)) * in.Bound)
		default:
			x[i] = 0
		}
	}
}
