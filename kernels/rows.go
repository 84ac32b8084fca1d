package kernels

import "unsafe"

// GatherRows: y[i] = x[rows[i]].
func GatherRows(y, x Mat, rows []int32) {
	check(y.Rows == len(rows) && y.Cols == x.Cols, "gather rows", y, x, len(rows))
	rowTasks(len(rows), rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			copy(y.Row(i), x.Row(int(rows[i])))
		}
	})
}

// Gather: y[i] = x[rows[i]], for vectors of any element.
func Gather[T any](y, x []T, rows []int32) {
	check(len(y) == len(rows), "gather", len(y), len(rows))
	for i, r := range rows {
		y[i] = x[r]
	}
}

// ScatterRows: y[rows[i]] = d[i], the other rows zero.
func ScatterRows(y, d Mat, rows []int32) {
	check(d.Rows == len(rows) && y.Cols == d.Cols, "scatter rows", y, d, len(rows))
	rowTasks(y.Rows, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			clear(y.Row(i))
		}
	})
	rowTasks(len(rows), rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			copy(y.Row(int(rows[i])), d.Row(i))
		}
	})
}

// SplitCols cuts x into blocks of columns.
func SplitCols(x Mat, parts ...Mat) {
	at := 0
	for _, p := range parts {
		check(p.Rows == x.Rows && at+p.Cols <= x.Cols, "split columns", x, p)
		from := x.Columns(at, at+p.Cols)
		eachRow("split columns", p, func(i int) { copy(p.Row(i), from.Row(i)) }, from)
		at += p.Cols
	}
}

// ConcatCols puts blocks of columns side by side.
func ConcatCols(y Mat, parts ...Mat) {
	at := 0
	for _, p := range parts {
		check(p.Rows == y.Rows && at+p.Cols <= y.Cols, "concat columns", y, p)
		to := y.Columns(at, at+p.Cols)
		eachRow("concat columns", to, func(i int) { copy(to.Row(i), p.Row(i)) }, p)
		at += p.Cols
	}
}

// Zeros clears y.
func Zeros(y Mat) { rowTasks(y.Rows, rowBlock, func(from, to int) { zeroMat(y.Slice(from, to)) }) }

// Embed: y[i] = row tokens[i] of w.
func Embed(y Mat, tokens []int32, w Weight) {
	check(y.Rows == len(tokens) && y.Cols == w.Cols, "embed", y, len(tokens), w)
	if w.read != nil {
		embedReading(y, tokens, w)
		return
	}
	rowTasks(len(tokens), rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			w.row(y.Row(i), int(tokens[i]), 0)
		}
	})
}

// embedRow is each thread's memory for a row that is read.
var embedRow [][]float32

func embedReading(y Mat, tokens []int32, w Weight) {
	for len(embedRow) < Threads() {
		embedRow = append(embedRow, nil)
	}
	n := w.rowBytes()
	Parallel((len(tokens)+rowBlock-1)/rowBlock, func(worker, t int) {
		row := bytesOf(grow(&embedRow[worker], (n+3)/4))[:n]
		one := Weight{Rows: 1, Cols: w.Cols, DType: w.DType, ptr: unsafe.Pointer(&row[0])}
		for i := t * rowBlock; i < min((t+1)*rowBlock, len(tokens)); i++ {
			w.read(row, int(tokens[i]))
			one.row(y.Row(i), 0, 0)
		}
	})
}

// EmbedGrad: dw[tokens[i]] += d[i], in the order of the rows.
func EmbedGrad(dw, d Mat, tokens []int32) {
	check(d.Rows == len(tokens) && d.Cols == dw.Cols, "embed gradient", dw, d, len(tokens))
	rowTasks(dw.Cols, 128, func(from, to int) {
		for i, t := range tokens {
			out := dw.Row(int(t))[from:to]
			addRow(out, out, d.Row(i)[from:to])
		}
	})
}
