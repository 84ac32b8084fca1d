package kernels

import (
	"runtime"
	"slices"
	"sync/atomic"

	"lorac/kernels/simd"
)

const (
	gradQueries = 112 // queries of a block: eight tiles of 14
	gradKeys    = 128 // keys of a task: few enough that one long sequence feeds many threads
	scoreStride = gradKeys + 16
	// The row stride of ds is an odd number of cache lines, so that a column of
	// it does not fall into a few sets of the cache.
)

// AttentionGrad writes the gradients of q, k and v from that of o, do. The
// probabilities are recomputed from lse (Dao et al. 2022, algorithm 4).
//
// A task has a block of keys of a key head, and sums their gradients over all
// queries. Those of the queries are sums over the blocks of keys: each block
// adds when the block before it has, so the order never changes.
func (c *Context) AttentionGrad(dq, dk, dv, do, q, k, v, o, lse Mat, starts, rows Ints, heads, kvHeads int, scale float32) {
	checkAttention(q, k, v, starts, rows, heads, kvHeads)
	if slices.ContainsFunc(starts, func(s int32) bool { return s < 0 }) {
		panic("kernels: attention gradient: a row that does not see itself is for the forward pass alone")
	}
	f := &attentionGrad{attention: attention{o: o, lse: lse, q: q, k: k, v: v, rows: rows, share: heads / kvHeads, hd: q.Cols / heads, scale: scale},
		dq: dq, dk: dk, dv: dv, do: do}
	f.mr, f.nr = tileSize()
	tasks := gradTasks(spans(starts, rows, q.Rows, k.Rows), kvHeads)
	f.delta = temp(&c.delta, q.Rows, heads)
	c.rowTasks(q.Rows, rowBlock, f.deltas)
	c.Parallel(len(tasks), func(worker, t int) {
		next := min(t+c.Threads(), len(tasks)-1) // the task this thread will probably get next
		f.run(&c.workers[worker], &tasks[t], &tasks[next])
	})
}

// gradTasks splits the sequences, the longest first, and each from its beginning,
// which most queries see: a block begins no sooner than the one whose sums it
// waits for.
func gradTasks(sequences []span, kvHeads int) (tasks []gradTask) {
	for _, sp := range longestFirst(sequences) {
		added := make([][]atomic.Int32, kvHeads)
		for g := range added {
			added[g] = make([]atomic.Int32, (sp.q1-sp.q0+gradQueries-1)/gradQueries)
		}
		for j0 := sp.first; j0 < sp.end; j0 += gradKeys {
			for g := range kvHeads {
				tasks = append(tasks, gradTask{sp, j0, min(j0+gradKeys, sp.end), g, added[g]})
			}
		}
	}
	return tasks
}

type attentionGrad struct {
	attention
	dq, dk, dv, do Mat
	delta          Mat // do·o of each query and head, which all tasks read
}

func (f *attentionGrad) deltas(from, to int) {
	for i := from; i < to; i++ {
		dots(f.delta.Row(i), f.do.Row(i), f.o.Row(i), f.hd)
	}
}

type gradTask struct {
	sp     span
	j0, j1 int
	g      int
	added  []atomic.Int32 // per block of queries: how many blocks of keys have added their gradients
}

// gradFloats is the workspace of a task.
func gradFloats(hd, nr int) int {
	const keys = gradKeys
	return 4*lineFloats(hd*keys) + lineFloats(roundUp(hd, nr)*keys) + 2*lineFloats(hd*gradQueries) + lineFloats(gradQueries*nr) + lineFloats(gradQueries*scoreStride) + 2*lineFloats(gradQueries)
}

// gradBlocks is the memory of a task; t marks transposed panels.
type gradBlocks struct {
	kt, vt     []float32 // [keys/nr][hd][nr]
	dkt, dvt   []float32 // the same, sums
	kn         []float32 // [hd/nr][keys][nr]
	qn, don    []float32 // [queries][hd]
	p          []float32 // [queries][nr], of one panel of keys
	ds         []float32 // [queries][scoreStride]
	lse, delta []float32 // of the queries
	seen       [gradQueries]int32
	prefetch   *prefetchList
}

func (f *attentionGrad) run(ws *workspace, t, next *gradTask) {
	hd, nr, nk := f.hd, f.nr, t.j1-t.j0
	const keys = gradKeys
	mem := carver(grow(&ws.attention, gradFloats(hd, nr)))
	b := &gradBlocks{prefetch: &ws.prefetch}
	for _, x := range []*[]float32{&b.kt, &b.vt, &b.dkt, &b.dvt} {
		*x = mem.take(hd * keys)
	}
	b.kn = mem.take(roundUp(hd, nr) * keys)
	b.qn, b.don = mem.take(gradQueries*hd), mem.take(gradQueries*hd)
	b.p, b.ds = mem.take(gradQueries*nr), mem.take(gradQueries*scoreStride)
	b.lse, b.delta = mem.take(gradQueries), mem.take(gradQueries)
	clear(b.dkt)
	clear(b.dvt)
	kb := f.k.Slice(t.j0, t.j1).Columns(t.g*hd, (t.g+1)*hd)
	vb := f.v.Slice(t.j0, t.j1).Columns(t.g*hd, (t.g+1)*hd)
	for p := 0; p < nk; p += nr {
		rowsOf{kb}.pack(ws, b.kt[p*hd:], p, min(nr, nk-p), 0, hd, nr)
		rowsOf{vb}.pack(ws, b.vt[p*hd:], p, min(nr, nk-p), 0, hd, nr)
	}
	for c := 0; c < hd; c += nr {
		colsOf{kb}.pack(ws, b.kn[c*nk:], c, min(nr, hd-c), 0, nk, nr)
	}
	// From the last queries, which all blocks of keys have, so that the blocks
	// add one after the other from the start.
	for i := len(t.added) - 1; i >= 0; i-- {
		q0 := t.sp.q0 + i*gradQueries
		q1 := min(q0+gradQueries, t.sp.q1)
		if position(f.rows, q1-1) < t.j0 {
			break
		}
		for h := t.g * f.share; h < (t.g+1)*f.share; h++ {
			f.prefetchNext(b.prefetch, t, next, q0, q1, h)
			f.block(b, t, q0, q1, h)
			if h == t.g*f.share { // the first addition waits for the block before
				for t.added[i].Load() != int32((t.j0-t.sp.first)/keys) {
					simd.Pause()
					runtime.Gosched()
				}
			}
			f.addQueries(b, t, q0, q1, h)
		}
		t.added[i].Add(1)
	}
	for p := 0; p < nk; p += nr {
		transposeOut(f.dk, t.j0+p, min(nr, nk-p), t.g*hd, b.dkt[p*hd:], nr, hd, nil)
		transposeOut(f.dv, t.j0+p, min(nr, nk-p), t.g*hd, b.dvt[p*hd:], nr, hd, nil)
	}
}

// prefetchNext lists what a block of queries will add to, and the block that
// follows: the next head's, the one before, or the beginning of the next task.
func (f *attentionGrad) prefetchNext(l *prefetchList, t, next *gradTask, q0, q1, h int) {
	hd := f.hd
	l.reset()
	l.add(f.dq, q0, q1, h*hd, hd)
	if h++; h == (t.g+1)*f.share {
		h = t.g * f.share
		q0, q1 = max(q0-gradQueries, t.sp.q0), q0
		if q0 == q1 || position(f.rows, q1-1) < t.j0 {
			l.add(f.dk, t.j0, t.j1, t.g*hd, hd)
			l.add(f.dv, t.j0, t.j1, t.g*hd, hd)
			l.add(f.k, next.j0, next.j1, next.g*hd, hd)
			l.add(f.v, next.j0, next.j1, next.g*hd, hd)
			q0, q1 = max(next.sp.q1-gradQueries, next.sp.q0), next.sp.q1
			h = next.g * f.share
		}
	}
	l.add(f.q, q0, q1, h*hd, hd)
	l.add(f.do, q0, q1, h*hd, hd)
}

// block adds what the queries of a block give the keys, and leaves the
// gradients of their scores in ds.
func (f *attentionGrad) block(b *gradBlocks, t *gradTask, q0, q1, h int) {
	hd, nr, n, nk, stride := f.hd, f.nr, q1-q0, t.j1-t.j0, scoreStride
	copyBlock(b.qn, f.q, q0, q1, h*hd, hd)
	copyBlock(b.don, f.do, q0, q1, h*hd, hd)
	for i := range n {
		b.lse[i], b.delta[i] = f.lse.Row(q0 + i)[h]*log2e, f.delta.Row(q0 + i)[h]
	}
	for p := 0; p < nk; p += nr {
		from := f.firstSeeing(t, q0, q1, t.j0+p)
		if from >= n {
			break
		}
		half := from // the first query that sees more than half a panel of 32
		if nr == 32 {
			half = min(f.firstSeeing(t, q0, q1, t.j0+p+16), n)
		}
		f.tiles(b.p, nr, b.qn, b.kt[p*hd:], from, half, n, b.prefetch)
		f.tiles(b.ds[p:], stride, b.don, b.vt[p*hd:], from, half, n, b.prefetch)
		width := min(nr, nk-p)
		seen, i := b.seen[from:n], 0
		for ; i < len(seen) && position(f.rows, q0+from+i) < t.j0+p+width-1; i++ {
			seen[i] = int32(position(f.rows, q0+from+i) + 1 - t.j0 - p)
		}
		for ; i < len(seen); i++ {
			seen[i] = int32(width)
		}
		softmaxGrad(b.p[from*nr:n*nr], b.ds[from*stride+p:], nr, stride, seen, f.scale, b.lse[from:n], b.delta[from:n])
		f.timesT(b.dvt[p*hd:], b.don[from*hd:], b.p[from*nr:], nr, n-from, true, b.prefetch)
		f.timesT(b.dkt[p*hd:], b.qn[from*hd:], b.ds[from*stride+p:], stride, n-from, true, b.prefetch)
		for i := from / f.mr * f.mr; i < from; i++ { // rows of a tile addQueries begins before from
			clear(b.ds[i*stride+p : i*stride+p+width])
		}
	}
}

// tiles multiplies rows [from, n) with a panel of keys; those up to half need
// its first 16 columns only.
func (f *attentionGrad) tiles(c []float32, ldc int, rows, panel []float32, from, half, n int, l *prefetchList) {
	hd := f.hd
	if from < half {
		tileRows(half-from, hd, rows[from*hd:], hd, panel, c[from*ldc:], ldc, 16, false, hint{})
	}
	if half < n {
		tileRows(n-half, hd, rows[half*hd:], hd, panel, c[half*ldc:], ldc, f.nr, false, l.hint((n-half)/f.mr*hd))
	}
}

// firstSeeing is the first query of a block, from 0, that sees a key.
func (f *attentionGrad) firstSeeing(t *gradTask, q0, q1, key int) int {
	if f.rows == nil {
		return max(key-q0, 0)
	}
	i := 0
	for i < q1-q0 && position(f.rows, q0+i) < key {
		i++
	}
	return i
}

// addQueries adds ds·k to the gradients of the queries; the first block of
// keys, which every query sees, begins the sum.
func (f *attentionGrad) addQueries(b *gradBlocks, t *gradTask, q0, q1, h int) {
	hd, mr, nr, n, nk, stride := f.hd, f.mr, f.nr, q1-q0, t.j1-t.j0, scoreStride
	for i := 0; i < n; {
		r := min(mr, n-i)
		seen := min(position(f.rows, q0+i+r-1)+1-t.j0, nk)
		if seen == nk { // and all that follow see as much
			r = n - i
		}
		for c := 0; c < hd && seen > 0; c += nr {
			at := (q0+i)*f.dq.Stride + h*hd + c
			tileRows(r, seen, b.ds[i*stride:], stride, b.kn[c*nk:], f.dq.Data[at:], f.dq.Stride, min(nr, hd-c), t.j0 > t.sp.first, hint{})
		}
		i += r
	}
}

// columns are the numbers of the columns of a panel.
var columns = [16]int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// softmaxGrad added scores of queries, a row each, for nr keys into
// probabilities, and the gradients of those, in rows stride apart, into the
// gradients of the unscaled scores: ds = p·(ds − delta)·scale. A query sees the
// first few keys. lse is in base 2.
func softmaxGrad(p, ds []float32, nr, stride int, seen []int32, scale float32, lse, delta []float32) {
	if len(seen) == 0 {
		return
	}
	switch {
	case has512:
		simd.SoftmaxGrad512(&p[0], &ds[0], stride*4, len(seen), &seen[0], &lse[0], &delta[0], scale*log2e, scale)
		return
	case has8:
		simd.SoftmaxGrad8(&p[0], &ds[0], stride*4, len(seen), &seen[0], &lse[0], &delta[0], scale*log2e, scale, &columns[0])
		return
	}
	for i, n := range seen {
		row, grad := p[i*nr:(i+1)*nr], ds[i*stride:i*stride+nr]
		shift := lse[i] * ln2
		for j, x := range row[:n] {
			x = probability(x*scale - shift)
			row[j], grad[j] = x, x*(grad[j]-delta[i])*scale
		}
		clear(row[n:])
		clear(grad[n:])
	}
}
