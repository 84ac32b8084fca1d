package kernels

import (
	"runtime"
	"sync/atomic"

	"lorac/kernels/simd"
)

const (
	gradQueries = 112 // queries of a block: eight tiles of 14
	gradKeys    = 128 // keys of a task: few enough that one long sequence feeds many threads
	scoreStride = gradKeys + 16
	// The distance of the rows of ds is an odd number of cache lines, so that a
	// column of it does not fall into a few sets of the cache.
)

// AttentionGrad fills the gradients of q, k and v. The probabilities are
// rebuilt from lse (Dao et al. 2022, algorithm 4).
//
// A task has a block of keys of a key head, and sums their gradients over all
// queries. Those of the queries are sums over the blocks of keys: each block
// adds when the block before it has, so the order never changes.
func AttentionGrad(dq, dk, dv, do, q, k, v, o, lse Mat, starts, rows []int32, heads, kvHeads int, scale float32) {
	checkAttention(q, k, v, starts, rows, heads, kvHeads)
	f := &attentionGrad{attention: attention{o: o, lse: lse, q: q, k: k, v: v, rows: rows, share: heads / kvHeads, hd: q.Cols / heads, scale: scale},
		dq: dq, dk: dk, dv: dv, do: do}
	f.mr, f.nr = tileSize()
	tasks := gradTasks(spans(starts, rows, q.Rows, k.Rows), kvHeads)
	reserveAttention()
	f.delta = temp(&attentionDelta, q.Rows, heads)
	rowTasks(q.Rows, rowBlock, f.deltas)
	Parallel(len(tasks), func(worker, t int) {
		then := min(t+Threads(), len(tasks)-1) // the task this thread may well get next
		f.run(&attentionScratches[worker], &tasks[t], &tasks[then])
	})
}

// gradTasks cuts the sequences, the longest first, and each from its beginning,
// which most queries see: a block begins no sooner than the one whose sums it
// waits for.
func gradTasks(sequences []span, kvHeads int) (tasks []gradTask) {
	for _, sp := range longest(sequences) {
		turns := make([][]atomic.Int32, kvHeads)
		for g := range turns {
			turns[g] = make([]atomic.Int32, (sp.q1-sp.q0+gradQueries-1)/gradQueries)
		}
		for j0 := sp.first; j0 < sp.end; j0 += gradKeys {
			for g := range kvHeads {
				tasks = append(tasks, gradTask{sp, j0, min(j0+gradKeys, sp.end), g, turns[g]})
			}
		}
	}
	return tasks
}

type attentionGrad struct {
	attention
	dq, dk, dv, do Mat
	delta          Mat // do·o of each query and head
}

// attentionDelta is the memory of delta, which all tasks read.
var attentionDelta []float32

func (f *attentionGrad) deltas(from, to int) {
	for i := from; i < to; i++ {
		dots(f.delta.Row(i), f.do.Row(i), f.o.Row(i), f.hd)
	}
}

type gradTask struct {
	sp     span
	j0, j1 int
	g      int
	turns  []atomic.Int32 // per block of queries: how many blocks of keys have added theirs
}

// gradFloats is the scratch memory of a task.
func gradFloats(hd, nr int) int {
	const keys = gradKeys
	return 4*lines(hd*keys) + lines(roundUp(hd, nr)*keys) + 2*lines(hd*gradQueries) + lines(gradQueries*nr) + lines(gradQueries*scoreStride) + 2*lines(gradQueries)
}

// gradBlocks is the memory of a task: ᵀ marks panels that were transposed.
type gradBlocks struct {
	kt, vt   []float32 // [keys/nr][hd][nr]
	dkt, dvt []float32 // the same, sums
	kn       []float32 // [hd/nr][keys][nr]
	qn, don  []float32 // [queries][hd]
	p        []float32 // [queries][nr], of one panel of keys
	ds       []float32 // [queries][scoreStride]
	lse, del []float32 // of the queries
	seen     [gradQueries]int32
	ahead    *ahead
}

func (f *attentionGrad) run(w *attentionScratch, t, then *gradTask) {
	hd, nr, nk := f.hd, f.nr, t.j1-t.j0
	const keys = gradKeys
	mem := cutter(grow(&w.buf, gradFloats(hd, nr)))
	b := &gradBlocks{ahead: &w.ahead}
	for _, x := range []*[]float32{&b.kt, &b.vt, &b.dkt, &b.dvt} {
		*x = mem.cut(hd * keys)
	}
	b.kn = mem.cut(roundUp(hd, nr) * keys)
	b.qn, b.don = mem.cut(gradQueries*hd), mem.cut(gradQueries*hd)
	b.p, b.ds = mem.cut(gradQueries*nr), mem.cut(gradQueries*scoreStride)
	b.lse, b.del = mem.cut(gradQueries), mem.cut(gradQueries)
	clear(b.dkt)
	clear(b.dvt)
	kb := f.k.Slice(t.j0, t.j1).Columns(t.g*hd, (t.g+1)*hd)
	vb := f.v.Slice(t.j0, t.j1).Columns(t.g*hd, (t.g+1)*hd)
	for p := 0; p < nk; p += nr {
		rowsOf{kb}.pack(b.kt[p*hd:], p, min(nr, nk-p), 0, hd, nr)
		rowsOf{vb}.pack(b.vt[p*hd:], p, min(nr, nk-p), 0, hd, nr)
	}
	for c := 0; c < hd; c += nr {
		colsOf{kb}.pack(b.kn[c*nk:], c, min(nr, hd-c), 0, nk, nr)
	}
	// From the last queries, which all blocks of keys have, so that the blocks
	// add one behind the other from the start.
	for i := len(t.turns) - 1; i >= 0; i-- {
		q0 := t.sp.q0 + i*gradQueries
		q1 := min(q0+gradQueries, t.sp.q1)
		if position(f.rows, q1-1) < t.j0 {
			break
		}
		for h := t.g * f.share; h < (t.g+1)*f.share; h++ {
			f.ask(b.ahead, t, then, q0, q1, h)
			f.block(b, t, q0, q1, h)
			if h == t.g*f.share { // the first addition waits for its turn
				for t.turns[i].Load() != int32((t.j0-t.sp.first)/keys) {
					simd.Pause()
					runtime.Gosched()
				}
			}
			f.addQueries(b, t, q0, q1, h)
		}
		t.turns[i].Add(1)
	}
	for p := 0; p < nk; p += nr {
		transposeOut(f.dk, t.j0+p, min(nr, nk-p), t.g*hd, b.dkt[p*hd:], nr, hd, nil)
		transposeOut(f.dv, t.j0+p, min(nr, nk-p), t.g*hd, b.dvt[p*hd:], nr, hd, nil)
	}
}

// ask asks for what a block of queries will add to, and for the block behind
// it: the next head's, the one before, or the beginning of the next task.
func (f *attentionGrad) ask(a *ahead, t, then *gradTask, q0, q1, h int) {
	hd := f.hd
	a.reset()
	a.add(f.dq, q0, q1, h*hd, hd)
	if h++; h == (t.g+1)*f.share {
		h = t.g * f.share
		q0, q1 = max(q0-gradQueries, t.sp.q0), q0
		if q0 == q1 || position(f.rows, q1-1) < t.j0 {
			a.add(f.dk, t.j0, t.j1, t.g*hd, hd)
			a.add(f.dv, t.j0, t.j1, t.g*hd, hd)
			a.add(f.k, then.j0, then.j1, then.g*hd, hd)
			a.add(f.v, then.j0, then.j1, then.g*hd, hd)
			q0, q1 = max(then.sp.q1-gradQueries, then.sp.q0), then.sp.q1
			h = then.g * f.share
		}
	}
	a.add(f.q, q0, q1, h*hd, hd)
	a.add(f.do, q0, q1, h*hd, hd)
}

// block adds what the queries of a block give the keys, and leaves the
// gradients of their scores in ds.
func (f *attentionGrad) block(b *gradBlocks, t *gradTask, q0, q1, h int) {
	hd, nr, n, nk, stride := f.hd, f.nr, q1-q0, t.j1-t.j0, scoreStride
	copyBlock(b.qn, f.q, q0, q1, h*hd, hd)
	copyBlock(b.don, f.do, q0, q1, h*hd, hd)
	for i := range n {
		b.lse[i], b.del[i] = f.lse.Row(q0 + i)[h]*log2e, f.delta.Row(q0 + i)[h]
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
		f.tiles(b.p, nr, b.qn, b.kt[p*hd:], from, half, n, b.ahead)
		f.tiles(b.ds[p:], stride, b.don, b.vt[p*hd:], from, half, n, b.ahead)
		width := min(nr, nk-p)
		seen, i := b.seen[from:n], 0
		for ; i < len(seen) && position(f.rows, q0+from+i) < t.j0+p+width-1; i++ {
			seen[i] = int32(position(f.rows, q0+from+i) + 1 - t.j0 - p)
		}
		for ; i < len(seen); i++ {
			seen[i] = int32(width)
		}
		softmaxGrad(b.p[from*nr:n*nr], b.ds[from*stride+p:], nr, stride, seen, f.scale, b.lse[from:n], b.del[from:n])
		f.times(b.dvt[p*hd:], b.don[from*hd:], b.p[from*nr:], nr, n-from, true, b.ahead)
		f.times(b.dkt[p*hd:], b.qn[from*hd:], b.ds[from*stride+p:], stride, n-from, true, b.ahead)
		for i := from / f.mr * f.mr; i < from; i++ { // rows of a tile addQueries begins before from
			clear(b.ds[i*stride+p : i*stride+p+width])
		}
	}
}

// tiles multiplies rows [from, n) with a panel of keys; those up to half have
// use for its first 16 columns only.
func (f *attentionGrad) tiles(c []float32, ldc int, rows, panel []float32, from, half, n int, a *ahead) {
	hd := f.hd
	if from < half {
		tileRows(half-from, hd, rows[from*hd:], hd, panel, c[from*ldc:], ldc, 16, false, hint{})
	}
	if half < n {
		tileRows(n-half, hd, rows[half*hd:], hd, panel, c[half*ldc:], ldc, f.nr, false, a.hint((n-half)/f.mr*hd))
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
		if seen == nk { // and all behind see as much
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

// softmaxGrad turns scores of queries, a row each, for nr keys into
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
	case has256:
		simd.SoftmaxGrad256(&p[0], &ds[0], stride*4, len(seen), &seen[0], &lse[0], &delta[0], scale*log2e, scale, &columns[0])
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
