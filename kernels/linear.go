package kernels

// MatMulNT: y[T,out] = x[T,in]·wᵀ, the forward of a linear.
func MatMulNT(y, x Mat, w Weight) { matMulNT(y, x, w, false) }

// AddMatMulNT: y += x·wᵀ.
func AddMatMulNT(y, x Mat, w Weight) { matMulNT(y, x, w, true) }

func matMulNT(y, x Mat, w Weight, acc bool) {
	check(x.Cols == w.Cols && y.Rows == x.Rows && y.Cols == w.Rows, "y = x·wᵀ", y, x, w)
	if w.DType == I8 {
		multiplyInt8(x, product{y, weightRows{w}, w.Rows, acc})
		return
	}
	multiply(x.Rows, x.Cols, rowsOf{x}, product{y, weightRows{w}, w.Rows, acc})
}

// MatMulNN: dx[T,in] = dy[T,out]·w, the input gradient of a linear.
func MatMulNN(dx, dy Mat, w Weight) { matMulNN(dx, dy, w, false) }

// AddMatMulNN: dx += dy·w.
func AddMatMulNN(dx, dy Mat, w Weight) { matMulNN(dx, dy, w, true) }

func matMulNN(dx, dy Mat, w Weight, acc bool) {
	check(dy.Cols == w.Rows && dx.Rows == dy.Rows && dx.Cols == w.Cols, "dx = dy·w", dx, dy, w)
	if w.DType == I8 {
		multiplyInt8(dy, product{dx, weightCols{w}, w.Cols, acc})
		return
	}
	multiply(dy.Rows, dy.Cols, rowsOf{dy}, product{dx, weightCols{w}, w.Cols, acc})
}

// MatMulTN: dw[out,in] = dyᵀ·x, the weight gradient of a linear.
func MatMulTN(dw, dy, x Mat) { matMulTN(dw, dy, x, false) }

// AddMatMulTN: dw += dyᵀ·x.
func AddMatMulTN(dw, dy, x Mat) { matMulTN(dw, dy, x, true) }

func matMulTN(dw, dy, x Mat, acc bool) {
	check(dy.Rows == x.Rows && dw.Rows == dy.Cols && dw.Cols == x.Cols, "dw = dyᵀ·x", dw, dy, x)
	multiply(dy.Cols, dy.Rows, colsOf{dy}, product{dw, colsOf{x}, x.Cols, acc})
}
