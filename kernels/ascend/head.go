package ascend

// HeadLoss is the head's product and the loss in one, for x [S, hidden] and w
// [vocab, hidden]: it returns Σ weights·nll of x·wᵀ and writes its gradient in x to
// dx, unless that is Empty. Logits exist by blocks of the vocabulary only.
func (c *Context) HeadLoss(dx, x Mat, w Weight, targets Ints, weights Vec) Scalar {
	check(x.Cols == w.Cols && count(targets) == x.Rows && weights.N == x.Rows && (dx.Empty() || dx.Rows == x.Rows && dx.Cols == x.Cols), "head loss", dx, x, w)
	blocks := max(1, min(c.groups(), blocksOf(x.Rows, 16)*headRanges(x.Rows, w.Rows)))
	temps := c.temps(4*x.Rows, headWorkspace(x.Rows, dx.Cols, w.Rows, blocks))
	c.mixed("HeadLoss", of("head_loss", x.DType), blocks, temps[0], dx.At, x.At, w.At, at(targets), weights.At, temps[1], word(x.Rows), word(x.Cols), word(w.Rows))
	out := c.slot()
	c.vector("HeadLoss", "row_sum", 1, out.at, temps[0], word(x.Rows))
	return out
}
