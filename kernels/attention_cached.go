package kernels

// CachedAttention is the causal attention of the next rows of some texts. Text n
// has the rows from starts[n] on, and the caches from row base[n] on: row i of k and
// v goes to row base[n] + pos[i] of keys and values, and query i reads the rows of
// its text up to its own. pos ascends in a text; texts are within the caches and do
// not overlap there. Without starts there is one text, at row 0.
func (c *Context) CachedAttention(out, q, k, v Mat, pos Ints, keys, values Mat, starts, base Ints, heads, kvHeads int, scale float32) {
	if starts == nil {
		starts, base = []int32{0}, []int32{0}
	}
	check(len(pos) == q.Rows && k.Rows == q.Rows && v.Rows == q.Rows && k.Cols == keys.Cols && v.Cols == values.Cols && keys.Rows == values.Rows && len(starts) == len(base),
		"cached attention", q, k, v, keys, values, len(pos), len(starts), len(base))
	var alone []cachedQuery
	for n, from := range starts {
		to := len(pos)
		if n+1 < len(starts) {
			to = int(starts[n+1])
		}
		if int(from) == to {
			continue
		}
		first, end := int(base[n]), int(base[n])+int(pos[to-1])+1
		check(end <= keys.Rows, "cached attention", keys, end)
		for i := int(from); i < to; i++ {
			copy(keys.Row(first+int(pos[i])), k.Row(i))
			copy(values.Row(first+int(pos[i])), v.Row(i))
		}
		if to-int(from) == 1 {
			alone = append(alone, cachedQuery{int(from), keys.Slice(first, end), values.Slice(first, end)})
			continue
		}
		lse := NewMat(to-int(from), heads)
		c.Attention(out.Slice(int(from), to), lse, q.Slice(int(from), to), keys.Slice(first, end), values.Slice(first, end), []int32{0}, pos[from:to], heads, kvHeads, scale)
	}
	c.Parallel(len(alone)*kvHeads, func(worker, t int) {
		a, g := alone[t/kvHeads], t%kvHeads
		a.attend(&c.workers[worker], out.Row(a.row), q.Row(a.row), g, heads/kvHeads, q.Cols/heads, scale)
	})
}

// cachedQuery is the one next row of a text, and the keys and values that it reads.
type cachedQuery struct {
	row          int
	keys, values Mat
}

// cachedKeys is how many keys a block of a cachedQuery has.
const cachedKeys = 1024

// attend computes the query heads that share key head g, block by block of the keys:
// scores are products of few rows, probabilities are relative to the largest score so
// far.
func (a *cachedQuery) attend(ws *workspace, out, q []float32, g, share, hd int, scale float32) {
	_, nr := tileSize()
	mem := carver(grow(&ws.attention, cachedFloats(share, nr)))
	scores, panel := mem.take(share*cachedKeys), mem.take(attnKeys*nr)
	top, sum := mem.take(share), mem.take(share)
	x := fewX{Mat: MatOf(q[g*share*hd:(g+1)*share*hd], share, hd)}
	o := MatOf(out[g*share*hd:(g+1)*share*hd], share, hd)
	for from := 0; from < a.keys.Rows; from += cachedKeys {
		n := min(cachedKeys, a.keys.Rows-from)
		p := Mat{scores, share, n, cachedKeys}
		x.times(p, a.keys.Slice(from, from+n).Columns(g*hd, (g+1)*hd).view(), 0)
		for h := range share {
			row := p.Row(h)
			scaleRow(row, row, scale)
			most := maxOf(row)
			if from == 0 {
				sum[h] = 0
			} else if most <= top[h] {
				most = top[h]
			} else {
				by := probability(top[h] - most)
				sum[h] *= by
				scaleRow(o.Row(h), o.Row(h), by)
			}
			sum[h] += expSum(row, row, most)
			top[h] = most
		}
		for c0 := 0; c0 < hd; c0 += nr {
			cols := min(nr, hd-c0)
			for j := 0; j < n; j += attnKeys {
				nk := min(attnKeys, n-j)
				colsOf{a.values}.pack(ws, panel[:nk*nr], g*hd+c0, cols, from+j, nk, nr)
				tileRows(share, nk, p.Data[j:], p.Stride, panel, o.Data[c0:], hd, cols, from+j > 0, hint{})
			}
		}
	}
	for h := range share {
		scaleRow(o.Row(h), o.Row(h), 1/sum[h])
	}
}

// cachedFloats is the workspace of attend.
func cachedFloats(share, nr int) int {
	return lineFloats(share*cachedKeys) + lineFloats(attnKeys*nr) + 2*lineFloats(share)
}
