package kernels

// Drop is one dropout mask. Element (r, c) is dropped when 16 random bits of
// (Seeds[r], Layer, Stream, c) fall below P; kept ones are divided by 1−P.
// Nothing is stored: forward and backward draw the same mask. The seeds are made
// from the job's seed, the step and the row's number in the batch, so a mask does
// not depend on how a batch is split into micro-batches. Where x is a part of the
// columns of a matrix, First is the column that it begins with, which is even.
type Drop struct {
	P      float32
	Seeds  Seeds
	Layer  int
	Stream int
	First  int
}

// Of is the mask of another stream of the same layer: each dropout of a layer
// has one of its own.
func (d Drop) Of(stream int) Drop {
	d.Stream = stream
	return d
}

// rowHash mixes seed, layer and stream (the finalizer of splitmix64); dropRow of
// the op's meaning in ir/op is its twin.
func (d Drop) rowHash(r int) uint64 {
	z := d.Seeds[r] + 0x9E3779B97F4A7C15*uint64(d.Layer*64+d.Stream+1)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// pairStep is how far apart the hashes of neighbouring pairs start.
const pairStep = 0x9E3779B9

// pairHash gives the bits of columns 2i (low half) and 2i+1 (high half), by
// lowbias32 (Wellons 2018).
func pairHash(h uint64, i int) uint32 {
	x := uint32(h) + uint32(i)*pairStep
	x ^= x >> 16
	x *= 0x7FEB352D
	x ^= x >> 15
	x *= 0x846CA68B
	x ^= x >> 16
	return x ^ uint32(h>>32)
}

// Dropout: y = mask(x)/(1−P); y may be x. It is its own gradient.
func (c *Context) Dropout(y, x Mat, d Drop) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && (d.P == 0 || len(d.Seeds) == x.Rows), "dropout", y, x, len(d.Seeds))
	m := d.mask()
	c.rowTasks(x.Rows, 16, func(from, to int) {
		for r := from; r < to; r++ {
			if d.P == 0 {
				copy(y.Row(r), x.Row(r))
				continue
			}
			m.row(r).write(y.Row(r), x.Row(r), 0)
		}
	})
}
