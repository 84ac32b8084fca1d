// Package rng is random numbers by counting: number i of a stream is a hash of
// its seed and i, so nothing needs to be stored to draw it again.
package rng

// Mix is the finalizer of splitmix64 (Steele et al. 2014), a good hash of 64 bits.
// kernels and ir/op import nothing of the runtime: the row hashes of their dropout
// are twins of each other with the same constants, see kernels/dropout.go.
func Mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Stream is the numbers that belong to a name under a seed.
type Stream uint64

// Named is the stream fnv1a64(name) + seed·0xD1342543DE82EF95.
func Named(name string, seed int) Stream {
	h := uint64(0xCBF29CE484222325)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 0x100000001B3
	}
	return Stream(h + uint64(seed)*0xD1342543DE82EF95)
}

// Unit is number i of the stream, uniform in [0, 1) with 24 bits.
func (s Stream) Unit(i int) float64 { return float64(Mix(uint64(s)+uint64(i))>>40) / (1 << 24) }
