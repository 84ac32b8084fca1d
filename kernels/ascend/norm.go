package ascend

// RMSNorm: y = x·rstd·w with rstd = 1/√(mean(x²)+eps), a row at a time.
func (c *Context) RMSNorm(y Mat, rstd Vec, x Mat, w Vec, eps float32) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && rstd.N == x.Rows && w.N == x.Cols, "rmsnorm", y, x, rstd.N, w.N)
	c.vector("RMSNorm", of("rmsnorm", x.DType), x.Rows, y.At, rstd.At, x.At, w.At, word(x.Rows), word(x.Cols), bits(float64(eps)))
}

// AddRMSNorm: sum = a + b, y and rstd as RMSNorm of the rounded sum.
func (c *Context) AddRMSNorm(sum, y Mat, rstd Vec, a, b Mat, w Vec, eps float32) {
	check(y.Rows == a.Rows && y.Cols == a.Cols && rstd.N == a.Rows && w.N == a.Cols && sum.Rows == a.Rows && b.Rows == a.Rows, "add and rmsnorm", sum, y, a, b, w.N)
	c.vector("AddRMSNorm", of("add_rmsnorm", a.DType), a.Rows, sum.At, y.At, rstd.At, a.At, b.At, w.At, word(a.Rows), word(a.Cols), bits(float64(eps)))
}

// RMSNormGrad: dx = rstd·(d∘w − x·rstd²·mean(d∘w∘x)).
func (c *Context) RMSNormGrad(dx, d, x Mat, rstd, w Vec) {
	c.normGrad("RMSNormGrad", dx, Mat{}, d, x, rstd, w)
}

// RMSNormGradAdd: dx = res + the gradient; dx may be res.
func (c *Context) RMSNormGradAdd(dx, res, d, x Mat, rstd, w Vec) {
	c.normGrad("RMSNormGradAdd", dx, res, d, x, rstd, w)
}

func (c *Context) normGrad(call string, dx, res, d, x Mat, rstd, w Vec) {
	check(dx.Rows == x.Rows && dx.Cols == x.Cols && d.Rows == x.Rows && d.Cols == x.Cols && rstd.N == x.Rows && w.N == x.Cols, "rmsnorm gradient", dx, d, x, w.N)
	c.vector(call, of("rmsnorm_grad", x.DType), x.Rows, dx.At, res.At, d.At, x.At, rstd.At, w.At, word(x.Rows), word(x.Cols))
}

// Rope turns columns j and j+headDim/2 of each head by the angle of the row's
// position; y may be x.
func (c *Context) Rope(y, x Mat, pos Ints, cos, sin Mat, headDim int) {
	c.rope("Rope", y, x, pos, cos, sin, headDim, 0)
}

// RopeGrad is the inverse rotation.
func (c *Context) RopeGrad(dx, d Mat, pos Ints, cos, sin Mat, headDim int) {
	c.rope("RopeGrad", dx, d, pos, cos, sin, headDim, 1)
}

func (c *Context) rope(call string, y, x Mat, pos Ints, cos, sin Mat, headDim, inverse int) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && count(pos) == x.Rows && x.Cols%headDim == 0 && 2*cos.Cols == headDim, "rope", y, x, cos, headDim)
	c.vector(call, of("rope", x.DType), x.Rows, y.At, x.At, at(pos), cos.At, sin.At, word(x.Rows), word(x.Cols), word(headDim), word(inverse))
}
