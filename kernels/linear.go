package kernels

import "unsafe"

// MatMulNT: y[T,out] = x[T,in]·wᵀ, the forward of a linear.
func (c *Context) MatMulNT(y, x Mat, w Weight) { c.matMulNT(y, x, w, false) }

// AddMatMulNT: y += x·wᵀ.
func (c *Context) AddMatMulNT(y, x Mat, w Weight) { c.matMulNT(y, x, w, true) }

func (c *Context) matMulNT(y, x Mat, w Weight, acc bool) {
	check(x.Cols == w.Cols && y.Rows == x.Rows && y.Cols == w.Rows, "y = x·wᵀ", y, x, w)
	if w.DType == I8 {
		c.multiplyInt8(x, product{c: y, b: weightRows{w}, n: w.Rows, acc: acc})
		return
	}
	if p := (fewPart{y: y, w: w, acc: acc}); c.takesFew(x, p) {
		c.multiplyFew(x, p)
		return
	}
	c.multiply(x.Rows, x.Cols, rowsOf{x}, product{c: y, b: weightRows{w}, n: w.Rows, acc: acc})
}

// MatMulNN: dx[T,in] = dy[T,out]·w, the input gradient of a linear.
func (c *Context) MatMulNN(dx, dy Mat, w Weight) { c.matMulNN(dx, dy, w, false) }

// AddMatMulNN: dx += dy·w.
func (c *Context) AddMatMulNN(dx, dy Mat, w Weight) { c.matMulNN(dx, dy, w, true) }

// AddMatMul: y[T,in] = a + dy[T,out]·w; y is a, or does not overlap it.
func (c *Context) AddMatMul(y, a, dy Mat, w Weight) {
	check(y.Rows == a.Rows && y.Cols == a.Cols, "y = a + dy·w", y, a)
	if unsafe.SliceData(y.Data) != unsafe.SliceData(a.Data) {
		c.rowTasks(y.Rows, rowBlock, func(from, to int) {
			for i := from; i < to; i++ {
				copy(y.Row(i), a.Row(i))
			}
		})
	}
	c.matMulNN(y, dy, w, true)
}

func (c *Context) matMulNN(dx, dy Mat, w Weight, acc bool) {
	check(dy.Cols == w.Rows && dx.Rows == dy.Rows && dx.Cols == w.Cols, "dx = dy·w", dx, dy, w)
	if w.DType == I8 {
		c.multiplyInt8(dy, product{c: dx, b: weightCols{w}, n: w.Cols, acc: acc})
		return
	}
	c.multiply(dy.Rows, dy.Cols, rowsOf{dy}, product{c: dx, b: weightCols{w}, n: w.Cols, acc: acc})
}

// MatMulTN: dw[out,in] = dyᵀ·x, the weight gradient of a linear.
func (c *Context) MatMulTN(dw, dy, x Mat) { c.matMulTN(dw, dy, x, false) }

// AddMatMulTN: dw += dyᵀ·x.
func (c *Context) AddMatMulTN(dw, dy, x Mat) { c.matMulTN(dw, dy, x, true) }

func (c *Context) matMulTN(dw, dy, x Mat, acc bool) {
	check(dy.Rows == x.Rows && dw.Rows == dy.Cols && dw.Cols == x.Cols, "dw = dyᵀ·x", dw, dy, x)
	c.multiply(dy.Cols, dy.Rows, colsOf{dy}, product{c: dw, b: colsOf{x}, n: x.Cols, acc: acc})
}
