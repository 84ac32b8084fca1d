package mesh

import (
	"slices"
	"testing"

	k "lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
)

// Rows that processes divide are summed, taken and put together, however many there are.
func TestRows(t *testing.T) {
	matrix := func(rows, seed int) k.Mat {
		x := k.MatOf(make([]float32, rows*5+1), rows, 5)
		for i := range rows * 5 {
			x.Data[i] = float32(seed + i)
		}
		return x
	}
	check := func(r *Ranks, size int) {
		for rows := range 8 {
			n := r.Rows(rows)
			if n < rows/size || n > rows/size+1 {
				t.Errorf("%d of %d rows are of one of %d", n, rows, size)
			}
			x, part, own, all := matrix(rows, r.g.Rank()), matrix(n, 0), matrix(n, 0), matrix(rows, 0)
			sum, same := matrix(rows, 0), matrix(rows, 3)
			for i := range rows * 5 {
				sum.Data[i] = float32(size*i + size*(size-1)/2)
			}
			r.ScatterRows(part, x)
			r.GatherRows(all, part)
			if !slices.Equal(all.Data[:rows*5], sum.Data[:rows*5]) {
				t.Errorf("%d rows of %d: %v, not %v", rows, size, all.Data, sum.Data)
			}
			r.OwnRows(own, same)
			r.GatherRows(all, own)
			if !slices.Equal(all.Data[:rows*5], same.Data[:rows*5]) {
				t.Errorf("%d rows of %d: %v, not %v", rows, size, all.Data, same.Data)
			}
		}
	}
	for _, n := range []int{2, 3, 5} {
		each(t, n, func(g *comm.Group) { check(&Ranks{g: g, mem: rt.HostMemory{}}, n) })
	}
	both(t, func(d *device) { check(d.ranks, 2) })
}
