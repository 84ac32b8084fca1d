package rt

import "math"

// Init is how a new parameter starts.
type Init struct {
	Kind  string // zeros, ones, uniform (±Bound) or normal (deviation Bound)
	Bound float64
}

// fill writes the start of the named tensor. Element i is made from
// u = splitmix64(fnv1a64(name) + seed·0xD1342543DE82EF95 + i) >> 40, 24 bits:
// uniform is (u/2²⁴ − ½)·2·Bound, normal takes two (Box & Muller 1958).
func (in Init) fill(x []float32, name string, seed int) {
	base := uint64(0xCBF29CE484222325)
	for _, c := range []byte(name) {
		base = (base ^ uint64(c)) * 0x100000001B3
	}
	base += uint64(seed) * 0xD1342543DE82EF95
	u := func(i int) float64 { return float64(mix(base+uint64(i))>>40) / (1 << 24) }
	for i := range x {
		switch in.Kind {
		case "ones":
			x[i] = 1
		case "uniform":
			x[i] = float32((u(i) - 0.5) * 2 * in.Bound)
		case "normal":
			r := math.Sqrt(-2 * math.Log(1-u(2*i)))
			x[i] = float32(r * math.Cos(2*math.Pi*u(2*i+1)) * in.Bound)
		default:
			x[i] = 0
		}
	}
}
