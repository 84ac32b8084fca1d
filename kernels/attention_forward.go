package kernels

import (
	"math"

	"lorac/kernels/simd"
)

const (
	attnLanes = 256 // queries of a task, over all heads that share a key head
	attnKeys  = 126 // keys of a block at most: nine tiles of 14
	log2e     = 1.4426950408889634
	ln2       = 0.6931471805599453
)

// Attention: o = softmax(scale·q·kᵀ)·v and lse[i,h], the log of the denominator,
// of the sequences at starts: q and o [queries, heads·size], k and v [rows,
// kvHeads·size], lse [queries, heads]. Query i is row rows[i], or row i where
// rows is nil, and sees the rows of its sequence up to its own; where a start s is
// given as ^s, the last row of the sequence does not see itself. scale is above 0.
//
// A task has some queries of all heads of a key head, and goes through their
// keys in blocks. The scores of 32 queries are a panel, a key a row, so that the
// softmax works on whole registers and the panel is the operand of the product
// with v as it is. Tiles above the diagonal are not computed.
func (c *Context) Attention(o, lse, q, k, v Mat, starts, rows Ints, heads, kvHeads int, scale float32) {
	checkAttention(q, k, v, starts, rows, heads, kvHeads)
	f := &attention{o: o, lse: lse, q: q, k: k, v: v, rows: rows, share: heads / kvHeads, hd: q.Cols / heads, scale: scale}
	f.mr, f.nr = tileSize()
	tasks := forwardTasks(spans(starts, rows, q.Rows, k.Rows), kvHeads, f.share, f.nr)
	c.Parallel(len(tasks), func(worker, t int) {
		next := min(t+c.Threads(), len(tasks)-1) // the task this thread will probably get next
		f.run(&c.workers[worker], &tasks[t], &tasks[next])
	})
}

// forwardTasks splits the sequences, the longest first, and each from its end,
// where a query sees most.
func forwardTasks(sequences []span, kvHeads, share, nr int) (tasks []attentionTask) {
	block := forwardQueries(share, nr)
	for _, sp := range longestFirst(sequences) {
		for n := (sp.q1 - sp.q0 + block - 1) / block; n > 0; n-- {
			q0 := sp.q0 + (n-1)*block
			for g := range kvHeads {
				tasks = append(tasks, attentionTask{sp, q0, min(q0+block, sp.q1), g})
			}
		}
	}
	return tasks
}

// forwardQueries is how many queries of a head a task has.
func forwardQueries(share, nr int) int { return max(nr, attnLanes/share/nr*nr) }

// attention is what the tasks of a forward pass share.
type attention struct {
	o, lse, q, k, v Mat
	rows            []int32
	share, hd       int // query heads of a key head, head size
	mr, nr          int
	scale           float32
}

type attentionTask struct {
	sp     span
	q0, q1 int
	g      int // key head
}

// forwardFloats is the workspace of a task.
func forwardFloats(share, hd, nr int) int {
	lanes := share * forwardQueries(share, nr)
	return 2*lineFloats(hd*lanes) + 2*lineFloats(attnKeys*hd) + lineFloats(attnKeys*nr) + 2*lineFloats(lanes) + 2*lineFloats(nr)
}

func (f *attention) run(ws *workspace, t, next *attentionTask) {
	hd, nr := f.hd, f.nr
	n := t.q1 - t.q0
	panels := (n + nr - 1) / nr // of a head
	lanes := f.share * panels * nr
	mem := carver(grow(&ws.attention, forwardFloats(f.share, hd, nr)))
	qt, ot := mem.take(hd*lanes), mem.take(hd*lanes)
	kb, vb, s := mem.take(attnKeys*hd), mem.take(attnKeys*hd), mem.take(attnKeys*nr)
	top, sum, rescale := mem.take(lanes), mem.take(lanes), mem.take(nr)
	for i := range top {
		top[i], sum[i] = float32(math.Inf(-1)), 0
	}
	for h := range f.share {
		qb := f.q.Slice(t.q0, t.q1).Columns((t.g*f.share+h)*hd, (t.g*f.share+h+1)*hd)
		for p := range panels {
			rowsOf{qb}.pack(ws, qt[(h*panels+p)*nr*hd:], p*nr, min(nr, n-p*nr), 0, hd, nr)
		}
	}
	last := t.sp.seen(f.rows, t.q1-1)
	size := keyBlock(last - t.sp.first)
	for j0 := t.sp.first; j0 < last; j0 += size {
		nk := min(size, last-j0)
		copyBlock(kb, f.k, j0, j0+nk, t.g*hd, hd)
		copyBlock(vb, f.v, j0, j0+nk, t.g*hd, hd)
		f.prefetchNext(&ws.prefetch, t, next, j0+nk, last, size)
		for p := range panels {
			q0 := t.q0 + p*nr
			seen := min(nk, t.sp.seen(f.rows, min(q0+nr, t.q1)-1)-j0)
			if seen <= 0 {
				continue
			}
			var keys [32]int32 // that each query of the panel sees
			for i := range nr {
				keys[i] = int32(t.sp.seen(f.rows, min(q0+i, t.q1-1)) - j0)
			}
			for h := range f.share {
				at := h*panels + p
				f.scores(s, kb, qt[at*nr*hd:], seen, int(keys[15]), &ws.prefetch)
				softmaxCols(s, nr, seen, &keys, f.scale, top[at*nr:], sum[at*nr:], rescale)
				out := ot[at*nr*hd : (at+1)*nr*hd]
				if j0 > t.sp.first {
					scaleCols(out, rescale[:nr])
				}
				f.timesT(out, vb, s, nr, seen, j0 > t.sp.first, &ws.prefetch)
			}
		}
	}
	for h := range f.share {
		head := t.g*f.share + h
		for p := range panels {
			at, q0 := (h*panels+p)*nr, t.q0+p*nr
			endSoftmax(rescale, top[at:at+nr], sum[at:at+nr], f.scale)
			for i := range min(nr, t.q1-q0) {
				f.lse.Row(q0 + i)[head] = rescale[i]
			}
			transposeOut(f.o, q0, min(nr, t.q1-q0), head*hd, ot[at*hd:], nr, hd, sum[at:at+nr])
		}
	}
}

// keyBlock is the size of the blocks n keys are split into: about equal, so that
// none is a few keys only, and whole tiles.
func keyBlock(n int) int {
	blocks := (n + attnKeys - 1) / attnKeys
	return min(roundUp((n+blocks-1)/blocks, 14), attnKeys)
}

// prefetchNext lists, while a block of keys is processed, the next one, which
// begins at key j; during the last two also what follows them.
func (f *attention) prefetchNext(l *prefetchList, t, next *attentionTask, j, last, size int) {
	if j >= last && j-size > t.sp.first { // the block before has listed the rest
		return
	}
	hd, share := f.hd, f.share
	keys := func(from, to, g int) {
		l.add(f.k, from, to, g*hd, hd)
		l.add(f.v, from, to, g*hd, hd)
	}
	l.reset()
	keys(j, min(j+size, last), t.g)
	if j+size >= last {
		l.add(f.o, t.q0, t.q1, t.g*share*hd, share*hd)
		l.add(f.q, next.q0, next.q1, next.g*share*hd, share*hd)
		first, end := next.sp.first, next.sp.seen(f.rows, next.q1-1)
		keys(first, min(first+keyBlock(end-first), end), next.g)
	}
}

// scores multiplies the keys that some query of a panel sees with the queries.
// Those after the first half keys are not seen by the first half of 32.
func (f *attention) scores(s, k, q []float32, seen, half int, l *prefetchList) {
	hd, nr := f.hd, f.nr
	if nr < 32 {
		half = seen
	}
	half = max(min(half, seen), 0)
	tileRows(half, hd, k, hd, q, s, nr, nr, false, l.hint(half/f.mr*hd))
	if half < seen {
		tileRows(seen-half, hd, k[half*hd:], hd, q[16:], s[half*nr+16:], nr, 16, false, hint{})
	}
}

// timesT is or adds vᵀ·p for a panel of queries: out[c, i] = Σ_j v[j, c]·p[j, i].
func (f *attention) timesT(out, v, p []float32, ldp, keys int, acc bool, l *prefetchList) {
	parts := (f.hd + f.mr - 1) / f.mr
	for i := range parts {
		c0, c1 := f.hd*i/parts, f.hd*(i+1)/parts
		tileStrided(c1-c0, keys, v[c0:], f.hd, p, ldp, out[c0*f.nr:], f.nr, f.nr, acc, l.hint(keys))
	}
}

// softmaxCols updates the online softmax of nr queries, the columns of the panel
// s, by the scores of seen more keys, its rows, of which each query sees the
// first few: s becomes exp(scale·s − scale·top), sum and top are updated, and
// rescale is what the sums so far were multiplied by.
func softmaxCols(s []float32, nr, seen int, keys *[32]int32, scale float32, top, sum, rescale []float32) {
	full := max(min(int(keys[0]), seen), 0)
	switch {
	case has512:
		simd.SoftmaxCols512(&s[0], full, seen, &keys[0], scale*log2e, &top[0], &sum[0], &rescale[0])
		return
	case has8:
		simd.SoftmaxCols8(&s[0], full, seen, &keys[0], scale*log2e, &top[0], &sum[0], &rescale[0])
		return
	}
	for i := range nr {
		n := max(min(int(keys[i]), seen), 0)
		m := top[i]
		for j := range n {
			if x := s[j*nr+i]; x > m {
				m = x
			}
		}
		rescale[i] = probability((top[i] - m) * scale)
		if top[i] == m {
			rescale[i] = 1
		}
		total := sum[i] * rescale[i]
		for j := range seen {
			x := float32(0)
			if j < n {
				x = probability((s[j*nr+i] - m) * scale)
			}
			s[j*nr+i] = x
			total += x
		}
		top[i], sum[i] = m, total
	}
}

// endSoftmax ends the softmax of some columns: lse = scale·top + ln(sum), and sum
// becomes its inverse.
func endSoftmax(lse, top, sum []float32, scale float32) {
	if has512 {
		simd.LogSum512(&lse[0], &top[0], &sum[0], scale)
		return
	}
	for i, x := range sum {
		lse[i] = top[i]*scale + float32(math.Log(float64(x)))
		sum[i] = 1 / x
	}
}

// scaleCols scales the columns of a panel.
func scaleCols(out, factor []float32) {
	switch {
	case len(out) == 0:
		return
	case has512:
		simd.ScaleCols512(&out[0], len(out)/len(factor), &factor[0])
		return
	case has8:
		simd.ScaleCols8(&out[0], len(out)/len(factor), &factor[0])
		return
	}
	for at := 0; at < len(out); at += len(factor) {
		row := out[at : at+len(factor)]
		for i := range row {
			row[i] *= factor[i]
		}
	}
}
