package mesh

import (
	k "lorac/kernels"
	"lorac/runtime/comm"
)

// Tokens are divided between the processes that share each layer as evenly as can be.

// Rows is how many of n rows this process has.
func (r *Ranks) Rows(n int) int {
	from, to := r.rows(n)
	return to - from
}

func (r *Ranks) rows(n int) (from, to int) {
	rank, size := r.g.Rank(), r.g.Size()
	return n * rank / size, n * (rank + 1) / size
}

// owners are the elements of rows that each process has.
func (r *Ranks) owners(rows, cols int) comm.Ranges {
	size := r.g.Size()
	owns := make(comm.Ranges, size+1)
	for i := range owns {
		owns[i] = rows * i / size * cols
	}
	return owns
}

// OwnRows is this process' rows of x.
func (r *Ranks) OwnRows(y, x k.Mat) {
	from, _ := r.rows(x.Rows)
	for i := range y.Rows {
		copy(y.Row(i), x.Row(from+i))
	}
}

// scatterer is a group that sums parts: each process gets its own.
type scatterer interface {
	ScatterSum(x []float32, owns comm.Ranges, mem comm.Memory) error
	AllGather(x []float32, owns comm.Ranges) error
}

// ScatterRows is this process' rows of the sum of x over the processes. It overwrites x.
func (r *Ranks) ScatterRows(y, x k.Mat) {
	data := x.Data[:x.Rows*x.Cols]
	if g, ok := r.g.(scatterer); ok {
		if err := g.ScatterSum(data, r.owners(x.Rows, x.Cols), r.mem); err != nil {
			panic(lost{err})
		}
	} else {
		r.all(data)
	}
	r.OwnRows(y, x)
}

// GatherRows puts the rows of all processes together.
func (r *Ranks) GatherRows(y, x k.Mat) {
	data := y.Data[:y.Rows*y.Cols]
	r.put(data, r.owners(y.Rows, y.Cols), func(own []float32) {
		for i := range x.Rows {
			copy(own[i*y.Cols:], x.Row(i))
		}
	})
}

// GatherVec is the same of numbers of rows.
func (r *Ranks) GatherVec(y, x k.Vec) {
	r.put(y, r.owners(len(y), 1), func(own []float32) { copy(own, x) })
}

// put brings parts together of which fill writes this process' own.
func (r *Ranks) put(data []float32, owns comm.Ranges, fill func(own []float32)) {
	from, to := owns.Of(r.g.Rank())
	g, ok := r.g.(scatterer)
	if !ok {
		clear(data)
	}
	fill(data[from:to])
	if !ok {
		r.all(data)
		return
	}
	if err := g.AllGather(data, owns); err != nil {
		panic(lost{err})
	}
}
