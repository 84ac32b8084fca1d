package kernels

import (
	"testing"
	"unsafe"
)

// Every panel of B meets every panel of A once, whatever the shape.
func TestSplitCoversOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 64} {
		for _, nA := range []int{1, 2, 5, 37, 74} {
			for _, columns := range [][]int{{1}, {31}, {33}, {288, 1}, {2048, 256, 256}, {1000, 1, 7, 32, 64, 96, 5, 3, 2}} {
				var outs []output
				for i, n := range columns {
					outs = append(outs, output{product: product{n: n, b: []packer{weightRows{}, weightCols{}}[i%2]}})
				}
				seen := map[[3]int]int{}
				for _, ts := range ctx.tasks(nA, 32, threads, outs) {
					if ts.to-ts.from > groupN {
						t.Fatalf("a task of %d panels of B", ts.to-ts.from)
					}
					for p := ts.from; p < ts.to; p++ {
						for i := ts.first; i < ts.end; i++ {
							seen[[3]int{ts.out, p, i}]++
						}
					}
				}
				for o, n := range columns {
					for p := range (n + 31) / 32 {
						for i := range nA {
							key := [3]int{o, p, i}
							if seen[key] != 1 {
								t.Fatalf("%d threads, %v columns: panel %d of product %d meets panel %d of A %d times", threads, columns, p, o, i, seen[key])
							}
							delete(seen, key)
						}
					}
				}
				if len(seen) > 0 {
					t.Fatalf("%d threads, %v columns: work that is not there: %v", threads, columns, seen)
				}
			}
		}
	}
}

// fed simulates threads that take the next task when they are free, and gives
// the share of their time they multiply; packing counts as waiting.
func fed(tasks []task, threads int) float64 {
	free, useful := make([]float64, threads), 0.0
	for _, ts := range tasks {
		first := 0
		for i := range free {
			if free[i] < free[first] {
				first = i
			}
		}
		panels, rows := float64(ts.to-ts.from), float64(ts.end-ts.first)
		useful += panels * rows * costTile
		free[first] += panels*(rows*costTile+costPack) + costStart
	}
	last := 0.0
	for _, at := range free {
		last = max(last, at)
	}
	return useful / (last * float64(threads))
}

// Two threads are busy, and 64 would be with the linears of a 7B model.
func TestThreadsAreFed(t *testing.T) {
	for _, c := range []struct {
		rows, columns, threads int
		least                  float64
	}{
		{256, 288, 2, 0.88}, {1024, 288, 2, 0.94}, {256, 768, 2, 0.93}, {1024, 2048, 2, 0.97}, {1024, 4096, 2, 0.97},
		{1024, 4096, 64, 0.9}, {1024, 11008, 64, 0.9}, {1024, 2048, 64, 0.85}, {512, 4096, 64, 0.85}, {256, 4096, 64, 0.75},
	} {
		nA := (c.rows + 13) / 14
		for _, b := range []packer{weightRows{}, weightCols{}} {
			tasks := ctx.tasks(nA, 32, c.threads, []output{{product: product{n: c.columns, b: b}}})
			got := fed(tasks, c.threads)
			t.Logf("%d rows, %d columns, %T, %d threads: %d tasks, %.1f %% of the time multiplied", c.rows, c.columns, b, c.threads, len(tasks), 100*got)
			if got < c.least {
				t.Errorf("%d rows, %d columns, %T: %d threads multiply %.1f %% of their time, %.1f %% wanted", c.rows, c.columns, b, c.threads, 100*got, 100*c.least)
			}
		}
	}
}

// The hints of a region lie in it, and ask for every line of it when there
// are tiles enough.
func TestFetcherCovers(t *testing.T) {
	for _, c := range []struct{ rows, bytes, stride, k int }{{128, 1024, 4096, 512}, {5, 64, 64, 16}, {1, 4, 100, 3}, {300, 200, 256, 64}} {
		mem := make([]byte, (c.rows-1)*c.stride+c.bytes)
		base := unsafe.Pointer(&mem[0])
		asked := map[int]bool{}
		f := prefetcher{region: region{base, c.rows, c.bytes, c.stride}}
		for f.at != nil {
			h := f.hint(c.k)
			off := int(uintptr(unsafe.Pointer(h.addr)) - uintptr(base))
			if off < 0 || off >= len(mem) || h.step != c.stride {
				t.Fatalf("%+v: a hint at %d of %d bytes, step %d", c, off, len(mem), h.step)
			}
			for i := range max(c.k/4, 1) { // as the tile does
				asked[off+i*h.step], asked[off+i*h.step+64] = true, true
			}
		}
		for r := range c.rows {
			for b := 0; b < c.bytes; b += 64 {
				if !asked[r*c.stride+b] {
					t.Fatalf("%+v: line %d of row %d is not asked for", c, b/64, r)
				}
			}
		}
		if h := f.hint(c.k); h.addr != nil {
			t.Fatal("a hint behind the end")
		}
	}
}

// A mask of a piece of a row is the piece of Dropout's mask.
func TestMaskOfPieces(t *testing.T) {
	paths(t, func(t *testing.T) {
		x, whole := dense(3, 200), NewMat(3, 200)
		drop := Drop{P: 0.3, Seeds: []uint64{1, 1 << 40, 77}, Layer: 2, Stream: 1}
		ctx.Dropout(whole, x, drop)
		m := drop.mask()
		for r := range 3 {
			for _, from := range []int{0, 2, 32, 64, 130} {
				for _, n := range []int{1, 2, 31, 32, 33, 70} {
					y := make([]float32, n)
					m.row(r).write(y, x.Row(r)[from:from+n], from)
					for i, v := range y {
						if want := whole.Row(r)[from+i]; v != want {
							t.Fatalf("row %d, column %d of a piece from %d: %v, Dropout has %v", r, i, from, v, want)
						}
					}
				}
			}
		}
	})
}
