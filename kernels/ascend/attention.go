package ascend

// Attention: o = softmax(scale·q·kᵀ)·v and lse[i,h], the log of the denominator, of
// the sequences at starts: as the method of package kernels.
func (c *Context) Attention(o, lse, q, k, v Mat, starts, rows Ints, heads, kvHeads int, scale float32) {
	check(o.Rows == q.Rows && o.Cols == q.Cols && lse.Rows == q.Rows && lse.Cols == heads && lse.DType == F32 && k.Cols*heads == q.Cols*kvHeads, "attention", o, lse, q, k, v)
	size := q.Cols / heads
	blocks := c.attentionBlocks(q.Rows, count(starts), heads)
	ws := c.temps(AttentionWorkspace(blocks))[0]
	c.mixed("Attention", of("attention", q.DType), blocks, o.At, lse.At, q.At, k.At, v.At, at(starts), at(rows), ws,
		word(k.Rows), word(q.Rows), word(count(starts)), word(heads), word(kvHeads), word(size), bits(float64(scale)))
}

// AttentionGrad is the backward of Attention.
func (c *Context) AttentionGrad(dq, dk, dv, do, q, k, v, o, lse Mat, starts, rows Ints, heads, kvHeads int, scale float32) {
	check(dq.Rows == q.Rows && dk.Rows == k.Rows && dv.Rows == v.Rows && do.Rows == o.Rows && o.Rows == q.Rows && lse.Rows == q.Rows, "attention gradient", dq, dk, dv, do, o, lse)
	size := q.Cols / heads
	blocks := c.groups()
	ws := c.temps(AttentionGradWorkspace(blocks, k.Rows, q.Rows, heads, kvHeads, size))[0]
	c.mixed("AttentionGrad", of("attention_grad", q.DType), blocks, dq.At, dk.At, dv.At, do.At, q.At, k.At, v.At, o.At, lse.At, at(starts), at(rows), ws,
		word(k.Rows), word(q.Rows), word(count(starts)), pair(heads, kvHeads), word(size), bits(float64(scale)))
}

// attentionBlocks is how many groups of cores have work: blocks of 128 queries of a head.
func (c *Context) attentionBlocks(queries, seqs, heads int) int {
	return max(1, min(c.groups(), heads*(blocksOf(queries, 128)+seqs)))
}
