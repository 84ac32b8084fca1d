package kernels

import (
	"fmt"
	"math"
)

// Causal attention over sequences laid end to end, block by block, so that
// the scores never exist whole (Rabe & Staats 2021; Dao et al. 2022). Sequence
// n begins at row starts[n] and ends where the next one begins. Query head h
// reads key head h/(heads/kvHeads). With rows, query i stands at absolute row
// rows[i] (ascending); rows nil means row i.

const (
	blockQ = 112 // query rows of a block
	blockJ = 256 // keys of a block
)

// span is a run of queries of one sequence.
type span struct {
	first, end int // rows of keys of the sequence
	q0, q1     int // its queries
}

// spans cuts the queries by sequence.
func spans(starts, rows []int32, nq, nk int) []span {
	var out []span
	q := 0
	for n, s := range starts {
		end := nk
		if n+1 < len(starts) {
			end = int(starts[n+1])
		}
		sp := span{first: int(s), end: end, q0: q}
		for q < nq && position(rows, q) < end {
			q++
		}
		sp.q1 = q
		out = append(out, sp)
	}
	return out
}

func position(rows []int32, i int) int {
	if rows == nil {
		return i
	}
	return int(rows[i])
}

func checkAttention(q, k, v Mat, starts, rows []int32, heads, kvHeads int) {
	check(heads > 0 && kvHeads > 0 && heads%kvHeads == 0 && q.Cols%heads == 0 && k.Cols*heads == q.Cols*kvHeads &&
		v.Rows == k.Rows && v.Cols == k.Cols && (rows == nil && q.Rows == k.Rows || rows != nil && len(rows) == q.Rows),
		"attention", q, k, v, len(starts), len(rows), heads, kvHeads)
	last := int32(0)
	for n, s := range starts {
		if s < last || n == 0 && s != 0 || int(s) > k.Rows {
			panic(fmt.Sprintf("kernels: attention: sequence %d of %d begins at row %d of %d, the one before at %d", n, len(starts), s, k.Rows, last))
		}
		last = s
	}
	if len(starts) == 0 && k.Rows > 0 {
		panic(fmt.Sprintf("kernels: attention: %d rows and no sequence", k.Rows))
	}
	last = -1
	for i, r := range rows {
		if r <= last || int(r) >= k.Rows {
			panic(fmt.Sprintf("kernels: attention: rows of queries ascend within %d, query %d stands at %d behind %d", k.Rows, i, r, last))
		}
		last = r
	}
}

// Attention: o = softmax(scale·q·kᵀ)·v, lse[i,h] the log of the denominator.
func Attention(o, lse, q, k, v Mat, starts, rows []int32, heads, kvHeads int, scale float32) {
	checkAttention(q, k, v, starts, rows, heads, kvHeads)
	hd := q.Cols / heads
	type task struct {
		sp     span
		q0, q1 int
		h      int
	}
	var tasks []task
	for _, sp := range spans(starts, rows, q.Rows, k.Rows) {
		for q0 := sp.q0; q0 < sp.q1; q0 += blockQ {
			for h := range heads {
				tasks = append(tasks, task{sp, q0, min(q0+blockQ, sp.q1), h})
			}
		}
	}
	reserveSerial()
	Parallel(len(tasks), func(worker, t int) {
		ts := tasks[t]
		w := &serials[worker]
		g := ts.h / (heads / kvHeads)
		qb := q.Slice(ts.q0, ts.q1).Columns(ts.h*hd, (ts.h+1)*hd)
		ob := o.Slice(ts.q0, ts.q1).Columns(ts.h*hd, (ts.h+1)*hd)
		var top, sum [blockQ]float32
		for i := range top {
			top[i] = float32(math.Inf(-1))
		}
		last := position(rows, ts.q1-1) + 1
		for j0 := ts.sp.first; j0 < last; j0 += blockJ {
			j1 := min(j0+blockJ, last)
			s := MatOf(grow(&w.s, qb.Rows*(j1-j0)), qb.Rows, j1-j0)
			w.multiply(qb.Rows, hd, rowsOf{qb}, product{s, rowsOf{k.Slice(j0, j1).Columns(g*hd, (g+1)*hd)}, j1 - j0, false})
			for i := range qb.Rows {
				row := s.Row(i)
				seen := min(max(position(rows, ts.q0+i)+1-j0, 0), len(row))
				m := scaleMax(row[:seen], scale, top[i])
				clear(row[seen:])
				shrink := float32(0)
				if m == top[i] {
					shrink = 1
				} else if !math.IsInf(float64(top[i]), -1) {
					shrink = exp32(top[i] - m)
				}
				sum[i] = sum[i]*shrink + expSum(row[:seen], row[:seen], m)
				if shrink != 1 && j0 > ts.sp.first {
					for c, x := range ob.Row(i) {
						ob.Row(i)[c] = x * shrink
					}
				}
				top[i] = m
			}
			w.multiply(qb.Rows, j1-j0, rowsOf{s}, product{ob, colsOf{v.Slice(j0, j1).Columns(g*hd, (g+1)*hd)}, hd, j0 > ts.sp.first})
		}
		for i := range qb.Rows {
			inv := 1 / sum[i]
			for c, x := range ob.Row(i) {
				ob.Row(i)[c] = x * inv
			}
			lse.Row(ts.q0 + i)[ts.h] = top[i] + float32(math.Log(float64(sum[i])))
		}
	})
}

// scaleMax scales the row and returns its greatest element, at least low.
func scaleMax(row []float32, scale, low float32) float32 {
	if has512 && len(row) > 0 {
		return scaleMax512(&row[0], len(row), scale, low)
	}
	for j, x := range row {
		x *= scale
		row[j] = x
		if x > low {
			low = x
		}
	}
	return low
}

// AttentionGrad fills the gradients of q, k and v. The probabilities are
// rebuilt from lse. One task sums a whole key head of a sequence, in order.
func AttentionGrad(dq, dk, dv, do, q, k, v, o, lse Mat, starts, rows []int32, heads, kvHeads int, scale float32) {
	checkAttention(q, k, v, starts, rows, heads, kvHeads)
	hd := q.Cols / heads
	sps := spans(starts, rows, q.Rows, k.Rows)
	reserveSerial()
	Parallel(len(sps)*kvHeads, func(worker, t int) {
		w := &serials[worker]
		sp, g := sps[t/kvHeads], t%kvHeads
		head := func(m Mat, r0, r1, h int) Mat { return m.Slice(r0, r1).Columns(h*hd, (h+1)*hd) }
		zeroMat(head(dk, sp.first, sp.end, g))
		zeroMat(head(dv, sp.first, sp.end, g))
		zeroMat(dq.Slice(sp.q0, sp.q1).Columns(g*hd*heads/kvHeads, (g+1)*hd*heads/kvHeads))
		for j0 := sp.first; j0 < sp.end; j0 += blockJ {
			j1 := min(j0+blockJ, sp.end)
			for q0 := sp.q0; q0 < sp.q1; q0 += blockQ {
				q1 := min(q0+blockQ, sp.q1)
				last := min(position(rows, q1-1)+1, j1)
				if last <= j0 {
					continue
				}
				n, nk := q1-q0, last-j0
				kb, vb := head(k, j0, last, g), head(v, j0, last, g)
				for h := g * heads / kvHeads; h < (g+1)*heads/kvHeads; h++ {
					qb, dob, ob := head(q, q0, q1, h), head(do, q0, q1, h), head(o, q0, q1, h)
					p := MatOf(grow(&w.s, n*nk), n, nk)
					ds := MatOf(grow(&w.d, n*nk), n, nk)
					w.multiply(n, hd, rowsOf{qb}, product{p, rowsOf{kb}, nk, false})
					w.multiply(n, hd, rowsOf{dob}, product{ds, rowsOf{vb}, nk, false})
					for i := range n {
						seen := min(max(position(rows, q0+i)+1-j0, 0), nk)
						softmaxGradRow(p.Row(i), ds.Row(i), seen, scale, lse.Row(q0 + i)[h], dot(dob.Row(i), ob.Row(i)))
					}
					w.multiply(nk, n, colsOf{p}, product{head(dv, j0, last, g), colsOf{dob}, hd, true})
					w.multiply(nk, n, colsOf{ds}, product{head(dk, j0, last, g), colsOf{qb}, hd, true})
					w.multiply(n, nk, rowsOf{ds}, product{head(dq, q0, q1, h), colsOf{kb}, hd, true})
				}
			}
		}
	})
}

// softmaxGradRow turns scores into probabilities and their gradients into
// those of the unscaled scores: ds = p·(dp − delta)·scale.
func softmaxGradRow(p, ds []float32, seen int, scale, lse, delta float32) {
	clear(p[seen:])
	clear(ds[seen:])
	if has512 && seen > 0 {
		softmaxGrad512(&p[0], &ds[0], seen, scale, lse, delta)
		return
	}
	for j, x := range p[:seen] {
		x = exp32(x*scale - lse)
		p[j], ds[j] = x, x*(ds[j]-delta)*scale
	}
}

func dot(a, b []float32) float32 {
	var s, t float32
	i := 0
	for ; i+2 <= len(a); i += 2 {
		s += a[i] * b[i]
		t += a[i+1] * b[i+1]
	}
	if i < len(a) {
		s += a[i] * b[i]
	}
	return s + t
}

// serial multiplies small matrices inside a task, in memory of its own.
type serial struct {
	a, b, s, d []float32
}

var serials []serial

func reserveSerial() {
	for len(serials) < Threads() {
		serials = append(serials, serial{})
	}
}

func (w *serial) multiply(m, k int, a packer, o product) {
	if m == 0 || k == 0 {
		return
	}
	mr, nr := tileSize()
	np := (m + mr - 1) / mr
	ap := &panelsA{k: k, n: np, base: m / np, big: m - m/np*np, data: grow(&w.a, m*k+32)}
	for i := range np {
		r := ap.rows(i)
		a.pack(ap.data[ap.first(i)*k:ap.first(i)*k+r*k], ap.first(i), r, 0, k, r)
	}
	bp := grow(&w.b, k*nr)
	for p := 0; p < o.n; p += nr {
		n := min(nr, o.n-p)
		o.b.pack(bp[:k*nr], p, n, 0, k, nr)
		for i := range np {
			tile(ap.rows(i), k, ap.data[ap.first(i)*k:], bp, o.c.Data[ap.first(i)*o.c.Stride+p:], o.c.Stride, n, o.acc)
		}
	}
}
