package kernels

// factorGrad is the gradient of one factor of an adapter, a sum over all rows:
// dst[q, j] += scale · Σ_t g[t, q]·drop(x)[t, j], or dst[j, q] when transposed.
// g is as narrow as the rank, so x is read once and never packed.
type factorGrad struct {
	dst, g, x  Mat
	scale      float32
	transposed bool
	drop       mask
}

const (
	gradRows  = 128 // rows of x summed at a time: decides how the sum is rounded
	gradCols  = 512 // columns of a task at most: rows are read in long pieces
	leastCols = 64
)

// addFactorGrads computes all of them. A task has some columns of one, and
// sums its elements in the order of the rows.
func (c *Context) addFactorGrads(list []factorGrad) {
	type piece struct{ of, from, to int }
	all := 0
	for _, f := range list {
		all += f.x.Cols
	}
	width := gradCols
	for width > leastCols && all < 3*width*c.Threads() {
		width /= 2
	}
	var pieces []piece
	for i, f := range list {
		for j := 0; j < f.x.Cols; j += width {
			pieces = append(pieces, piece{i, j, min(j+width, f.x.Cols)})
		}
	}
	c.Parallel(len(pieces), func(worker, t int) {
		p := pieces[t]
		f := &list[p.of]
		f.run(grow(&c.workers[worker].grad, gradCols*(gradRows+f.g.Cols)), p.from, p.to)
	})
}

// run sums columns [from, to) of x.
func (f *factorGrad) run(buf []float32, from, to int) {
	sum, x := buf[:gradCols*f.g.Cols], buf[gradCols*f.g.Cols:]
	mr, nr := tileSize()
	var next prefetcher
	parts := (f.g.Cols + mr - 1) / mr // of equal height, so that no tile is low
	for t0 := 0; t0 < f.x.Rows; t0 += gradRows {
		n := min(gradRows, f.x.Rows-t0)
		for t := range n {
			row, src := x[t*gradCols:t*gradCols+to-from], f.x.Row(t0 + t)[from:to]
			if f.drop.on() {
				m := f.drop.row(t0 + t)
				m.write(row, src, from)
			} else {
				copy(row, src)
			}
		}
		if t1 := t0 + n; t1 < f.x.Rows {
			next = prefetcher{region: colsOf{f.x}.locate(from, to-from, t1, min(gradRows, f.x.Rows-t1))}
		}
		for i := range parts {
			q0, q1 := f.g.Cols*i/parts, f.g.Cols*(i+1)/parts
			for j := 0; j < to-from; j += nr {
				tileStrided(q1-q0, n, f.g.Data[t0*f.g.Stride+q0:], f.g.Stride, x[j:], gradCols, sum[q0*gradCols+j:], gradCols, min(nr, to-from-j), t0 > 0, next.hint(n))
			}
		}
	}
	if f.x.Rows == 0 {
		return
	}
	if !f.transposed {
		for q := range f.g.Cols {
			out := f.dst.Row(q)[from:to]
			for j, v := range sum[q*gradCols : q*gradCols+to-from] {
				out[j] += f.scale * v
			}
		}
		return
	}
	for j := from; j < to; j++ {
		out := f.dst.Row(j)
		for q := range out {
			out[q] += f.scale * sum[q*gradCols+j-from]
		}
	}
}
