package ascend

// element is how many elements of a vector kernel are one piece of work.
const element = 2048

func (c *Context) elements(call, kernel string, n int, args ...uint64) {
	c.vector(call, kernel, blocksOf(n, element), append(args, word(n))...)
}

// Add: y = a + b; y may be either.
func (c *Context) Add(y, a, b Mat) {
	check(y.Rows == a.Rows && y.Cols == a.Cols && b.Rows == a.Rows && b.Cols == a.Cols, "add", y, a, b)
	c.elements("Add", of("add", y.DType), y.Rows*y.Cols, y.At, a.At, b.At)
}

// AddBias: y = x with b added to each row; y may be x.
func (c *Context) AddBias(y, x Mat, b Vec) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && b.N == x.Cols, "add bias", y, x, b.N)
	c.vector("AddBias", of("add_bias", x.DType), x.Rows, y.At, x.At, b.At, word(x.Rows), word(x.Cols))
}

// SwiGLU: h = silu(g)∘u.
func (c *Context) SwiGLU(h, g, u Mat) {
	check(h.Rows == g.Rows && h.Cols == g.Cols && u.Rows == g.Rows && u.Cols == g.Cols, "swiglu", h, g, u)
	c.elements("SwiGLU", of("swiglu", h.DType), h.Rows*h.Cols, h.At, g.At, u.At)
}

// SwiGLUGrad: dg = dh∘u∘silu'(g), du = dh∘silu(g).
func (c *Context) SwiGLUGrad(dg, du, dh, g, u Mat) {
	check(dg.Rows == g.Rows && dg.Cols == g.Cols && du.Rows == g.Rows && dh.Rows == g.Rows, "swiglu gradient", dg, du, dh, g, u)
	c.elements("SwiGLUGrad", of("swiglu_grad", g.DType), g.Rows*g.Cols, dg.At, du.At, dh.At, g.At, u.At)
}
