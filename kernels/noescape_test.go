package kernels

import "testing"

// A tile allocates nothing, whatever part of it is wanted: the collector would
// be behind by as much as all threads make.
func TestTilesDoNotAllocate(t *testing.T) {
	mr, nr := tileSize()
	const k = 70
	a, b, c := make([]float32, (maxTileRows+1)*k), make([]float32, nr*k), make([]float32, (maxTileRows+1)*nr)
	for _, n := range []int{nr, nr - 1, 3} {
		if got := testing.AllocsPerRun(10, func() {
			tile(mr, k, a, b, c, nr, n, true)
			tileFrom(mr, k, a, mr, b, nr, c, nr, a, nr, n, false, hint{})
			tileRows(mr+1, k, a, k, b, c, nr, n, false, hint{})
		}); got > 0 {
			t.Errorf("%d columns: %v allocations", n, got)
		}
	}
}
