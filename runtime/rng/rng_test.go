package rng

import "testing"

// Published outputs of splitmix64 with seed 1234567: state is the seed plus a
// multiple of the increment that Mix adds itself.
func TestMix(t *testing.T) {
	state := uint64(1234567)
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		if got := Mix(state); got != want {
			t.Errorf("output %d is %d, want %d", i, got, want)
		}
		state += 0x9E3779B97F4A7C15
	}
}

// A stream belongs to its name and seed, is uniform in [0, 1), and its first
// state is FNV-1a of the name where the seed is 0.
func TestStream(t *testing.T) {
	if got := uint64(Named("foobar", 0)); got != 0x85944171F73967E8 { // published vector of FNV-1a
		t.Errorf("%#x", got)
	}
	a, b, c := Named("a", 1), Named("a", 2), Named("b", 1)
	if a == b || a == c || a != Named("a", 1) {
		t.Error("streams")
	}
	const n = 1 << 16
	sum, sq := 0.0, 0.0
	for i := range n {
		u := a.Unit(i)
		if u < 0 || u >= 1 || u*(1<<24) != float64(int(u*(1<<24))) {
			t.Fatalf("number %d is %v", i, u)
		}
		sum, sq = sum+u, sq+u*u
	}
	if mean, second := sum/n, sq/n; mean < 0.495 || mean > 0.505 || second < 0.328 || second > 0.338 {
		t.Errorf("mean %v, second moment %v, want ½ and ⅓", mean, second)
	}
}
