package kernels

import "unsafe"

// MatMulOnto: y[T,in] = c + dy[T,out]·w; y is c, or lies apart from it.
func MatMulOnto(y, c, dy Mat, w Weight) {
	check(y.Rows == c.Rows && y.Cols == c.Cols, "y = c + dy·w", y, c)
	if unsafe.SliceData(y.Data) != unsafe.SliceData(c.Data) {
		rowTasks(y.Rows, rowBlock, func(from, to int) {
			for i := from; i < to; i++ {
				copy(y.Row(i), c.Row(i))
			}
		})
	}
	matMulNN(y, dy, w, true)
}
