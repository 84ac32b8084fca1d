package comm_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand"
	"testing"

	"lorac/runtime/comm"
	"lorac/runtime/comm/local"
)

// heap is memory of Go.
type heap struct{}

func (heap) Add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func (heap) Alloc(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.NaN()) // memory need not be zero
	}
	return x
}

func (heap) Copy(dst, src []float32) { copy(dst, src) }
func (heap) Clear(x []float32)       { clear(x) }

// adversarial numbers differ by many powers of two and cancel, so that any other order
// of a sum has other bits.
func adversarial(unit, n int) []float32 {
	rng := rand.New(rand.NewSource(int64(unit)))
	x := make([]float32, n)
	const block = 4099 // that repeats, with other digits
	for i := range x {
		if i >= block {
			x[i] = x[i-block] * 1.0009
			continue
		}
		x[i] = float32(rng.NormFloat64() * math.Exp(6*rng.NormFloat64()))
		switch rng.Intn(50) {
		case 0:
			x[i] = float32(math.Copysign(0, -1))
		case 1:
			x[i] = math.SmallestNonzeroFloat32
		}
	}
	return x
}

func digest(x []float32, loss float64) string {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, x)
	binary.Write(h, binary.LittleEndian, loss)
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// take gives an adder the units of its process; every fifth one is empty.
func take(a *comm.Adder, units comm.Ranges, rank, n int) {
	from, to := units.Of(rank)
	for u := from; u < to; u++ {
		v := adversarial(u, n)
		if u%5 == 4 {
			clear(v)
		}
		a.Take(u, v, 1/float64(3*u+1))
		for i := range v {
			v[i] = 7 // may be overwritten
		}
	}
}

// sums is the digest of a sum on some processes, the same on all, and the world.
func sums(t *testing.T, units comm.Ranges, n int, owns comm.Ranges, parts bool) (string, *local.World) {
	t.Helper()
	ranks := units.Ranks()
	out := make([]string, ranks)
	w, err := local.Run(ranks, func(tr comm.Transport) error {
		g, err := comm.New(tr, comm.Options{})
		if err != nil {
			return err
		}
		a := comm.NewAdder(units, g.Rank(), n, heap{})
		for range 2 { // and again
			take(a, units, g.Rank(), n)
			x := make([]float32, n)
			finish := a.Finish
			if parts {
				finish = a.Scatter
			}
			loss, err := finish(g, x, owns)
			if err == nil && parts {
				err = g.AllGather(x, owns)
			}
			if err != nil {
				return err
			}
			if s := digest(x, loss); out[g.Rank()] != "" && out[g.Rank()] != s {
				return fmt.Errorf("a second sum has other bits: %s, %s", out[g.Rank()], s)
			} else {
				out[g.Rank()] = s
			}
		}
		return g.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	for r := range out {
		if out[r] != out[0] {
			t.Fatalf("%v, n=%d: rank %d has %s, rank 0 %s", units, n, r, out[r], out[0])
		}
	}
	return out[0], w
}

// Any division of the units over processes gives the same bits, and memory and order
// of a plain tree.
func TestAdderBits(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, units := range []int{1, 3, 8, 21} {
		for _, n := range []int{1, 3001} {
			want := digest(tree(0, units, units, n))
			for _, ranks := range []int{1, 2, 3, 4, 5, 6, 8, 33} {
				if got, _ := sums(t, comm.Even(units, ranks, 1), n, nil, false); got != want {
					t.Errorf("%d units of %d on %d processes: %s, want %s", units, n, ranks, got, want)
				}
				uneven := make(comm.Ranges, ranks+1)
				for i := 1; i < ranks; i++ {
					uneven[i] = min(uneven[i-1]+rng.Intn(units+1), units)
				}
				uneven[ranks] = units
				if got, _ := sums(t, uneven, n, comm.Even(n, ranks, 512), true); got != want {
					t.Errorf("%d units of %d as %v: %s, want %s", units, n, uneven, got, want)
				}
			}
		}
	}
}

// tree is the sum as it is defined.
func tree(from, to, units, n int) ([]float32, float64) {
	size := 1 << bits.Len(uint(to-from-1))
	if to-from == 1 {
		x := adversarial(from, n)
		if from%5 == 4 {
			clear(x)
		}
		return x, 1 / float64(3*from+1)
	}
	x, a := tree(from, from+size/2, units, n)
	y, b := tree(from+size/2, to, units, n)
	heap{}.Add(x, x, y)
	return x, a + b
}

// Pieces: vectors longer than what is in flight.
func TestAdderPieces(t *testing.T) {
	const n = 1<<20 + 77777
	units := comm.Even(4, 1, 1)
	want, _ := sums(t, units, n, nil, false)
	for _, ranks := range []int{2, 3} {
		if got, _ := sums(t, comm.Even(4, ranks, 1), n, nil, false); got != want {
			t.Errorf("%d processes: %s, want %s", ranks, got, want)
		}
	}
}

// Bytes on the wire are a ring's on 2^k processes, and a few vectors more on others.
func TestAdderBytes(t *testing.T) {
	const n, units = 100000, 16
	for _, ranks := range []int{2, 3, 4, 5, 6, 7, 8, 16} {
		_, w := sums(t, comm.Even(units, ranks, 1), n, nil, false)
		ring := 2 * float64(ranks-1) / float64(ranks) * 4 * n
		limit := 1.01 * ring
		if ranks&(ranks-1) != 0 {
			limit += 4 * 4 * n
		}
		for r := range ranks {
			if sent := float64(w.Sent(r)) / 2; sent > limit || sent < ring/2 {
				t.Errorf("rank %d of %d sent %.0f bytes, a ring %.0f", r, ranks, sent, ring)
			}
		}
	}
}

// odd is 1 where processes are not a power of two.
func odd(ranks int) int { return min(1, ranks&(ranks-1)) }

// AdderVectors and AdderBytes are what an adder allocates, and are bounded.
func TestAdderMemory(t *testing.T) {
	for _, units := range []int{1, 2, 4, 8, 32, 64, 256, 1024} {
		for ranks := 1; ranks <= min(units, 70); ranks++ {
			even := comm.Even(units, ranks, 1)
			for r := range ranks {
				from, to := even.Of(r)
				if v, most := comm.AdderVectors(units, from, to), bits.Len(uint(units))+odd(ranks); v > most {
					t.Errorf("%d of %d processes with %d units: %d vectors, more than %d", r, ranks, units, v, most)
				}
			}
		}
	}
	const n = 10000
	for _, ranks := range []int{1, 3, 4} {
		units := comm.Even(16, ranks, 1)
		_, err := local.Run(ranks, func(tr comm.Transport) error {
			g, err := comm.New(tr, comm.Options{})
			if err != nil {
				return err
			}
			used := 0
			a := comm.NewAdder(units, g.Rank(), n, counting{used: &used})
			for range 2 {
				take(a, units, g.Rank(), n)
				if _, err := a.Finish(g, make([]float32, n), nil); err != nil {
					return err
				}
			}
			if plan := comm.AdderBytes(units, g.Rank(), n); int64(4*used) != plan {
				return fmt.Errorf("rank %d of %d took %d bytes, planned %d", g.Rank(), ranks, 4*used, plan)
			}
			return g.Close()
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// counting counts what is allocated.
type counting struct {
	heap
	used *int
}

func (c counting) Alloc(n int) []float32 {
	*c.used += n
	return c.heap.Alloc(n)
}
