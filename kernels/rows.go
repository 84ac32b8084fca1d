package kernels

import "unsafe"

// GatherRows: y[i] = x[rows[i]].
func (c *Context) GatherRows(y, x Mat, rows Ints) {
	check(y.Rows == len(rows) && y.Cols == x.Cols, "gather rows", y, x, len(rows))
	c.rowTasks(len(rows), rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			copy(y.Row(i), x.Row(int(rows[i])))
		}
	})
}

// Gather: y[i] = x[rows[i]].
func (c *Context) Gather(y, x Vec, rows Ints) { gather(y, x, rows) }

// GatherInts: y[i] = x[rows[i]].
func (c *Context) GatherInts(y, x, rows Ints) { gather(y, x, rows) }

// GatherSeeds: y[i] = x[rows[i]].
func (c *Context) GatherSeeds(y, x Seeds, rows Ints) { gather(y, x, rows) }

func gather[T any](y, x []T, rows Ints) {
	check(len(y) == len(rows), "gather", len(y), len(rows))
	for i, r := range rows {
		y[i] = x[r]
	}
}

// ScatterRows: y[rows[i]] = d[i], the other rows zero.
func (c *Context) ScatterRows(y, d Mat, rows Ints) {
	check(d.Rows == len(rows) && y.Cols == d.Cols, "scatter rows", y, d, len(rows))
	c.rowTasks(y.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			clear(y.Row(i))
		}
	})
	c.rowTasks(len(rows), rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			copy(y.Row(int(rows[i])), d.Row(i))
		}
	})
}

// SplitCols copies blocks of columns of x, from the first on, to the parts.
func (c *Context) SplitCols(x Mat, parts ...Mat) {
	at := 0
	for _, p := range parts {
		check(p.Rows == x.Rows && at+p.Cols <= x.Cols, "split columns", x, p)
		from := x.Columns(at, at+p.Cols)
		c.eachRow("split columns", p, func(i int) { copy(p.Row(i), from.Row(i)) }, from)
		at += p.Cols
	}
}

// ConcatCols copies the parts to blocks of columns of y, from the first on.
func (c *Context) ConcatCols(y Mat, parts ...Mat) {
	at := 0
	for _, p := range parts {
		check(p.Rows == y.Rows && at+p.Cols <= y.Cols, "concat columns", y, p)
		to := y.Columns(at, at+p.Cols)
		c.eachRow("concat columns", to, func(i int) { copy(to.Row(i), p.Row(i)) }, p)
		at += p.Cols
	}
}

// Zeros clears y.
func (c *Context) Zeros(y Mat) {
	c.rowTasks(y.Rows, rowBlock, func(from, to int) { zeroMat(y.Slice(from, to)) })
}

// Embed: y[i] = row tokens[i] of w.
func (c *Context) Embed(y Mat, tokens Ints, w Weight) {
	check(y.Rows == len(tokens) && y.Cols == w.Cols, "embed", y, len(tokens), w)
	if w.read != nil {
		c.embedReading(y, tokens, w)
		return
	}
	c.rowTasks(len(tokens), rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			w.row(y.Row(i), int(tokens[i]), 0)
		}
	})
}

func (c *Context) embedReading(y Mat, tokens []int32, w Weight) {
	n := w.rowBytes()
	c.Parallel((len(tokens)+rowBlock-1)/rowBlock, func(worker, t int) {
		row := bytesOf(grow(&c.workers[worker].row, (n+3)/4))[:n]
		one := Weight{Rows: 1, Cols: w.Cols, DType: w.DType, ptr: unsafe.Pointer(&row[0])}
		for i := t * rowBlock; i < min((t+1)*rowBlock, len(tokens)); i++ {
			w.read(row, int(tokens[i]))
			one.row(y.Row(i), 0, 0)
		}
	})
}

// EmbedGrad: dw[tokens[i]] += d[i], in the order of the rows.
func (c *Context) EmbedGrad(dw, d Mat, tokens Ints) {
	check(d.Rows == len(tokens) && d.Cols == dw.Cols, "embed gradient", dw, d, len(tokens))
	c.rowTasks(dw.Cols, 128, func(from, to int) {
		for i, t := range tokens {
			out := dw.Row(int(t))[from:to]
			addRow(out, out, d.Row(i)[from:to])
		}
	})
}
