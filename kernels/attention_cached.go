package kernels

// CachedAttention is the causal attention of the next rows of one sequence:
// row i of k and v goes to row pos[i] of keys and values, and query i reads
// the rows of these up to its own. pos ascends and is within the caches.
func (c *Context) CachedAttention(out, q, k, v Mat, pos Ints, keys, values Mat, heads, kvHeads int, scale float32) {
	check(len(pos) == q.Rows && k.Rows == q.Rows && v.Rows == q.Rows && k.Cols == keys.Cols && v.Cols == values.Cols && keys.Rows == values.Rows,
		"cached attention", q, k, v, keys, values, len(pos))
	if len(pos) == 0 {
		return
	}
	end := int(pos[len(pos)-1]) + 1
	check(end <= keys.Rows, "cached attention", keys, end)
	for i, at := range pos {
		copy(keys.Row(int(at)), k.Row(i))
		copy(values.Row(int(at)), v.Row(i))
	}
	lse := NewMat(q.Rows, heads)
	c.Attention(out, lse, q, keys.Slice(0, end), values.Slice(0, end), []int32{0}, pos, heads, kvHeads, scale)
}
