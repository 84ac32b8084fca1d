package kernels

import (
	"math"
	"unsafe"
)

// normCols is how many columns of an adapted matrix are in memory at once, and
// normRows how many of its rows are: A's columns are read once for those.
const normCols, normRows = 512, 16

// RowNorms: n[i] = ‖row i of w + by·b·a‖ for w of any type. Rows are computed one by
// one, in f32, and their squares summed in f64, in an order that no thread changes.
func (c *Context) RowNorms(n Vec, w Weight, a, b Mat, by float32) {
	check(len(n) == w.Rows && b.Rows == w.Rows && a.Cols == w.Cols && a.Rows == b.Cols, "norms of rows", len(n), w, a, b)
	c.rowTasks(w.Rows, normRows, func(from, to int) {
		var sums [normRows]float64
		for j := 0; j < w.Cols; j += normCols {
			for i := from; i < to; i++ {
				sums[i-from] += spanSquares(w, a, b.Row(i), i, j, min(normCols, w.Cols-j), by)
			}
		}
		for i := from; i < to; i++ {
			n[i] = float32(math.Sqrt(sums[i-from]))
		}
	})
}

// spanSquares sums the squares of cols elements of row i from column j on.
func spanSquares(w Weight, a Mat, b []float32, i, j, cols int, by float32) float64 {
	var elements, delta [normCols]float32
	row := unsafe.Slice(noescape(&elements[0]), cols)
	w.row(row, i, j)
	for k, x := range b {
		addScaled(delta[:cols], a.Row(k)[j:j+cols], x)
	}
	addScaled(row, delta[:cols], by)
	return sumSquares(row, row)
}

// ScaleCols: y = x with column j multiplied by m[j]/n[j], by 0 where n[j] is; y may be
// x.
func (c *Context) ScaleCols(y, x Mat, m, n Vec) {
	check(len(m) == x.Cols && len(n) == x.Cols && y.Rows == x.Rows && y.Cols == x.Cols, "x · m/n", y, x, len(m), len(n))
	const block = 256 // quotients are computed once for the rows of a task
	c.rowTasks(y.Rows, rowBlock, func(from, to int) {
		var by [block]float32
		for j := 0; j < y.Cols; j += block {
			end := min(j+block, y.Cols)
			for k := j; k < end; k++ {
				by[k-j] = quotient(m[k], n[k])
			}
			for i := from; i < to; i++ {
				mulRow(y.Row(i)[j:end], x.Row(i)[j:end], by[:end-j])
			}
		}
	})
}

func quotient(m, n float32) float32 {
	if n == 0 {
		return 0
	}
	return m / n
}

// ScaleColsGradM: dm += Σ over rows of d∘x, over n; nothing where n is 0.
func (c *Context) ScaleColsGradM(dm Vec, d, x Mat, n Vec) {
	check(len(dm) == x.Cols && len(n) == x.Cols && d.Rows == x.Rows && d.Cols == x.Cols, "gradient in m", len(dm), d, x, len(n))
	c.rowTasks(x.Cols, gradWCols, func(from, to int) {
		var sum [gradWCols]float64
		for i := range x.Rows {
			v := x.Row(i)[from:to]
			for j, g := range d.Row(i)[from:to] {
				sum[j] += float64(g) * float64(v[j])
			}
		}
		for j := from; j < to; j++ {
			if n[j] != 0 {
				dm[j] += float32(sum[j-from] / float64(n[j]))
			}
		}
	})
}
