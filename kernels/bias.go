package kernels

// AddBias: y = x with b added to each row; y may be x.
func (c *Context) AddBias(y, x Mat, b Vec) {
	check(len(b) == x.Cols, "x + b", x, len(b))
	c.eachRow("x + b", y, func(i int) { addRow(y.Row(i), x.Row(i), b) }, x)
}

// SumRows: db += Σ of the rows of d, in f64 and in their order.
func (c *Context) SumRows(db Vec, d Mat) {
	check(len(db) == d.Cols, "sum of rows", len(db), d)
	c.rowTasks(d.Cols, gradWCols, func(from, to int) {
		var sum [gradWCols]float64
		for i := range d.Rows {
			for j, v := range d.Row(i)[from:to] {
				sum[j] += float64(v)
			}
		}
		for j := from; j < to; j++ {
			db[j] += float32(sum[j-from])
		}
	})
}
