package ascend_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// rowSizes has single numbers, rows that are no multiple of 32 bytes, and rows wider
// than a buffer.
var rowSizes = []int{4, 8, 32, 36, 512, 8192, 65536, 65536 + 96}

// live chooses some of n rows in ascending order, in runs.
func live(rng *rand.Rand, n int) []int {
	var out []int
	for i := range n {
		if len(out) > 0 && out[len(out)-1] == i-1 && rng.IntN(4) > 0 || rng.IntN(3) == 0 {
			out = append(out, i)
		}
	}
	return out
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestGatherAndScatterRows(t *testing.T) {
	for _, size := range rowSizes {
		for _, rows := range []int{1, 2, 35, max(3, min(2500, 400000/size))} {
			t.Run(fmt.Sprintf("%dx%d", rows, size), func(t *testing.T) {
				r, rng := newRig(t), rand.New(rand.NewPCG(uint64(size), uint64(rows)))
				x := randomBytes(rng, rows*size)
				px := r.raw(x)

				// any order, with repetitions, as an embedding has them
				idx := make([]int, rows+rows/2)
				for i := range idx {
					idx[i] = rng.IntN(rows)
					if i > 0 && i%3 > 0 {
						idx[i] = (idx[i-1] + 1) % rows
					}
				}
				want := make([]byte, 0, len(idx)*size)
				for _, k := range idx {
					want = append(want, x[k*size:(k+1)*size]...)
				}
				y := r.result(len(want))
				got := r.run("gather_rows", []int{1, 3, 40}, []result{y}, y.ptr, px, r.i32(idx), len(idx), size, rows)
				if !bytes.Equal(got[0], want) {
					t.Fatal("gather_rows: wrong rows")
				}

				for _, some := range [][]int{live(rng, rows), nil} {
					d := randomBytes(rng, len(some)*size)
					want = make([]byte, rows*size)
					for i, k := range some {
						copy(want[k*size:], d[i*size:(i+1)*size])
					}
					y = r.result(len(want))
					got = r.run("scatter_rows", []int{1, 3, 40}, []result{y}, y.ptr, r.raw(d), r.i32(some), len(some), rows, size)
					if !bytes.Equal(got[0], want) {
						t.Fatalf("scatter_rows: wrong rows of %d", len(some))
					}
				}
			})
		}
	}
}
