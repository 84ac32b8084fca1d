package ascend

// Embed: y[i] = row tokens[i] of w.
func (c *Context) Embed(y Mat, tokens Ints, w Weight) {
	check(y.Cols == w.Cols && y.DType == w.DType, "embed", y, w)
	c.gather("Embed", y.At, w.At, tokens, y.Rows, y.Cols*y.DType.Size(), w.Rows)
}

// GatherRows: y[i] = x[rows[i]].
func (c *Context) GatherRows(y, x Mat, rows Ints) {
	check(y.Cols == x.Cols && y.DType == x.DType, "gather rows", y, x)
	c.gather("GatherRows", y.At, x.At, rows, y.Rows, y.Cols*y.DType.Size(), x.Rows)
}

// Gather, GatherInts and GatherSeeds: y[i] = x[rows[i]].
func (c *Context) Gather(y, x Vec, rows Ints) { c.gather("Gather", y.At, x.At, rows, y.N, 4, x.N) }
func (c *Context) GatherInts(y, x, rows Ints) { c.gather("GatherInts", y.At, x.At, rows, y.N, 4, x.N) }
func (c *Context) GatherSeeds(y, x Seeds, rows Ints) {
	c.gather("GatherSeeds", y.At, x.At, rows, y.N, 8, x.N)
}

func (c *Context) gather(call string, y, x Ptr, rows Ints, n, rowBytes, of int) {
	check(count(rows) == n, "gather", n, count(rows))
	c.vector(call, "gather_rows", n, y, x, at(rows), word(n), word(rowBytes), word(of))
}

// ScatterRows: y[rows[i]] = d[i], the other rows zero. rows ascend.
func (c *Context) ScatterRows(y, d Mat, rows Ints) {
	check(d.Rows == count(rows) && y.Cols == d.Cols && y.DType == d.DType, "scatter rows", y, d)
	c.vector("ScatterRows", "scatter_rows", y.Rows, y.At, d.At, at(rows), word(d.Rows), word(y.Rows), word(y.Cols*y.DType.Size()))
}
